"""Which elementary bijections are coordinates made of?

Each step maps the numbers of one particle to as many others (or, on shell, four to three), in float64 and independently
of all other particles, with the determinant of its Jacobian and the push-forward of velocities both ways in closed form.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lorentzoo.core.minkowski import mass_squared
from lorentzoo.core.symmetry import Symmetry

__all__ = ["Bounded", "Cylindrical", "Identity", "Logarithm", "MassShell", "OnShell", "Rapidity", "Step"]

Names = tuple[str, ...]


class Step(nn.Module, ABC):
    """A bijection x ↔ y on the last dimension; a `Coordinates` is a chain of them."""

    @property
    def symmetry(self) -> Symmetry:
        """What commutes with the push-forward of velocities; of a bijection of all four components, everything."""
        return Symmetry.full()

    def names(self, names: Names) -> Names:
        """Names of the components of y, given those of x."""
        return names

    def inside(self, x: Tensor) -> Tensor:
        """Whether x lies where the step is defined, (..., D) to (...), bool."""
        return torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """y of x."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """x of y."""

    @abstractmethod
    def log_det(self, x: Tensor) -> Tensor:
        """log |∂y/∂x|, (..., D) to (...)."""

    @abstractmethod
    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        """The velocity of y, (∂y/∂x) ẋ, of a velocity of x."""

    @abstractmethod
    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        """The velocity of x, (∂x/∂y) ẏ, of a velocity of y."""


class Identity(Step):
    """The four-momentum itself, (E, px, py, pz)."""

    def names(self, names: Names) -> Names:
        return names

    def forward(self, x: Tensor) -> Tensor:
        """The same."""
        return x

    def inverse(self, y: Tensor) -> Tensor:
        return y

    def log_det(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1])

    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        return velocity

    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        return velocity


class MassShell(Step):
    """(E, px, py, pz) ↔ (px, py, pz, m²), with positive energies."""

    def names(self, names: Names) -> Names:
        return ("px", "py", "pz", "mass2")

    def inside(self, x: Tensor) -> Tensor:
        return x[..., 0] > 0

    def forward(self, x: Tensor) -> Tensor:
        """(px, py, pz, m²)."""
        return torch.cat([x[..., 1:], mass_squared(x).unsqueeze(-1)], dim=-1)

    def inverse(self, y: Tensor) -> Tensor:
        energy = (y[..., :3].square().sum(-1) + y[..., 3]).sqrt()
        return torch.cat([energy.unsqueeze(-1), y[..., :3]], dim=-1)

    def log_det(self, x: Tensor) -> Tensor:
        """log 2E."""
        return torch.log(2 * x[..., 0])

    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        change = x[..., 0] * velocity[..., 0] - (x[..., 1:] * velocity[..., 1:]).sum(-1)
        return torch.cat([velocity[..., 1:], 2 * change.unsqueeze(-1)], dim=-1)

    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        energy = self.inverse(y)[..., 0]
        change = (velocity[..., 3] / 2 + (y[..., :3] * velocity[..., :3]).sum(-1)) / energy
        return torch.cat([change.unsqueeze(-1), velocity[..., :3]], dim=-1)


class OnShell(Step):
    """(E, px, py, pz) of a particle of fixed mass ↔ (px, py, pz).

    `log_det` is relative to the invariant measure d³p/2E of the shell. Velocities are first projected on the shell's
    tangent space by adjusting the energy, which rotations respect. The projection along the momentum, u - p ⟨u,p⟩/m²,
    would respect boosts too, but makes velocities of light particles larger by (E/m)²: no solver takes that.

    Parameters
    ----------
    mass
        In GeV.
    """

    def __init__(self, mass: float = 0.0) -> None:
        super().__init__()
        if not mass >= 0:
            raise ValueError(f"mass must not be negative, but is {mass} GeV")
        self.mass = mass

    @property
    def symmetry(self) -> Symmetry:
        return Symmetry.spanned_by("Jx", "Jy", "Jz", discrete=("P", "z-flip"))

    def names(self, names: Names) -> Names:
        return ("px", "py", "pz")

    def inside(self, x: Tensor) -> Tensor:
        """Whether the momentum is on the shell, to the rounding of its energy."""
        energy = self.inverse(x[..., 1:])[..., 0]
        return (x[..., 0] - energy).abs() <= 1e-6 * energy

    def forward(self, x: Tensor) -> Tensor:
        """(px, py, pz)."""
        return x[..., 1:]

    def inverse(self, y: Tensor) -> Tensor:
        energy = (y.square().sum(-1, keepdim=True) + self.mass**2).sqrt()
        return torch.cat([energy, y], dim=-1)

    def log_det(self, x: Tensor) -> Tensor:
        """log 2E, relative to d³p/2E."""
        return torch.log(2 * x[..., 0])

    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        return velocity[..., 1:]

    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        energy = self.inverse(y)[..., :1]
        return torch.cat([(y * velocity).sum(-1, keepdim=True) / energy, velocity], dim=-1)


class Cylindrical(Step):
    """(px, py, pz, ...) ↔ (pT, φ, η, ...), off the beam axis."""

    def names(self, names: Names) -> Names:
        return ("pt", "phi", "eta", *names[3:])

    def inside(self, x: Tensor) -> Tensor:
        return x[..., :2].square().sum(-1) > 0

    def forward(self, x: Tensor) -> Tensor:
        """(pT, φ, η, ...) with φ in (-π, π]."""
        pt = torch.hypot(x[..., 0], x[..., 1])
        polar = torch.stack([pt, torch.atan2(x[..., 1], x[..., 0]), torch.asinh(x[..., 2] / pt)], dim=-1)
        return torch.cat([polar, x[..., 3:]], dim=-1)

    def inverse(self, y: Tensor) -> Tensor:
        pt, phi, eta = y[..., :3].unbind(-1)
        three = torch.stack([pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()], dim=-1)
        return torch.cat([three, y[..., 3:]], dim=-1)

    def log_det(self, x: Tensor) -> Tensor:
        """-log(pT² cosh η) = -log(pT |p|)."""
        pt, three = torch.hypot(x[..., 0], x[..., 1]), x[..., :3].square().sum(-1).sqrt()
        return -torch.log(pt) - torch.log(three)

    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        px, py, pz = x[..., :3].unbind(-1)
        vx, vy, vz = velocity[..., :3].unbind(-1)
        pt = torch.hypot(px, py)
        vt = (px * vx + py * vy) / pt
        turn = (px * vy - py * vx) / pt.square()
        rise = (vz - pz / pt * vt) / torch.hypot(pt, pz)
        return torch.cat([torch.stack([vt, turn, rise], dim=-1), velocity[..., 3:]], dim=-1)

    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        pt, phi, eta = y[..., :3].unbind(-1)
        vt, turn, rise = velocity[..., :3].unbind(-1)
        three = torch.stack(
            [
                phi.cos() * vt - pt * phi.sin() * turn,
                phi.sin() * vt + pt * phi.cos() * turn,
                eta.sinh() * vt + pt * eta.cosh() * rise,
            ],
            dim=-1,
        )
        return torch.cat([three, velocity[..., 3:]], dim=-1)


class Rapidity(Step):
    """(pT, φ, η, m²) ↔ (pT, φ, y, m²): a beam boost shifts y of every particle alike."""

    def names(self, names: Names) -> Names:
        return (*names[:2], "rapidity", *names[3:])

    def forward(self, x: Tensor) -> Tensor:
        """(pT, φ, y, m²), with sinh y = (pT/mT) sinh η."""
        pt, _, eta, mass2 = x.unbind(-1)
        y = torch.asinh(pt / (pt.square() + mass2).sqrt() * eta.sinh())
        return torch.cat([x[..., :2], y.unsqueeze(-1), x[..., 3:]], dim=-1)

    def inverse(self, y: Tensor) -> Tensor:
        pt, _, rapidity, mass2 = y.unbind(-1)
        eta = torch.asinh((pt.square() + mass2).sqrt() / pt * rapidity.sinh())
        return torch.cat([y[..., :2], eta.unsqueeze(-1), y[..., 3:]], dim=-1)

    def log_det(self, x: Tensor) -> Tensor:
        """log |p|/E."""
        pt, _, eta, mass2 = x.unbind(-1)
        three = pt * eta.cosh()
        return torch.log(three) - 0.5 * torch.log(three.square() + mass2)

    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        pt, _, eta, mass2 = x.unbind(-1)
        vt, _, rise, grow = velocity.unbind(-1)
        transverse2 = pt.square() + mass2
        ratio = pt / transverse2.sqrt()
        # d(pT/mT), with mT² = pT² + m².
        change = (mass2 * vt - pt * grow / 2) / transverse2**1.5
        sinh = ratio * eta.sinh()
        turned = (change * eta.sinh() + ratio * eta.cosh() * rise) / (1 + sinh.square()).sqrt()
        return torch.cat([velocity[..., :2], turned.unsqueeze(-1), velocity[..., 3:]], dim=-1)

    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        pt, _, rapidity, mass2 = y.unbind(-1)
        vt, _, rise, grow = velocity.unbind(-1)
        transverse = (pt.square() + mass2).sqrt()
        ratio = transverse / pt
        change = (pt * grow / 2 - mass2 * vt) / (transverse * pt.square())
        sinh = ratio * rapidity.sinh()
        turned = (change * rapidity.sinh() + ratio * rapidity.cosh() * rise) / (1 + sinh.square()).sqrt()
        return torch.cat([velocity[..., :2], turned.unsqueeze(-1), velocity[..., 3:]], dim=-1)


class Logarithm(Step):
    """One component x → ln(x - minimum): a boundary at infinite distance.

    Parameters
    ----------
    component
        Which one.
    minimum
        The boundary.
    """

    def __init__(self, component: int, minimum: float = 0.0) -> None:
        super().__init__()
        self.component = component
        self.minimum = minimum

    def names(self, names: Names) -> Names:
        c = self.component
        return (*names[:c], f"log_{names[c]}", *names[c + 1 :])

    def inside(self, x: Tensor) -> Tensor:
        return x[..., self.component] > self.minimum

    def forward(self, x: Tensor) -> Tensor:
        """The component's logarithm in its place."""
        return _replaced(x, self.component, torch.log(x[..., self.component] - self.minimum))

    def inverse(self, y: Tensor) -> Tensor:
        return _replaced(y, self.component, torch.exp(y[..., self.component]) + self.minimum)

    def log_det(self, x: Tensor) -> Tensor:
        return -torch.log(x[..., self.component] - self.minimum)

    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        c = self.component
        return _replaced(velocity, c, velocity[..., c] / (x[..., c] - self.minimum))

    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        c = self.component
        return _replaced(velocity, c, velocity[..., c] * torch.exp(y[..., c]))


