"""``lorentzoo new-plugin``: a package of one's own, which passes as it is."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["new_plugin_command", "write_plugin"]

_TEMPLATE = Path(__file__).parent / "plugin_template"


def new_plugin_command(
    name: str = typer.Argument(..., help="Name of the plugin and of its backbone, lower-case kebab: my-net."),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Folder to make; lorentzoo-NAME in this one by default."
    ),
) -> None:
    """Write a package with one backbone, its tests by the conformance kit, docs and CI.

    Example: lorentzoo new-plugin my-net
    """
    folder = write_plugin(name, out)
    typer.echo(f"wrote {folder}; now:")
    typer.echo(f'  pip install -e "{folder}[test]"')
    typer.echo(f"  lorentzoo verify {name}")
    typer.echo(f"  cd {folder} && python -m pytest")
    package = name.replace("-", "_")
    typer.echo(f"then write the network in src/lorentzoo_{package}/network.py", err=True)


def write_plugin(name: str, out: Path | None = None) -> Path:
    """Write the package of a plugin.

    Parameters
    ----------
    name
        Of the plugin and of its backbone.
    out
        Folder to make; ``lorentzoo-NAME`` by default.

    Raises
    ------
    PluginError
        If the name is not lower-case kebab, is taken by a component that is installed, or the folder is not empty.
    """
    import keyword

    from lorentzoo import __version__
    from lorentzoo.core.errors import PluginError
    from lorentzoo.registry.catalogue import catalogue
    from lorentzoo.registry.components import NAME_PATTERN

    package = f"lorentzoo_{name.replace('-', '_')}"
    class_name = "".join(part.capitalize() for part in name.split("-"))
    if not NAME_PATTERN.fullmatch(name) or name[0].isdigit() or keyword.iskeyword(class_name):
        raise PluginError(
            f"{name!r} is not a name for a plugin: lower-case kebab that begins with a letter, such as my-net"
        )
    taken = [f"{c.kind} of the plugin {c.plugin!r}" for c in catalogue().components() if c.name == name]
    taken += ["plugin" for record in catalogue().plugins if record.name == name]
    if taken:
        raise PluginError(f"the name {name!r} is taken by a {taken[0]}; choose another one")
    folder = Path(f"lorentzoo-{name}") if out is None else out
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PluginError(f"{folder} is there and not empty; choose another folder with --out")
    values = {
        "@name@": name,
        "@package@": package,
        "@class@": class_name,
        "@distribution@": f"lorentzoo-{name}",
        "@version@": __version__,
    }
    for source in sorted(_TEMPLATE.rglob("*.in")):
        target = folder / _fill(str(source.relative_to(_TEMPLATE)).removesuffix(".in"), values)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_fill(source.read_text(encoding="utf-8"), values), encoding="utf-8")
    return folder


def _fill(text: str, values: dict[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
