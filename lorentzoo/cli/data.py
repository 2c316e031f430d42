"""``lorentzoo data list``, ``make`` and ``info``."""

from __future__ import annotations

from pathlib import Path

import typer

from lorentzoo.cli.completion import complete_parts
from lorentzoo.cli.output import print_json, print_table

__all__ = ["data_app"]

data_app = typer.Typer(help="Data sets: list, generate, inspect.", no_args_is_help=True)


@data_app.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the data sets that can be named.

    Example: lorentzoo data list
    """
    from lorentzoo.registry.catalogue import catalogue

    found = catalogue().components("dataset")
    if as_json:
        print_json([{"name": c.name, "summary": c.summary, "reference": c.reference} for c in found])
    else:
        print_table(("name", "summary", "reference"), [(c.name, c.summary, c.reference) for c in found])


@data_app.command("make")
def make(
    name: str = typer.Argument(..., help="Sample to generate, e.g. toptag."),
    jets: int = typer.Option(10_000, "--jets", "--events", "-n", min=1, help="Number of jets, or events."),
    seed: int = typer.Option(
        1, "--seed", "-s", help="Seed; the sample does not depend on the number of workers."
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="File to write; NAME-JETS-SEED.npz (showers: .hdf5) by default."
    ),
    settings: list[str] = typer.Option(
        [], "--set", help="Setting of the sample, KEY=VALUE; may be repeated, e.g. --set detector=lead-argon."
    ),
    workers: int | None = typer.Option(
        None, "--workers", "-w", min=1, help="Processes; one a core by default."
    ),
) -> None:
    """Generate a sample with Pythia 8 and FastJet, or parametrised showers (extra `simulate`).

    An interrupted sample of jets is resumed.

    Example: lorentzoo data make toptag --jets 100000 --seed 7 --out toptag.npz
    """
    import os

    from lorentzoo.data.make import make_sample
    from lorentzoo.registry.specs import parse_inline

    path = out or Path(f"{name}-{jets}-{seed}.{'hdf5' if name == 'showers' else 'npz'}")
    given = dict(parse_inline(f"{name}:{','.join(settings)}").parameters) if settings else {}
    make_sample(name, jets=jets, seed=seed, out=path, workers=workers or os.cpu_count() or 1, settings=given)
    typer.echo(str(path))


@data_app.command("info")
def info(
    source: str = typer.Argument(
        ..., help="Name of a data set, or a sample's file.", autocompletion=complete_parts("dataset")
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say what a sample holds and how it was made.

    Example: lorentzoo data info toptag
    """
    from lorentzoo.data.make import describe_sample

    description = describe_sample(source)
    if as_json:
        print_json(description)
        return
    import yaml

    typer.echo(yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=100).rstrip())
