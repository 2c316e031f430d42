"""``lorentzoo symmetry``."""

from __future__ import annotations

from pathlib import Path

import typer

from lorentzoo.cli.output import print_json

__all__ = ["symmetry_command"]


def symmetry_command(
    runs: list[Path] = typer.Argument(
        ..., help="Directory of a run, or of a saved model; of several the mean and the spread are shown."
    ),
    dataset: str | None = typer.Option(None, "--dataset", "-d", help="Data set; the run's own by default."),
    num_events: int = typer.Option(256, "--events", min=2, help="Events of the test split."),
    plot: Path | None = typer.Option(None, help="Write the figure here (PNG, PDF, SVG)."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Measure how far trained networks break each part of the Lorentz group, on real events.

    Example: lorentzoo symmetry runs/a

    Example: lorentzoo symmetry runs/seed0 runs/seed1 runs/seed2 --plot symmetry.png
    """
    from lorentzoo.studies.single import open_run
    from lorentzoo.verification.spectrum import combine_spectra, symmetry_spectrum

    spectra = [symmetry_spectrum(*open_run(run, dataset, "test"), num_events=num_events) for run in runs]
    found = spectra[0] if len(spectra) == 1 else combine_spectra(spectra)
    if as_json:
        print_json(found.to_data())
    else:
        typer.echo(str(found))
    if plot is not None:
        found.plot().figure.savefig(plot, dpi=150)  # type: ignore[union-attr]
        typer.echo(f"wrote {plot}", err=True)
