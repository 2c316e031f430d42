"""``lorentzoo list``, ``describe``, ``catalogue``, ``cite`` and ``plugins``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lorentzoo.cli.completion import complete_kinds, complete_names, complete_parts, complete_plugins
from lorentzoo.cli.output import print_json, print_table

if TYPE_CHECKING:
    from lorentzoo.registry.components import Component

__all__ = ["catalogue_command", "cite_command", "describe_command", "list_command", "plugins_command"]


def list_command(
    kind: str | None = typer.Argument(
        None,
        help="Kind to list: backbone, model, frames, ...; all by default.",
        autocompletion=complete_kinds,
    ),
    pattern: str | None = typer.Option(None, "--pattern", "-p", help="Glob pattern, e.g. 'lloca-*'."),
    symmetry: str | None = typer.Option(None, help="Only models with this symmetry, e.g. 'SO(2)_beam'."),
    pretrained: bool = typer.Option(False, "--pretrained", help="Trained weights of models."),
    task: str | None = typer.Option(
        None,
        "--task",
        help="Only weights trained for this task, e.g. amplitudes.",
        autocompletion=complete_parts("task"),
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List what is there, by kind and name.

    Example: lorentzoo list model --pattern 'lgatr*'

    Example: lorentzoo list --pretrained --task classification
    """
    import fnmatch

    from lorentzoo.core.errors import ParameterError
    from lorentzoo.registry.catalogue import catalogue
    from lorentzoo.registry.listing import list_models

    if task is not None and not pretrained:
        raise ParameterError("--task is for the weights that --pretrained lists")
    if pretrained:
        if kind not in (None, "model"):
            raise ParameterError(f"only models have pretrained weights: leave out {kind!r}, or --pretrained")
        _list_pretrained(pattern, task, symmetry, as_json)
        return
    if symmetry is not None:
        if kind not in (None, "model"):
            raise ParameterError(f"only models have a symmetry as a whole: leave out {kind!r}, or --symmetry")
        names = set(list_models(pattern, symmetry=symmetry))
        found = [c for c in catalogue().components("model") if c.name in names or c.full_name in names]
    else:
        if kind is not None:
            catalogue().names(kind)
        found = [
            c for c in catalogue().components(kind) if pattern is None or fnmatch.fnmatchcase(c.name, pattern)
        ]
    if as_json:
        keys = ("kind", "name", "plugin", "summary", "reference")
        print_json([{key: getattr(c, key) for key in keys} for c in found])
        return
    # A script reads names, a person families.
    each = [(c.kind, c.name, c.plugin, c.summary) for c in found]
    print_table(("kind", "name", "plugin", "summary"), fold_sizes(found) if sys.stdout.isatty() else each)
    failed = [record for record in catalogue().plugins if record.error]
    if failed:
        typer.echo(f"{len(failed)} plugin(s) failed to load: see `lorentzoo plugins`", err=True)


def _list_pretrained(pattern: str | None, task: str | None, symmetry: str | None, as_json: bool) -> None:
    from lorentzoo.registry.pretrained import list_pretrained

    found = list_pretrained(pattern, task=task, symmetry=symmetry)
    if as_json:
        print_json([item.to_data() for item in found])
        return
    rows = [
        (
            item.name,
            item.task,
            item.symmetry,
            "" if item.parameters is None else f"{item.parameters:,}",
            f"{item.bytes / 1e6:.2f}",
            item.weights.summary,
        )
        for item in found
    ]
    print_table(("name", "task", "symmetry", "parameters", "MB", "summary"), rows)
    if not rows:
        typer.echo("none; the distribution lorentzoo-weights brings some", err=True)


def fold_sizes(components: Iterable[Component]) -> list[tuple[str, str, str, str]]:
    """Rows of kind, name, plugin and summary in which the sizes of a model are one, ``net-{tiny,small,base}``."""
    rows: dict[tuple[str, str, str], list[Component]] = {}
    for component in components:
        of = component.size_of
        rows.setdefault((component.kind, component.plugin, f"-{of}" if of else component.name), []).append(
            component
        )
    found = []
    for (kind, plugin, _), (first, *others) in rows.items():
        name, summary = first.name, first.summary
        if others:
            ends = (each.name.removeprefix(f"{each.size_of}-") for each in (first, *others))
            name, summary = f"{first.size_of}-{{{','.join(ends)}}}", f"Sizes of {first.size_of}"
        found.append((kind, name, plugin, summary))
    return found


