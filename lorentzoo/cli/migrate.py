"""``lorentzoo migrate``."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["migrate_command"]


def migrate_command(
    paths: list[Path] = typer.Argument(
        ..., help="Directories of saved models or runs, or folders that hold such, e.g. of a study."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would change, and write nothing."),
) -> None:
    """Write what earlier versions saved anew, in place: today's format and names. It loads as it is, too.

    Exit code 1 if any could not be loaded; the others are written all the same.

    Example: lorentzoo migrate runs/a --dry-run

    Example: lorentzoo migrate studies/ablation
    """
    from lorentzoo.core.errors import LorentzooError
    from lorentzoo.core.text import plain
    from lorentzoo.studies.renewal import find_saved, renew

    failed = 0
    for directory in [found for path in paths for found in find_saved(path)]:
        try:
            changes = renew(directory, dry_run=dry_run)
        except LorentzooError as error:
            failed += 1
            typer.echo(f"{directory}: {plain(error)}", err=True)
            continue
        done = "would be written anew" if dry_run else "written anew"
        typer.echo(f"{directory}: {done if changes else 'as it is'}")
        if dry_run and changes:
            typer.echo("\n".join(plain(line) for line in changes.splitlines()))
    if failed:
        raise typer.Exit(1)
