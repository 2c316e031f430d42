"""``lorentzoo study run`` and ``study show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from lorentzoo.cli.output import print_json

__all__ = ["study_app"]

study_app = typer.Typer(
    help="Ablation studies: a grid of names in, a table and a report out.", no_args_is_help=True
)


@study_app.command("run")
def run(
    file: Path = typer.Argument(..., help="YAML file of the study.", exists=True, dir_okay=False),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Directory of the study; resumed if it exists."
    ),
    dataset: str | None = typer.Option(
        None, "--dataset", "-d", help="Data set instead of that of the file, e.g. toptag:max_constituents=30."
    ),
    workers: int | None = typer.Option(
        None, "--workers", "-w", help="Runs at a time; as many as cores by default."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the table as JSON."),
) -> None:
    """Run a study; one that was interrupted goes on where it stopped.

    Example: lorentzoo study run examples/studies/quickstart.yaml --out runs/quickstart
    """
    from lorentzoo.studies import load_study, run_study

    study = load_study(file)
    if dataset is not None:
        study = load_study({**study.model_dump(mode="json"), "dataset": dataset})
    _print(run_study(study, out=out, workers=workers), as_json)


@study_app.command("show")
def show(
    directory: Path = typer.Argument(..., help="Directory of a study.", exists=True, file_okay=False),
    as_json: bool = typer.Option(False, "--json", help="Print the table as JSON."),
) -> None:
    """Print a study's table and write its report anew.

    Example: lorentzoo study show runs/quickstart
    """
    from lorentzoo.studies import show_study, write_report

    result = show_study(directory)
    write_report(result)
    _print(result, as_json)


def _print(result: Any, as_json: bool) -> None:
    from lorentzoo.studies.report.numbers import study_data
    from lorentzoo.studies.report.write import study_text

    if as_json:
        print_json(study_data(result))
    else:
        typer.echo(study_text(result))