class Bounded(Step):
    """One component x in (-maximum, maximum) → maximum · artanh(x / maximum), which is x itself far from the bounds.

    Parameters
    ----------
    component
        Which one.
    maximum
        The bound.
    """

    def __init__(self, component: int, maximum: float) -> None:
        super().__init__()
        if not maximum > 0:
            raise ValueError(f"a bound must be positive, not {maximum}")
        self.component = component
        self.maximum = maximum

    def names(self, names: Names) -> Names:
        c = self.component
        return (*names[:c], f"bounded_{names[c]}", *names[c + 1 :])

    def inside(self, x: Tensor) -> Tensor:
        return x[..., self.component].abs() < self.maximum

    def forward(self, x: Tensor) -> Tensor:
        """The component's artanh in its place."""
        ratio = x[..., self.component] / self.maximum
        return _replaced(x, self.component, self.maximum * torch.atanh(ratio))

    def inverse(self, y: Tensor) -> Tensor:
        return _replaced(y, self.component, self.maximum * torch.tanh(y[..., self.component] / self.maximum))

    def log_det(self, x: Tensor) -> Tensor:
        ratio = x[..., self.component] / self.maximum
        return -torch.log1p(-ratio) - torch.log1p(ratio)

    def push(self, x: Tensor, velocity: Tensor) -> Tensor:
        c = self.component
        ratio = x[..., c] / self.maximum
        return _replaced(velocity, c, velocity[..., c] / ((1 - ratio) * (1 + ratio)))

    def pull(self, y: Tensor, velocity: Tensor) -> Tensor:
        c = self.component
        return _replaced(velocity, c, velocity[..., c] / torch.cosh(y[..., c] / self.maximum).square())


def _replaced(x: Tensor, component: int, values: Tensor) -> Tensor:
    """x with one component replaced."""
    return torch.cat([x[..., :component], values.unsqueeze(-1), x[..., component + 1 :]], dim=-1)
