"""What is left of a jet without its soft radiation at wide angles? (soft drop, arXiv:1402.2657)"""

from __future__ import annotations

import torch
from torch import Tensor

from lorentzoo.nn import delta_phi, phi, pt, rapidity

__all__ = ["soft_drop"]


def soft_drop(
    momenta: Tensor,
    mask: Tensor | None = None,
    *,
    z_cut: float = 0.1,
    beta: float = 0.0,
    radius: float = 0.8,
) -> Tensor:
    """Which particles soft drop keeps.

    A jet is clustered by angle (Cambridge/Aachen, E scheme) into one, and taken apart again: the softer of two branches
    is dropped until min(pT₁, pT₂) > z_cut (pT₁ + pT₂) (ΔR₁₂ / R₀)^β.

    Parameters
    ----------
    momenta
        (E, px, py, pz) of the particles of each jet, shape (B, N, 4).
    mask
        Which are real, shape (B, N); None where all are.
    z_cut, beta, radius
        Parameters z_cut, β and R₀ of the condition; β = 0 is the modified mass drop tagger (arXiv:1307.0007).

    Returns
    -------
    Which particles are left, shape (B, N); one particle alone if no branching passes, none of a jet without any.
    """
    kept = torch.zeros(momenta.shape[:2], dtype=torch.bool, device=momenta.device)
    with torch.no_grad():
        for jet in range(len(momenta)):
            real = torch.arange(momenta.shape[1]) if mask is None else mask[jet].nonzero().squeeze(1).cpu()
            if len(real):
                groomed = _groom(momenta[jet, real].double().cpu(), z_cut, beta, radius)
                kept[jet, real[groomed]] = True
    return kept


def _groom(p: Tensor, z_cut: float, beta: float, radius: float) -> Tensor:
    """Places of the particles of one jet that are left."""
    count = len(p)
    nodes = torch.cat([p, p.new_zeros(count - 1, 4)])
    place, children = torch.arange(count), {}
    coordinates = torch.stack([rapidity(p), phi(p)], dim=-1)
    for new in range(count, 2 * count - 1):
        apart = coordinates[:, None] - coordinates
        around = delta_phi(coordinates[:, None, 1], coordinates[None, :, 1])
        squared = apart[..., 0].square() + around.square()
        squared.fill_diagonal_(torch.inf)
        first, second = divmod(int(squared.argmin()), len(place))
        children[new] = (int(place[first]), int(place[second]), float(squared[first, second].sqrt()))
        nodes[new] = nodes[place[first]] + nodes[place[second]]
        left = torch.ones(len(place), dtype=torch.bool)
        left[[first, second]] = False
        place = torch.cat([place[left], torch.tensor([new])])
        merged = torch.stack([rapidity(nodes[new]), phi(nodes[new])])
        coordinates = torch.cat([coordinates[left], merged[None]])
    node = int(place[0])
    while node in children:
        first, second, distance = children[node]
        hardness = pt(nodes[[first, second]])
        if float(hardness.min()) > z_cut * float(hardness.sum()) * (distance / radius) ** beta:
            break
        node = first if hardness[0] >= hardness[1] else second
    return torch.tensor(sorted(_list_leaves(node, children)))


def _list_leaves(node: int, children: dict[int, tuple[int, int, float]]) -> list[int]:
    leaves, open_nodes = [], [node]
    while open_nodes:
        current = open_nodes.pop()
        if current in children:
            open_nodes += children[current][:2]
        else:
            leaves.append(current)
    return leaves
