"""How are weights of another package's network read into ours, without losing one?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lorentzoo.core.errors import CheckpointError

__all__ = ["PublishedOption", "StateDictError", "WeightReader", "complete_options", "require_package"]


@dataclass(frozen=True)
class PublishedOption:
    """An argument of a published network's constructor that its state dict does not show.

    Parameters
    ----------
    default
        Of the published constructor.
    allowed
        The values that can be computed here; empty for any.
    """

    default: object
    allowed: tuple[object, ...] = ()


class StateDictError(CheckpointError):
    """A foreign state dict does not fit the network.

    Attributes
    ----------
    missing, extra
        Keys that the network needs and the state dict lacks, and the reverse.
    misshapen
        For each key of the wrong shape, the shape needed and the shape found.
    """

    def __init__(
        self,
        missing: list[str],
        extra: list[str],
        misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        self.missing, self.extra, self.misshapen = missing, extra, misshapen
        lines = [
            "the state dict does not fit this network; give the network the hyperparameters it was made with"
        ]
        lines += [f"  missing: {key}" for key in missing]
        lines += [f"  extra: {key}" for key in extra]
        lines += [
            f"  misshapen: {key} is {found}, needed {needed}" for key, (needed, found) in misshapen.items()
        ]
        super().__init__("\n".join(lines))


class WeightReader:
    """Takes tensors out of a foreign state dict and remembers what did not fit.

    Nothing is written before `finish`, so a state dict that does not fit leaves the network as it was.

    Parameters
    ----------
    state
        The foreign state dict.
    ignored
        Endings of keys that hold no weights.
    """

    def __init__(self, state: Mapping[str, Tensor], ignored: tuple[str, ...] = ()) -> None:
        self.state = state
        self.left = {key for key in state if not ignored or not key.endswith(ignored)}
        self.missing: list[str] = []
        self.misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._updates: list[tuple[Tensor, Tensor]] = []
        self._prefix = ""

    def has(self, key: str) -> bool:
        """Whether there is such a key."""
        return self._prefix + key in self.state

    def take(self, key: str, *shape: int) -> Tensor:
        """The tensor of a key; zeros of the shape needed where it is missing or misshapen."""
        key = self._prefix + key
        self.left.discard(key)
        if key not in self.state:
            self.missing.append(key)
        elif tuple(self.state[key].shape) != shape:
            self.misshapen[key] = (shape, tuple(self.state[key].shape))
        else:
            return self.state[key].detach()
        return torch.zeros(shape)

    @contextmanager
    def under(self, prefix: str) -> Iterator[None]:
        """Read keys below a prefix, for a network inside another one."""
        before, self._prefix = self._prefix, self._prefix + prefix
        try:
            yield
        finally:
            self._prefix = before

    def copy(self, target: Tensor, key: str) -> None:
        """Read a key of the target's own shape into the target."""
        self.assign(target, self.take(key, *target.shape))

    def copy_module(self, module: nn.Module, prefix: str) -> None:
        """Read every parameter and buffer of a module under the same names."""
        for name, target in module.state_dict(keep_vars=True).items():
            self.copy(target, f"{prefix}.{name}")

    def copy_pointwise(self, linear: nn.Linear, prefix: str, kernel: int) -> None:
        """Read a convolution of width one (its kernel has `kernel` further dimensions) into a linear map."""
        shape = (*linear.weight.shape, *(1,) * kernel)
        self.assign(linear.weight, self.take(f"{prefix}.weight", *shape).reshape(linear.weight.shape))
        if linear.bias is not None:
            self.copy(linear.bias, f"{prefix}.bias")

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Write a value into a parameter or buffer once everything has been read."""
        self._updates.append((target, value))

    def layers(self, prefix: str, count: int, first: int, stride: int) -> list[str]:
        """Prefixes of the layers of a list that have weights; dropout layers shift the others."""
        whole = self._prefix + prefix
        places = {int(key[len(whole) :].split(".")[0]) for key in self.state if key.startswith(whole)}
        found = sorted(places)
        if len(found) != count:
            found = [first + stride * place for place in range(count)]
        return [f"{prefix}{place}" for place in found]

    def list_last_layers(self, prefix: str) -> list[str]:
        """Prefixes of the linear maps of a sequence of (linear, activation, dropout) with one linear map at its end."""
        start = f"{self._prefix}{prefix}."
        places = {int(key[len(start) :].split(".")[0]) for key in self.state if key.startswith(start)}
        inner = {place for place in places if f"{start}{place}.weight" not in self.state}
        return [f"{prefix}.{place}.0" if place in inner else f"{prefix}.{place}" for place in sorted(places)]

    @torch.no_grad()
    def finish(self) -> None:
        """Write all targets.

        Raises
        ------
        StateDictError
            If anything was missing, extra or misshapen; then nothing has been changed.
        """
        if self.missing or self.left or self.misshapen:
            raise StateDictError(sorted(self.missing), sorted(self.left), self.misshapen)
        for target, value in self._updates:
            target.copy_(value)


def require_package(package: str, *known: str) -> None:
    """Refuse a package whose layout is not known.

    Raises
    ------
    CheckpointError
        Naming the packages that are.
    """
    if package not in known:
        raise CheckpointError(f"weights of {package!r} cannot be read here; known: {', '.join(known)}")


def complete_options(
    declared: Mapping[str, PublishedOption], given: Mapping[str, Any] | None, package: str
) -> dict[str, Any]:
    """A value for every option of a published network: those given, and its own defaults for the others.

    Parameters
    ----------
    declared
        The options, see `Backbone.published_options`.
    given
        Arguments of the published constructor; None where nothing is known of them.
    package
        For the messages.

    Raises
    ------
    CheckpointError
        If nothing is given where there are options, or an option is unknown, or a value cannot be computed here.
    """
    if given is not None and not isinstance(given, Mapping):
        raise CheckpointError(f"options are a mapping of names to values, not {given!r}")
    if given is None and declared:
        listing = ", ".join(f"{name}={option.default!r}" for name, option in declared.items())
        raise CheckpointError(
            f"a state dict of {package!r} does not say with which options its network was made. Give them as "
            f"options={{...}}; options={{}} stands for the package's defaults: {listing}"
        )
    values = {name: option.default for name, option in declared.items()}
    for name, value in (given or {}).items():
        if name not in declared:
            raise CheckpointError(
                f"{name!r} is not an option that is asked for {package!r}; asked for are "
                f"{', '.join(declared) or 'none'}. Hyperparameters belong to the model into which weights are read"
            )
        allowed = declared[name].allowed
        if allowed and not any(value == one and type(value) is type(one) for one in allowed):
            raise CheckpointError(
                f"networks of {package!r} with {name}={value!r} cannot be read; possible: "
                f"{', '.join(map(repr, allowed))}"
            )
        values[name] = value
    return values
