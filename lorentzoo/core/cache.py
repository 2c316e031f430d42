"""Where is kept what can be made again, but not at once?"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """``$LORENTZOO_CACHE``, else ``lorentzoo`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get("LORENTZOO_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "lorentzoo"
