"""How does YAML text become plain data, whoever wrote it?

Bounds are checked on the events of the parser, before anything is built: a few lines of anchors that refer to each other
can stand for more values than there is memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from lorentzoo.core.errors import LorentzooError, SpecError
from lorentzoo.registry.plain_data import MAX_CHARACTERS, MAX_DEPTH, MAX_ITEMS, check_plain, read_text

try:
    from yaml import CSafeLoader as _Parser
except ImportError:  # without libyaml, at a tenth of the speed
    from yaml import SafeLoader as _Parser  # type: ignore[assignment]

__all__ = ["read_yaml", "read_yaml_file"]


def read_yaml(text: str, what: str, error: type[LorentzooError] = SpecError) -> Any:
    """Plain data from YAML text: mappings, lists, text, numbers, truth values and null. Dates stay text.

    Parameters
    ----------
    text
        One document.
    what
        How errors call it.
    error
        What is raised.

    Raises
    ------
    SpecError
        Or `error`, if it is not YAML, names a key twice, has a tag of its own, or exceeds a bound: 250,000 characters,
        32 levels, 20,000 values with aliases counted as often as they occur, whole numbers of 64 bits.
    """
    if len(text) > MAX_CHARACTERS:
        raise error(f"{what} has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    try:
        _check_events(text)
        data = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as problem:  # a ValueError: lone surrogates
        # Newer parsers have a bound of their own, and look so far ahead that they meet it first.
        if "nesting depth" in str(problem):
            raise error(f"{what} is nested more than {MAX_DEPTH} levels deep") from None
        raise error(f"cannot read {what} as YAML: {problem}") from None
    check_plain(data, what, error)
    return data


def read_yaml_file(path: Path, what: str, error: type[LorentzooError] = SpecError) -> Any:
    """Plain data from a file with YAML text; see `read_yaml`.

    Raises
    ------
    SpecError
        Or `error`, also if there is no such file, or it is a folder, a pipe or a device.
    """
    return read_yaml(read_text(path, what, error), what, error)


# ---- helpers ----------------------------------------------------------------------------------


class _Loader(_Parser):
    """Reads only what JSON has too, and refuses a key that occurs twice."""

    def construct_once(self, node: yaml.MappingNode) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ConstructorError(None, None, f"{key.value!r} occurs twice", key.start_mark)
                seen.add(key.value)
        self.flatten_mapping(node)
        mapping: dict[Any, Any] = self.construct_mapping(node, deep=True)
        return mapping

    def construct_text(self, node: yaml.ScalarNode) -> str:
        return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_once)
# JSON has no dates, and what looks like one need not be one: 2024-13-45.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_text)


def _check_events(text: str) -> None:
    """Refuse depth, tags, and aliases that expand to more than is believed, or that contain themselves."""
    sizes: dict[str, int] = {}
    # Of each list or mapping that is open: its anchor, and how many values it holds so far.
    opened: list[tuple[str | None, int]] = [(None, 0)]

    def count(size: int, anchor: str | None) -> None:
        if anchor is not None:
            sizes[anchor] = size
        own, before = opened[-1]
        opened[-1] = (own, before + size)
        if before + size > MAX_ITEMS:
            _refuse(f"more than {MAX_ITEMS} values, aliases counted as often as they occur", event)

    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in opened):
                _refuse(f"{event.anchor!r} contains itself", event)
            count(sizes.get(str(event.anchor), 1), None)
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            if event.tag is not None:
                _refuse(f"tags such as {event.tag!r} are not read", event)
            if isinstance(event, yaml.ScalarEvent):
                count(1, event.anchor)
            else:
                opened.append((event.anchor, 1))
                if len(opened) > MAX_DEPTH + 1:
                    _refuse(f"nested more than {MAX_DEPTH} levels deep", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = opened.pop()
            count(size, anchor)


def _refuse(reason: str, event: yaml.Event) -> NoReturn:
    raise ComposerError(None, None, reason, event.start_mark)  # type: ignore[arg-type]
