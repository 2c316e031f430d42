"""By which names, in which order and in which units do files hold showers?

Certain: the names, the order of voxels and the unit (MeV) of the CaloChallenge, as its page states them
(arXiv:2410.21611); the names of the data sets of LEMURS (arXiv:2509.05108) and its order of axes (radius, angle, depth),
as public code reads such files. Assumed: that LEMURS is in MeV, as that code does, and its angles in radians.
`incident_theta` is given as it stands there; `incident_phi` is not read, since no network here is given it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lorentzoo.data.readers.columns import as_names
from lorentzoo.data.readers.source import EventFileError, require_columns

__all__ = [
    "LAYOUTS",
    "Names",
    "Units",
    "check_units",
    "find_names",
    "find_units",
    "flatten_voxels",
    "read_metadata",
]


@dataclass(frozen=True)
class Names:
    """Names of the data sets of a file.

    Parameters
    ----------
    showers
        Deposits, (N, V) in the order of `Grid`, or (N, R, A, L): bins in the radius, in the angle and in the depth.
    energy
        Incident energies, (N,) or (N, 1).
    angle
        Polar angles of incidence in radians, (N,) or (N, 1); files may lack them, which are then zero.
    """

    showers: str = "showers"
    energy: str = "incident_energies"
    angle: str = "incident_angles"


LAYOUTS: Final = {
    "the CaloChallenge": Names(),
    "LEMURS": Names(energy="incident_energy", angle="incident_theta"),
}


def find_names(path: Path, found: Iterable[str], columns: Mapping[str, str] | None = None) -> Names:
    """Which data sets of a file are what.

    Parameters
    ----------
    path
        The file, for messages.
    found
        Names of its data sets.
    columns
        Those that are called otherwise than in the `LAYOUTS`: ``{"energy": "E0"}``.

    Raises
    ------
    ValueError
        If `columns` names what is not in a file.
    EventFileError
        If a data set is missing.
    """
    present, given = list(found), dict(columns or {})
    allowed = [field.name for field in fields(Names)]
    if unknown := [name for name in given if name not in allowed]:
        raise ValueError(f"columns must name data sets by {', '.join(allowed)}, not by {', '.join(unknown)}")
    options = [replace(names, **given) for names in LAYOUTS.values()]
    names = next((option for option in options if option.energy in present), options[0])
    needed = [names.energy, names.showers, *([names.angle] if "angle" in given else [])]
    require_columns(
        path, present, needed, f"showers in the layout of {' or '.join(LAYOUTS)} (other names: columns=)"
    )
    return names


def flatten_voxels(deposits: NDArray[Any]) -> NDArray[Any]:
    """Deposits (n, V), or (n, R, A, L) as LEMURS has them, as (n, V) in the order of `Grid`."""
    if deposits.ndim == 2:
        return deposits
    return deposits.transpose(0, 3, 2, 1).reshape(len(deposits), int(np.prod(deposits.shape[1:])))


# ---- units ---------------------------------------------------------------------------------

_IN_GEV: Final = {"MeV": 1000.0, "GeV": 1.0}
"""Units in a GeV."""
_LARGEST_RATIO: Final = 4.0
"""No shower deposits more than this part of its energy, and none less than a thousandth of it, of which sampling
calorimeters leave some hundredths: so that of the units one pair fits, and only one."""


@dataclass(frozen=True)
class Units:
    """Units of deposits and of incident energies, ``MeV`` or ``GeV``.

    Parameters
    ----------
    showers, energy
        The units.
    stated
        By the user or by the file, and not by the layout alone.
    """

    showers: str = "MeV"
    energy: str = "MeV"
    stated: bool = True

    def __post_init__(self) -> None:
        for unit in (self.showers, self.energy):
            if unit not in _IN_GEV:
                raise ValueError(f"units must be of {', '.join(_IN_GEV)}, not {unit!r}")

    @property
    def showers_in_gev(self) -> float:
        """Units of the deposits in a GeV."""
        return _IN_GEV[self.showers]

    @property
    def energies_in_gev(self) -> float:
        """Units of the incident energies in a GeV."""
        return _IN_GEV[self.energy]

    def __str__(self) -> str:
        return self.showers if self.showers == self.energy else f"[{self.showers}, {self.energy}]"


def find_units(path: Path, showers: Any, energy: Any, given: str | Sequence[str] | None = None) -> Units:
    """The units of a file: as given, else as an attribute says, else those of the layouts.

    Parameters
    ----------
    path
        The file, for messages.
    showers, energy
        Its data sets. An attribute ``units`` or ``unit`` of them, or of the file, is their unit.
    given
        One unit for both, or that of the deposits and that of the incident energies.

    Raises
    ------
    ValueError
        If what is given is not one or two units.
    EventFileError
        If an attribute is not a unit that is known.
    """
    if given is not None:
        names = as_names(given)
        if len(names) not in (1, 2):
            raise ValueError(f"units must be one, or those of deposits and of energies, not {list(names)}")
        return Units(names[0], names[-1])
    found = [_attribute(dataset) for dataset in (showers, energy)]
    if found == [None, None]:
        return Units(stated=False)
    # One that is silent has the unit of the other.
    one, other = found[0] or found[1], found[1] or found[0]
    try:
        return Units(str(one), str(other))
    except ValueError as error:
        raise EventFileError(path, f"its attributes say so: {error}; pass units=") from error


def _attribute(dataset: Any) -> str | None:
    for attributes in (dataset.attrs, dataset.file.attrs, read_metadata(dataset.file.attrs)):
        for name in ("units", "unit"):
            if name in attributes:
                value = attributes[name]
                return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return None


def read_metadata(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What our own files keep of how they were made; nothing of files of others."""
    try:
        found = json.loads(attributes.get("metadata", "{}"))
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def check_units(
    path: Path,
    units: Units,
    deposits: NDArray[np.float64],
    energy: NDArray[np.float64],
    energy_range: tuple[float, float],
) -> None:
    """Refuse units that nobody stated and that cannot be right.

    Two tests, of medians of the first showers. The deposited part of the incident energy must be between 0.004 and 4;
    this tells units of deposits that are not those of the energies. Incident energies must be in the detector's range,
    unless they are not in another unit either; this tells GeV from MeV where both have the same.

    Parameters
    ----------
    path
        The file, for messages.
    units
        As assumed.
    deposits, energy
        Sums of the deposits of showers and incident energies, (n,), as they stand in the file.
    energy_range
        Incident energies of the detector in GeV.

    Raises
    ------
    EventFileError
        Saying what cannot be, and which units would fit.
    """
    usable = np.isfinite(deposits) & np.isfinite(energy) & (deposits > 0) & (energy > 0)
    if units.stated or not usable.any():
        return
    raw_energy = float(np.median(energy[usable]))
    raw_ratio = float(np.median(deposits[usable] / energy[usable]))
    fitting = [
        option
        for option in (Units(one, other) for one in _IN_GEV for other in _IN_GEV)
        if 1e-3 * _LARGEST_RATIO
        < raw_ratio * option.energies_in_gev / option.showers_in_gev
        <= _LARGEST_RATIO
    ]
    in_range = [
        option
        for option in fitting
        if energy_range[0] <= raw_energy / option.energies_in_gev <= energy_range[1]
    ]
    fitting = in_range or fitting
    if (units.showers, units.energy) in [(option.showers, option.energy) for option in fitting]:
        return
    ratio = raw_ratio * units.energies_in_gev / units.showers_in_gev
    remedy = " or ".join(f"units={option}" for option in fitting)
    raise EventFileError(
        path,
        f"it does not say its units, and {units} cannot be right: incident energies would be "
        f"{raw_energy / units.energies_in_gev:.3g} GeV and {ratio:.3g} of them deposited (medians), in a detector of "
        f"{energy_range[0]:g} to {energy_range[1]:g} GeV; "
        + (f"{remedy} would fit" if remedy else "no unit would fit")
        + ", pass units= to say which they are (MeV, GeV, or a pair: of deposits and of energies)",
    )
