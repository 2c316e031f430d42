"""How does a model go to the Hugging Face Hub?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorentzoo.core.errors import CheckpointError
from lorentzoo.core.trainable import Trainable
from lorentzoo.registry.cards import is_as_written, write_card
from lorentzoo.registry.checkpoints import load, save
from lorentzoo.registry.details import Details, read_details
from lorentzoo.registry.hub import HubAddress, upload
from lorentzoo.registry.saved import CARD
from lorentzoo.registry.sources import locate

__all__ = ["push"]


def push(
    model: Trainable | str | Path,
    address: str,
    *,
    details: Details | Mapping[str, Any] | None = None,
    private: bool = True,
    revision: str | None = None,
    message: str = "",
) -> str:
    """Send a model to the Hugging Face Hub, from where ``lorentzoo.load(address)`` loads it.

    Sent are the four files of a saved model, as one commit; further files of the repository stay. The card says how to
    load the model from there; a card that was changed by hand is sent as it is.

    Parameters
    ----------
    model
        A model, or the folder of a saved one or of a run, which is loaded to see that it is whole.
    address
        ``"hf://owner/name"``, with ``/folder`` where a repository holds several models.
    details
        As for `lorentzoo.save`; by default those of the folder.
    private
        Whether a repository that is made for it can be seen by its owner alone; one that is there stays as it is.
    revision
        Branch, made if needed; the main one by default. ``hf://owner/name@branch`` says the same.
    message
        Of the commit.

    Returns
    -------
    The address with the commit, which always loads this very model.

    Raises
    ------
    MissingExtraError
        If ``huggingface_hub`` is not installed: ``pip install "lorentzoo[hub]"``.
    CheckpointError
        If the model cannot be saved or loaded, the address is none, this machine is not logged in or may not write there,
        or the Hub cannot be reached.
    """
    there = HubAddress.parse(address)
    if revision is not None:
        if there.revision not in (None, revision):
            raise CheckpointError(f"{address} names another revision than revision={revision!r}")
        there = HubAddress.parse(str(replace(there, revision=revision)))
    own_card = None
    if not isinstance(model, Trainable):
        source = locate(model)
        model = load(source)
        details = read_details(source) if details is None else details
        own_card = _read_own_card(source / CARD)
    assert isinstance(model, Trainable)
    with tempfile.TemporaryDirectory() as name:
        folder = save(model, Path(name), details=details)
        card = write_card(model, model.spec, read_details(folder), str(there))
        (folder / CARD).write_text(card if own_card is None else own_card, encoding="utf-8", errors="replace")
        return str(upload(folder, there, private=private, message=message or f"{there.repo} by lorentzoo"))


def _read_own_card(path: Path) -> str | None:
    """A card that was written by hand, or changed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return None if is_as_written(text) else text