def describe_command(
    words: list[str] = typer.Argument(
        ...,
        metavar="[KIND] NAME",
        help="Name of a component, e.g. transformer; its kind may stand before it, as in Python.",
        autocompletion=complete_names,
    ),
    kind: str | None = typer.Option(
        None,
        "--kind",
        "-k",
        help="Its kind, where several kinds have the name.",
        autocompletion=complete_kinds,
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Describe a component: parameters with types and defaults, symmetry, reference.

    Example: lorentzoo describe transformer --kind backbone

    Example: lorentzoo describe backbone transformer
    """
    from lorentzoo.core.errors import ParameterError
    from lorentzoo.registry.catalogue import catalogue
    from lorentzoo.registry.components import KINDS
    from lorentzoo.registry.descriptions import describe

    *before, name = words
    if len(before) > 1:
        raise ParameterError(f"describe takes a name, or a kind and a name: got {' '.join(words)!r}")
    if before:
        if kind not in (None, before[0]):
            raise ParameterError(f"two kinds were given: {before[0]!r} and {kind!r}")
        kind = before[0]
    bare = name.rpartition("/")[2]
    if kind is not None:
        kinds = [kind]
    else:
        kinds = [k for k in KINDS if any(c.name == bare for c in catalogue().components(k))] or ["model"]
    descriptions = [describe(k, name) for k in kinds]  # type: ignore[arg-type]
    if as_json:
        print_json([description.to_data() for description in descriptions])
    else:
        typer.echo("\n\n".join(str(description) for description in descriptions))


def catalogue_command(
    out: Path = typer.Option(Path("catalogue"), "--out", "-o", help="Folder for catalogue.html."),
    measure: bool = typer.Option(
        False,
        "--measure",
        help="Measure the time of every network here, by one thread (about half an hour).",
    ),
    pattern: str | None = typer.Option(
        None, "--pattern", "-p", help="Glob pattern of names, e.g. 'lloca-*'."
    ),
    title: str = typer.Option("", help="Of the page."),
) -> None:
    """Write a page of the whole zoo that opens without a network: every component, searched, sorted and opened.

    Example: lorentzoo catalogue --out catalogue --measure
    """
    import fnmatch

    from lorentzoo.core.errors import UnknownNameError
    from lorentzoo.pages import collect_entries, write_catalogue
    from lorentzoo.registry.catalogue import catalogue

    chosen = [c for c in catalogue().components() if fnmatch.fnmatchcase(c.name, pattern or "*")]
    if not chosen:
        raise UnknownNameError(f"no component is called {pattern!r}; `lorentzoo list` names them")
    typer.echo(str(write_catalogue(collect_entries(chosen, measure=measure), out, title=title)))


def cite_command(
    model: str = typer.Argument(
        ...,
        help="Model name, or the directory of a run or a saved model.",
        autocompletion=complete_parts("model"),
    ),
) -> None:
    """Print BibTeX of the papers behind a model: those of its parts, and this package.

    Example: lorentzoo cite lloca-transformer
    """
    from lorentzoo.registry.citations import cite

    typer.echo(cite(model))


def plugins_command(
    names: list[str] = typer.Argument(
        None, help="Names of plugins; all by default.", autocompletion=complete_plugins
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List plugins: what each offers, and why one failed to load. Exit code 1 if any failed.

    Example: lorentzoo plugins
    """
    from lorentzoo.core.errors import UnknownNameError
    from lorentzoo.registry.catalogue import list_plugins

    records = list_plugins()
    unknown = sorted(set(names or ()) - {record.name for record in records})
    if unknown:
        raise UnknownNameError(
            f"there is no plugin {unknown[0]!r}; there are {', '.join(record.name for record in records)}"
        )
    records = [record for record in records if not names or record.name in names]
    if as_json:
        print_json(
            [
                {
                    "name": r.name,
                    "distribution": r.distribution,
                    "version": r.version,
                    "components": [f"{c.kind}/{c.name}" for c in r.components],
                    "weights": [item.name for item in r.weights],
                    "error": r.error,
                    "milliseconds": r.milliseconds,
                    "warnings": list(r.warnings),
                }
                for r in records
            ]
        )
    else:
        rows = []
        for r in records:
            state = f"FAILED: {r.error}" if r.error else "; ".join(r.warnings) or "ok"
            rows.append(
                (
                    r.name,
                    f"{r.distribution} {r.version}",
                    str(len(r.components)),
                    str(len(r.weights)),
                    f"{r.milliseconds:.1f}",
                    state,
                )
            )
        print_table(("plugin", "package", "components", "weights", "ms", "state"), rows)
    if any(r.error for r in records):
        raise typer.Exit(1)
