"""What does a backbone have on the way to its outputs, and which of its maps is the last?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any, ClassVar

from torch import Tensor, nn

from lorentzoo.core.errors import CompositionError
from lorentzoo.core.features import Features
from lorentzoo.core.layout import Layout

__all__ = ["Staged", "record_calls"]


class Staged(nn.Module):
    """What a backbone tells of its inside, for `Model.embed`, `Model.features` and fine-tuning.

    Those that emit features of a given width have nothing to add. Those that project divide their last step off:
    ``forward`` is `project` of the `last_features`, by the parameters of the `last_map`.
    """

    projects: ClassVar[bool] = False

    @property
    def stages(self) -> Mapping[str, nn.Module]:
        """Modules whose outputs are features of all rows, in the order in which they run.

        Returns
        -------
        By default those of the `torch.nn.ModuleList` ``blocks``, as ``"blocks.0"`` and so on. A backbone whose blocks act
        on anything but rows, e.g. pairs, has to leave them out.
        """
        blocks = getattr(self, "blocks", None)
        return {
            f"blocks.{number}": block
            for number, block in enumerate(blocks if isinstance(blocks, nn.ModuleList) else ())
        }

    def read_stage(self, output: Any) -> Features:
        """What a stage gives, as features: of scalars (*lead, S), or a pair of scalars and vectors (*lead, V, 4)."""
        if isinstance(output, Tensor):
            return Features.of_scalars(output)
        return Features(*output)

    @property
    def last_map(self) -> nn.Module | None:
        """Where it projects, the module that makes what the head wants of the `last_features`; None otherwise.

        It counts as part of the head: it is made anew where another head wants other numbers, and is not frozen with the
        backbone.
        """
        return None

    def last_features(self, *inputs: Any, **second: Any) -> Features:
        """What stands before the last map, of rows or, where it pools, of events; the inputs are those of `forward`.

        Raises
        ------
        CompositionError
            If it projects and does not say so.
        """
        if self.projects:
            raise CompositionError(
                f"{type(self).__name__} emits what its head wants and does not say what stands before that: it has to "
                "define `last_map`, `last_features` and `project`, see lorentzoo.core.stages"
            )
        found: Features = self(*inputs, **second)
        return found

    def project(self, features: Features, layout: Layout) -> Features:
        """What the head is given of the `last_features`; themselves where the head owns the last map."""
        return features


@contextmanager
def record_calls(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[Any, Any]]]:
    """First input and output of the last call of modules while a block runs, by their names.

    Nothing stays on the modules, and what another thread has them compute meanwhile is not recorded.
    """
    found: dict[str, tuple[Any, Any]] = {}
    thread = get_ident()

    def record_as(name: str) -> Callable[..., None]:
        def record(_: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            if get_ident() == thread:
                found[name] = given[0], output

        return record

    with ExitStack() as stack:
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(record_as(name)).remove)
        yield found
