"""Which columns of a record, a table or an array make four-momenta, and how?

A momentum has a transverse part (px and py, or pt and phi), a longitudinal one (pz, eta or theta), and an energy or a
mass. Names are those of the package `vector`, of its records as they are stored (x, y, z, t; rho, phi, eta, tau), and
of coffea.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from lorentzoo.core.errors import InputError, ParameterError
from lorentzoo.core.name_lists import list_names

__all__ = ["find_columns", "join_momenta", "read_order"]

_KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "px": ("px",),
    "py": ("py",),
    "pz": ("pz",),
    "pt": ("pt",),
    "eta": ("eta",),
    "theta": ("theta",),
    "phi": ("phi",),
    "E": ("E", "energy", "e"),
    "mass": ("mass", "m", "M"),
}
"""How each component may be called, in any case of the letters."""
_STORED: Final = {"px": "x", "py": "y", "pz": "z", "E": "t", "pt": "rho", "mass": "tau"}
"""How vectors call them that are no momenta by name; in lower case alone, and where no other names are."""
_PARTS: Final = (
    (("px", "py"), ("pt", "phi")),
    (("pz",), ("eta",), ("theta",)),
)
"""Ways to give the transverse and the longitudinal part, the preferred one first."""
_WANTED: Final = "px, py or pt, phi; pz, eta or theta; E or mass"


def read_order(order: str | Sequence[str]) -> tuple[str, ...]:
    """Components that stand side by side in an array, by their names here.

    Parameters
    ----------
    order
        Separated by commas, or as a list, e.g. ``"pt,eta,phi,mass"``. Without energy and mass, particles are massless.

    Raises
    ------
    InputError
        If they are not the components of one four-momentum.
    """
    given = [order] if isinstance(order, str) else list(order)
    if not all(isinstance(item, str) for item in given):
        raise ParameterError(f"order names components by text, not by {order!r}")
    names = [part.strip() for item in given for part in item.split(",")]
    found = tuple(_component(name) or "" for name in names)
    if "" in found or not _is_momentum(found):
        raise InputError(
            f"order must name the components of one four-momentum ({_WANTED}), separated by commas, not {order!r}"
        )
    return found


def find_columns(
    names: Iterable[str], given: Mapping[str, str] | None = None, *, what: str = "the data"
) -> dict[str, str]:
    """The column of each component.

    Columns px and py are preferred to pt and phi, pz to eta and theta; px and py go with an energy first, pt and phi with
    a mass, where both are there.

    Parameters
    ----------
    names
        Columns that there are.
    given
        The column of each component, where they are called otherwise, e.g. ``{"pt": "Jet_pt", ...}``; without an energy
        and a mass, particles are massless.
    what
        How errors call the data.

    Raises
    ------
    InputError
        If components are missing; the message lists the columns that there are.
    """
    there = list(dict.fromkeys(names))
    if given is not None:
        return _take_given(there, given, what)
    exact = {
        component: next((name for name in aliases if name in there), None)
        for component, aliases in _KNOWN.items()
    }
    folded = {name.lower(): name for name in reversed(there)}
    by_name = {
        component: exact[component] or next((folded[a.lower()] for a in aliases if a.lower() in folded), None)
        for component, aliases in _KNOWN.items()
    }
    as_stored = {
        component: exact[component] or (_STORED.get(component) if _STORED.get(component) in there else None)
        for component in _KNOWN
    }
    for columns in (by_name, as_stored):
        found = {component: column for component, column in columns.items() if column is not None}
        chosen = _choose(found)
        if chosen is not None:
            return {component: found[component] for component in chosen}
    lacking = _missing([component for component, column in by_name.items() if column is not None])
    raise InputError(
        f"{what} has no field {lacking}; its fields are {list_names(there, lacking)}. Say which fields make a momentum, "
        "e.g. momentum={'pt': 'Jet_pt', 'eta': 'Jet_eta', 'phi': 'Jet_phi', 'mass': 'Jet_mass'} (massless without 'mass')"
    )


def join_momenta(columns: Mapping[str, Tensor]) -> Tensor:
    """Four-momenta (E, px, py, pz) from their components, in float64.

    With pt, η, φ and m: px = pt cos φ, py = pt sin φ, pz = pt sinh η (or pt / tan θ), E² = p² + m |m|. A mass that
    rounding has made negative gives a momentum as space-like as it says.

    Parameters
    ----------
    columns
        Components by the names of `read_order`, each of shape (*lead,).

    Returns
    -------
    Tensor, shape (*lead, 4).
    """
    # Functions of strided numbers are rounded otherwise: the same events would have another fingerprint.
    parts = {name: column.to(torch.float64).contiguous() for name, column in columns.items()}
    if "px" in parts:
        px, py = parts["px"], parts["py"]
    else:
        px, py = parts["pt"] * parts["phi"].cos(), parts["pt"] * parts["phi"].sin()
    if "pz" in parts:
        pz = parts["pz"]
    else:
        pt = parts["pt"] if "pt" in parts else torch.hypot(px, py)
        pz = pt * parts["eta"].sinh() if "eta" in parts else pt / parts["theta"].tan()
    if "E" in parts:
        energy = parts["E"]
    else:
        squared = px.square() + py.square() + pz.square()
        if "mass" in parts:
            squared = squared + parts["mass"] * parts["mass"].abs()
        energy = squared.sqrt()
    return torch.stack([energy, px, py, pz], dim=-1)


# ---- helpers ----------------------------------------------------------------------------------


def _component(name: str) -> str | None:
    """What a column is by its name; None if nothing."""
    for component, aliases in _KNOWN.items():
        if name.lower() in [alias.lower() for alias in aliases]:
            return component
    return next((component for component, stored in _STORED.items() if stored == name), None)


def _take_given(there: Sequence[str], given: Mapping[str, str], what: str) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise ParameterError(f"momentum maps components to columns, e.g. {{'pt': 'Jet_pt'}}, not {given!r}")
    components = read_order(list(given))
    missing = [column for column in given.values() if column not in there]
    if missing:
        raise InputError(f"{what} has no field {missing}; its fields are {list_names(there, missing)}")
    return dict(zip(components, given.values(), strict=True))


def _choose(found: Iterable[str]) -> tuple[str, ...] | None:
    """Components that make a momentum with an energy or a mass, out of those that there are."""
    there = set(found)
    spatial = [next((way for way in ways if there.issuperset(way)), None) for ways in _PARTS]
    if spatial[0] is None or spatial[1] is None:
        return None
    order = ("E", "mass") if spatial[0] == ("px", "py") else ("mass", "E")
    temporal = next((name for name in order if name in there), None)
    if temporal is None:
        return None
    return ("E", *spatial[0], *spatial[1]) if temporal == "E" else (*spatial[0], *spatial[1], temporal)


def _is_momentum(found: Sequence[str]) -> bool:
    spatial = [name for name in found if name not in ("E", "mass")]
    return len(found) - len(spatial) <= 1 and sorted(spatial) in [
        sorted((*transverse, *longitudinal)) for transverse in _PARTS[0] for longitudinal in _PARTS[1]
    ]


def _missing(found: Iterable[str]) -> list[str]:
    """What lacks of the momentum that the columns are nearest to."""
    there = set(found)
    ways = [
        (*transverse, *longitudinal, temporal)
        for transverse in _PARTS[0]
        for longitudinal in _PARTS[1]
        for temporal in (("E",) if transverse == ("px", "py") else ("mass",))
    ]
    return min(([name for name in way if name not in there] for way in ways), key=len)
