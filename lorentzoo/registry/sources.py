"""Where is the saved model that somebody names: in a folder, on the Hub, among the trained weights that are installed?"""

from __future__ import annotations

from pathlib import Path

from lorentzoo.core.errors import CheckpointError
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.hub import fetch, is_address
from lorentzoo.registry.specs import parse_inline

__all__ = ["locate", "names_weights"]


def names_weights(source: str | Path) -> bool:
    """Whether it is the name of a model with trained weights, ``"model:pretrained=tag"``."""
    name, colon, parameters = str(source).partition(":")
    return bool(colon) and "/" not in name and "pretrained" in parameters


def locate(source: str | Path) -> Path:
    """The folder of a saved model.

    Parameters
    ----------
    source
        A path; ``"hf://owner/name@revision/folder"``, which is fetched into the cache of ``huggingface_hub``; or
        ``"model:pretrained=tag"``, which is installed.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If no such weights are installed, or several.
    MissingExtraError
        If ``huggingface_hub`` is wanted and not installed.
    CheckpointError
        If there is no such repository or revision, it holds no saved model, or the Hub cannot be reached; or other parts
        are asked for than were saved.
    """
    if is_address(source):
        return fetch(source)
    path = Path(source)
    if path.exists() or not names_weights(source):
        return path
    named = parse_inline(str(source))
    others = sorted(set(named.parameters) - {"pretrained"})
    if others:
        raise CheckpointError(
            f"{source} is not as it was saved ({', '.join(others)}): make it by lorentzoo.create_model, or leave that out"
        )
    model = catalogue().find("model", named.name, catalogue().own_plugins).name
    return catalogue().find_weights(model, named.parameters["pretrained"]).path
