"""Pages about the zoo itself, each one file that opens without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorentzoo._lazy import resolve_on_use

_HOMES = {
    "Entry": "lorentzoo.pages.entries",
    "catalogue_html": "lorentzoo.pages.catalogue",
    "collect_entries": "lorentzoo.pages.entries",
    "write_catalogue": "lorentzoo.pages.catalogue",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lorentzoo.pages.catalogue import catalogue_html as catalogue_html
    from lorentzoo.pages.catalogue import write_catalogue as write_catalogue
    from lorentzoo.pages.entries import Entry as Entry
    from lorentzoo.pages.entries import collect_entries as collect_entries

__getattr__, __dir__ = resolve_on_use(__name__, _HOMES)
