"""How is a composition written down?

A specification is plain data (JSON, YAML, Python mappings, or inline text such as
``"lgatr:num_blocks=6,num_heads=4"``). It can only name what is installed; it never imports,
downloads or evaluates anything.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import yaml

from lorentzoo.core.errors import SpecError
from lorentzoo.registry.migrations import FORMAT, migrate
from lorentzoo.registry.plain_data import check_plain, read_json
from lorentzoo.registry.yaml_text import read_yaml

__all__ = ["FORMAT", "NO_BACKBONE", "SLOTS", "PartSpec", "Spec", "parse_inline", "parse_part", "write_value"]

SLOTS: Final = ("spurions", "frames", "embedding", "backbone", "head")
_LISTS: Final = ("spurions", "embedding")
_VALUE_BEGINS: Final = re.compile(r"\s*\w+\s*=\s*('[^']*')*")
"""What stands before the quote of a value; a single quote is doubled inside it."""
_BARE: Final = re.compile(r"[\w/][\w./-]*")
"""Text that needs no quotes to be a value."""
_MAX_INLINE: Final = 10_000
"""Characters of inline text."""
_MAX_PARTS: Final = 64
"""Parts of one slot."""
_MAX_INPUTS: Final = 100_000
"""Auxiliary scalars of a particle, numbers of an event."""
NO_BACKBONE: Final = "none"
"""What stands for the backbone of a generator that has no network."""


@dataclass(frozen=True)
class PartSpec:
    """A name and its parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_plain(self.parameters, f"parameters of {self.name!r}")

    def to_data(self) -> dict[str, Any]:
        """Plain data: ``{"name": ..., **parameters}``."""
        return {"name": self.name, **_plain(self.parameters)}

    def to_inline(self) -> str:
        """``"name:key=value,key=value"``, which `parse_inline` reads back.

        >>> PartSpec("padded-npz", {"path": "a,b.npz", "limit": None}).to_inline()
        "padded-npz:path='a,b.npz',limit=null"
        """
        pairs = ",".join(f"{key}={write_value(value)}" for key, value in _plain(self.parameters).items())
        return f"{self.name}:{pairs}" if pairs else self.name

    def merged(self, parameters: Mapping[str, Any]) -> PartSpec:
        """The same name with further parameters, which win."""
        return PartSpec(self.name, {**self.parameters, **parameters})


def parse_inline(text: str) -> PartSpec:
    """Read ``"name"`` or ``"name:key=value,key=value"``; values are read as YAML scalars and lists.

    A value that holds a comma stands in quotes, single or double, as in YAML.

    >>> parse_inline("lgatr:num_blocks=6,hidden=[64,64]")
    PartSpec(name='lgatr', parameters={'num_blocks': 6, 'hidden': [64, 64]})
    >>> parse_inline("padded-npz:path='a,b.npz',order='px,py,pz,E'").parameters
    {'path': 'a,b.npz', 'order': 'px,py,pz,E'}

    Raises
    ------
    SpecError
        If a piece is not ``key=value``, or the text has more than 10,000 characters.
    """
    if len(text) > _MAX_INLINE:
        raise SpecError(f"{text[:40]!r}... has {len(text)} characters; inline text has at most {_MAX_INLINE}")
    name, colon, rest = text.strip().partition(":")
    parameters: dict[str, Any] = {}
    if colon and not rest.strip():
        raise SpecError(f"{text!r} ends with ':' but gives no parameters")
    for piece in _split_at_commas(rest):
        key, equals, value = piece.partition("=")
        if not equals or not key.strip().isidentifier():
            raise SpecError(
                f"{piece.strip()!r} in {text!r} is not key=value; a value that holds a comma stands in quotes"
            )
        if key.strip() in parameters:
            raise SpecError(f"{key.strip()!r} occurs twice in {text!r}")
        parameters[key.strip()] = read_yaml(value, f"the value of {key.strip()!r} in {text!r}")
    if not name.strip():
        raise SpecError(f"{text!r} gives no name")
    return PartSpec(name.strip(), parameters)


