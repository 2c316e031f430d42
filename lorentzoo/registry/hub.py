"""How does a saved model come from the Hugging Face Hub, and go there?

Only files that a saved model has are fetched, by name: nothing that is pickled is downloaded, whatever lies beside them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lorentzoo.core.errors import CheckpointError, LorentzooError
from lorentzoo.core.extras import explain_missing
from lorentzoo.core.text import plain
from lorentzoo.registry.saved import CARD, DETAILS, SPEC, WEIGHTS

__all__ = ["FILES", "HubAddress", "fetch", "is_address", "upload"]

FILES: Final = (SPEC, WEIGHTS, DETAILS, CARD)
_PREFIX: Final = re.compile(r"hf:/{1,2}")
"""A path drops one of two slashes."""
_NAME: Final = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_ADDRESS: Final = re.compile(
    rf"hf:/{{1,2}}(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>refs/pr/\d+|[\w.-]+))?(?:/(?P<folder>{_NAME}(?:/{_NAME})*))?"
)
_PICKLED: Final = (".bin", ".ckpt", ".h5", ".joblib", ".msgpack", ".npz", ".pickle", ".pkl", ".pt", ".pth")


@dataclass(frozen=True)
class HubAddress:
    """Where a model is on the Hub.

    Attributes
    ----------
    repo
        ``"owner/name"``.
    revision
        A branch, a tag or a commit; the main branch with None.
    folder
        Inside of the repository.

    Examples
    --------
    >>> HubAddress.parse("hf://owner/name@v1/top")
    HubAddress(repo='owner/name', revision='v1', folder='top')
    >>> str(HubAddress("owner/name", None, "top"))
    'hf://owner/name/top'
    """

    repo: str
    revision: str | None = None
    folder: str = ""

    @classmethod
    def parse(cls, text: str | Path) -> HubAddress:
        """Read ``"hf://owner/name"``, with ``@revision`` and ``/folder`` if wanted.

        Raises
        ------
        CheckpointError
            If it is none.
        """
        found = _ADDRESS.fullmatch(str(text))
        if found is None or "--" in str(text) or ".." in str(text):
            raise CheckpointError(
                f"{plain(text)!r} is not an address of the Hub: expected hf://owner/name, hf://owner/name@revision or "
                "hf://owner/name@revision/folder"
            )
        return cls(found["repo"], found["revision"], found["folder"] or "")

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"hf://{self.repo}{revision}{self.folder and '/'}{self.folder}"

    def path_of(self, name: str) -> str:
        """A file's path inside of the repository."""
        return f"{self.folder}/{name}" if self.folder else name


def is_address(source: str | Path) -> bool:
    """Whether it names something on the Hub, rightly or not."""
    return _PREFIX.match(str(source)) is not None


def fetch(source: str | Path) -> Path:
    """The folder of a saved model of the Hub, in the cache of ``huggingface_hub``.

    Without a network, what was fetched before serves.

    Parameters
    ----------
    source
        ``"hf://owner/name@revision/folder"``.

    Raises
    ------
    MissingExtraError
        If ``huggingface_hub`` is not installed.
    CheckpointError
        If there is no such repository or revision, it holds no saved model, or the Hub cannot be reached.
    """
    address = HubAddress.parse(source)
    client = _client()
    with _explained(address, "fetched"):
        root = client.snapshot_download(
            address.repo, revision=address.revision, allow_patterns=[address.path_of(name) for name in FILES]
        )
    directory = Path(root) / address.folder
    lacking = [name for name in (SPEC, WEIGHTS) if not (directory / name).is_file()]
    if lacking:
        raise CheckpointError(
            f"{address} is not a saved model: it has no {' and no '.join(lacking)}{_tell_pickled(client, address)}"
        )
    return directory


def upload(directory: Path, address: HubAddress, *, private: bool, message: str) -> HubAddress:
    """Send the files of a saved model as one commit; repository and branch are made if needed.

    Returns
    -------
    The address with the commit.

    Raises
    ------
    MissingExtraError
        If ``huggingface_hub`` is not installed.
    CheckpointError
        If this machine is not logged in, may not write there, or the Hub cannot be reached.
    """
    client = _client()
    with _explained(address, "pushed"):
        api = client.HfApi()
        api.create_repo(address.repo, private=private, exist_ok=True)
        if address.revision is not None:
            api.create_branch(address.repo, branch=address.revision, exist_ok=True)
        done = api.create_commit(
            address.repo,
            [client.CommitOperationAdd(address.path_of(name), str(directory / name)) for name in FILES],
            commit_message=message,
            revision=address.revision,
        )
    return replace(address, revision=done.oid)


# ---- helpers ----------------------------------------------------------------------------------


def _client() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise (explain_missing(error) or error) from error
    return huggingface_hub


@contextlib.contextmanager
def _explained(address: HubAddress, done: str) -> Iterator[None]:
    """Errors of the client, whose classes differ by version, as one line that says what to do."""
    from huggingface_hub import constants, errors

    try:
        yield
    except (LorentzooError, MemoryError):
        raise
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"{address} is gated: ask for access at {constants.ENDPOINT}/{address.repo}, and log in by `hf auth "
            "login` or HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"there is no model {address.repo!r} at {constants.ENDPOINT}, or it is private: then log in by `hf auth "
            "login` or HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{address.repo!r} has no revision {address.revision!r}") from error
    except errors.LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{address} cannot be {done} from {constants.ENDPOINT}, and was not fetched before: {_say_cause(error)}"
        ) from error
    except Exception as error:  # also of the HTTP library, which is another one by version
        status = getattr(getattr(error, "response", None), "status_code", None)
        hint = (
            "log in by `hf auth login` or HF_TOKEN with the right to do so; " if status in (401, 403) else ""
        )
        raise CheckpointError(
            f"{address} cannot be {done} ({constants.ENDPOINT}): {hint}{_say_cause(error)}"
        ) from error


def _say_cause(error: BaseException) -> str:
    """The first of the errors that led to one, in a line."""
    said = getattr(error, "server_message", None)
    while not said and error.__cause__ is not None:
        error = error.__cause__
        said = getattr(error, "server_message", None)
    said = said or str(error).strip()
    return plain(said.splitlines()[0] if said else type(error).__name__)


def _tell_pickled(client: Any, address: HubAddress) -> str:
    """Which files there are instead, that are not read."""
    with contextlib.suppress(Exception):  # only a hint
        names = client.HfApi().list_repo_files(address.repo, revision=address.revision)
        found = [plain(name) for name in names if name.endswith(_PICKLED)]
        if found:
            shown = ", ".join(found[:3])
            return f" ({shown} is not read: files that are pickled can run code; only safetensors are loaded)"
    return ""