def write_value(value: Any) -> str:
    """A value as `parse_inline` and options such as ``--set key=value`` read it.

    >>> write_value([0.9, 1e-05]), write_value("1e-05"), write_value("gelu")
    ('[0.9, 1.0e-05]', "'1e-05'", 'gelu')
    """
    if isinstance(value, str) and value.isprintable() and not _is_bare(value):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return _write_inner(value)


def parse_part(value: Any, slot: str) -> PartSpec:
    """Read one part: inline text, a mapping with a name, or a `PartSpec`."""
    if isinstance(value, PartSpec):
        return value
    check_plain(value, slot)
    if isinstance(value, str):
        return parse_inline(value)
    if isinstance(value, Mapping):
        if not isinstance(value.get("name"), str):
            raise SpecError(f"{slot}: {dict(value)!r} has no 'name'")
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            raise SpecError(f"{slot} {value['name']!r}: parameters are named by text, not by {odd}")
        return PartSpec(value["name"], {key: item for key, item in value.items() if key != "name"})
    raise SpecError(f"{slot}: expected a name, 'name:key=value' or a mapping with a 'name', not {value!r}")


@dataclass(frozen=True)
class Spec:
    """A whole composition: an immutable value that goes through JSON and YAML and back.

    Attributes
    ----------
    spurions, embedding
        Any number of parts each, in order.
    frames, backbone, head
        One part each.
    spurion_mode
        ``"tokens"``, ``"channels"``, ``"drop"``, or None for the backbone's own.
    anchor
        ``"auto"`` or ``"none"``.
    in_scalars, in_context
        Auxiliary scalars of each particle and numbers of each event that the cloud brings.
    generator
        The density of which the composition is the network; None for a model of its own.
    model
        The model name it came from, for information.
    plugins
        Which plugin and version stood behind each part when it was made, for information.
    """

    backbone: PartSpec
    spurions: tuple[PartSpec, ...] = ()
    frames: PartSpec = PartSpec("identity")
    embedding: tuple[PartSpec, ...] = (PartSpec("kinematics"),)
    head: PartSpec = PartSpec("classify")
    spurion_mode: str | None = None
    anchor: str = "auto"
    in_scalars: int = 0
    in_context: int = 0
    generator: PartSpec | None = None
    model: str | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_data(cls, data: Any) -> Spec:
        """Read plain data.

        Raises
        ------
        SpecError
            On an unknown key, a wrong type, a newer format, or no backbone.
        """
        if isinstance(data, Spec):
            return data
        if not isinstance(data, Mapping):
            raise SpecError(f"a specification is a mapping of slots to names, not {type(data).__name__}")
        check_plain(data, "the specification")
        values = dict(data)
        stated = values.pop("format", FORMAT)
        made_by = values.pop("lorentzoo", None)
        # The spec.json of a saved model states more than the composition.
        for name in ("weights", "inputs", "quantisation", "checksum"):
            values.pop(name, None)
        if not isinstance(stated, int) or isinstance(stated, bool) or not 1 <= stated <= FORMAT:
            raise SpecError(
                f"this specification has format {stated!r} (made by lorentzoo {made_by or 'unknown'}), "
                f"but this version reads formats up to {FORMAT}: upgrade lorentzoo"
            )
        values = migrate({"format": stated, **values})
        del values["format"]
        known = {item.name for item in fields(cls)}
        unknown = [key for key in values if key not in known]
        if unknown:
            raise SpecError(
                f"unknown key {', '.join(map(repr, unknown))} in the specification; known: {sorted(known)}"
            )
        if values.get("generator") is not None:
            values["generator"] = parse_part(values["generator"], "generator")
            values["backbone"] = values.get("backbone") or NO_BACKBONE
        if values.get("backbone") is None:
            raise SpecError("the specification names no backbone")
        for slot in SLOTS:
            if slot not in values:
                continue
            if slot in _LISTS:
                values[slot] = tuple(parse_part(item, slot) for item in _as_list(values[slot], slot))
            else:
                values[slot] = parse_part(values[slot], slot)
        for name in ("in_scalars", "in_context"):
            number = values.get(name, 0)
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise SpecError(f"{name} must be a non-negative whole number, not {number!r}")
            if number > _MAX_INPUTS:
                raise SpecError(f"{name} is at most {_MAX_INPUTS}, not {number}")
        if values.get("spurion_mode") not in (None, "tokens", "channels", "drop"):
            raise SpecError(f"spurion_mode is 'tokens', 'channels' or 'drop', not {values['spurion_mode']!r}")
        if not isinstance(values.get("model"), str | None):
            raise SpecError(f"model is a name, not {values['model']!r}")
        if not isinstance(values.get("plugins", {}), Mapping):
            raise SpecError(f"plugins is a mapping of parts to plugins, not {values['plugins']!r}")
        if not isinstance(values.get("anchor", "auto"), str):
            raise SpecError(f"anchor is 'auto' or 'none', not {values['anchor']!r}")
        return cls(**values)

    def to_data(self) -> dict[str, Any]:
        """Plain data that `from_data` reads back."""
        from lorentzoo import __version__

        return {
            "format": FORMAT,
            "lorentzoo": __version__,
            "model": self.model,
            "in_scalars": self.in_scalars,
            "in_context": self.in_context,
            "spurions": [part.to_data() for part in self.spurions],
            "frames": self.frames.to_data(),
            "embedding": [part.to_data() for part in self.embedding],
            "backbone": self.backbone.to_data(),
            "head": self.head.to_data(),
            "spurion_mode": self.spurion_mode,
            "anchor": self.anchor,
            **({} if self.generator is None else {"generator": self.generator.to_data()}),
            "plugins": dict(self.plugins),
        }

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots that are filled: the generator, if there is one, and those of the network, if there is one."""
        network = () if self.generator is not None and self.backbone.name == NO_BACKBONE else SLOTS
        return network if self.generator is None else ("generator", *network)

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(self.to_data(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Read JSON text."""
        return cls.from_data(read_json(text, "the specification"))

    def to_yaml(self) -> str:
        """YAML text."""
        return yaml.safe_dump(self.to_data(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str) -> Spec:
        """Read YAML text."""
        return cls.from_data(read_yaml(text, "the specification"))

    def __getitem__(self, key: str) -> Any:
        return self.to_data()[key]


def distribution_version(name: str) -> str:
    """``"name version"`` of an installed distribution."""
    if not name:
        return "no distribution"
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def _write_inner(value: Any) -> str:
    """A value inside brackets, where quotes do not hide brackets from `parse_inline`."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_write_inner(key)}: {_write_inner(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_write_inner, value)) + "]"
    quoted = isinstance(value, str) and not _is_bare(value)
    text: str = yaml.safe_dump(value, default_style='"' if quoted else None, width=math.inf)
    text = text.removesuffix("\n").removesuffix("\n...")
    return re.sub(r"[][(){}]", lambda found: f"\\x{ord(found[0]):x}", text) if quoted else text


def _is_bare(text: str) -> bool:
    """Whether text is read as itself without quotes, and not as a number by options of the command line either."""
    if not _BARE.fullmatch(text) or read_yaml(text, "a value") != text:
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False  # YAML reads 1e-05 as text


def _as_list(value: Any, slot: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str | Mapping | PartSpec):
        return [value]
    if isinstance(value, Sequence):
        if len(value) > _MAX_PARTS:
            raise SpecError(f"{slot}: at most {_MAX_PARTS} parts, not {len(value)}")
        return list(value)
    raise SpecError(f"{slot}: expected one part or a list of parts, not {value!r}")


def _split_at_commas(text: str) -> list[str]:
    """Pieces between commas that stand outside brackets and outside quotes.

    A quote opens where a value begins, as in YAML; elsewhere it is a letter like any other.
    """
    pieces, depth, current, quote = [], 0, "", ""
    for character in text:
        if quote:
            escaped = quote == '"' and (len(current) - len(current.rstrip("\\"))) % 2 == 1
            quote = "" if character == quote and not escaped else quote
        elif character in ("'", '"') and _VALUE_BEGINS.fullmatch(current):
            quote = character
        elif character == "," and depth == 0:
            pieces.append(current)
            current = ""
            continue
        else:
            depth += (character in "[{(") - (character in "]})")
        current += character
    if current.strip():
        pieces.append(current)
    return pieces


def _plain(value: Any) -> Any:
    """Plain data: what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    raise SpecError(f"a specification holds plain data, not {type(value).__name__}: {value!r}")
