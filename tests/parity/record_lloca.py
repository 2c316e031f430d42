"""Record state dicts, inputs, outputs and gradients of lloca 1.3.x as goldens.

Run in an environment of its own, since two versions of one package cannot be installed side by side::

    python -m venv old && old/bin/pip install "lloca==1.3.4" torch numpy safetensors
    old/bin/python tests/parity/record_lloca.py

It writes ``tests/parity/goldens/lloca-1.3-*.safetensors``: weights under ``state.``, float64 momenta in GeV, local
frames, features and outputs, and the gradient of the summed outputs with respect to the features (networks).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lloca.backbone.graphnet import GraphNet
from lloca.backbone.mlp import MLP
from lloca.backbone.particlenet import ParticleNet
from lloca.backbone.particletransformer import ParticleTransformer
from lloca.backbone.transformer import Transformer
from lloca.equivectors.mlp import MLPVectors
from lloca.framesnet import equi_frames
from lloca.framesnet.frames import Frames
from lloca.utils.rand_transforms import rand_lorentz
from safetensors.torch import save_file
from torch import Tensor, nn

GOLDENS = Path(__file__).parent / "goldens"
B, N = 2, 6
Run = Callable[[nn.Module, dict[str, Tensor]], Tensor]


def jets() -> Tensor:
    """Collimated massive particles in GeV, (B, N, 4)."""
    axis = torch.tensor([300.0, 120.0, 90.0])
    p3 = axis * torch.rand(B, N, 1) / N + 3.0 * torch.randn(B, N, 3)
    return torch.cat([(p3.square().sum(-1, keepdim=True) + 0.14**2).sqrt(), p3], dim=-1)


def shake(module: nn.Module) -> None:
    """Draw every bias and running statistic, so that nothing is hidden by its initial value."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point() or "parity_odd" in name:
                continue
            if "running_var" in name:
                tensor.uniform_(0.5, 1.5)
            elif tensor.ndim < 2:
                tensor.add_(0.2 * torch.randn_like(tensor))


def per_particle(network: nn.Module, given: dict[str, Tensor]) -> Tensor:
    return network(given["scalars"], Frames(given["frames"])).mean(1)


def on_graph(network: nn.Module, given: dict[str, Tensor]) -> Tensor:
    index = torch.tensor(
        [(b * N + i, b * N + j) for b in range(B) for i in range(N) for j in range(N) if i != j]
    ).T
    out = network(given["scalars"].flatten(0, 1), Frames(given["frames"].flatten(0, 1)), index)
    return out.unflatten(0, (B, N)).mean(1)


def on_neighbours(network: nn.Module, given: dict[str, Tensor]) -> Tensor:
    x = given["scalars"] * 1  # the network writes into its input
    return network(x[..., [5, 4]].transpose(1, 2), x.transpose(1, 2), Frames(given["frames"].flatten(0, 1)))


def on_pairs(network: nn.Module, given: dict[str, Tensor]) -> Tensor:
    local = torch.einsum("bnij,bnj->bni", given["frames"], given["momenta"])
    return network(
        given["scalars"].transpose(1, 2),
        Frames(given["frames"]),
        v=local[..., [1, 2, 3, 0]].transpose(1, 2),
        mask=torch.ones(B, 1, N),
    )


def flat(network: nn.Module, given: dict[str, Tensor]) -> Tensor:
    return network(given["scalars"].flatten(1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Run]] = {
    "transformer": (lambda: Transformer(7, "2x0n+1x1n", 1, 2, 2), per_particle),
    "graphnet": (lambda: GraphNet(7, "4x0n+2x1n", 1, 2, num_layers_mlp1=3, num_layers_mlp2=0), on_graph),
    "particlenet": (
        lambda: ParticleNet(
            7,
            ["7x0n", "4x0n+1x1n"],
            1,
            conv_params=[(4, (8,) * 3), (4, (12,) * 3)],
            fc_params=[(16, 0.1)],
            use_fusion=False,
        ),
        on_neighbours,
    ),
    "part": (
        lambda: ParticleTransformer(
            7,
            "2x0n+1x1n",
            1,
            pair_input_dim=4,
            num_layers=2,
            num_heads=2,
            embed_dims=[8, 16, 12],
            pair_embed_dims=[8, 8],
            use_pre_activation_pair=False,
        ),
        on_pairs,
    ),
    "mlp": (lambda: MLP([N, 7], 1, 16, 3), flat),
}
FRAMES: dict[str, dict[str, Any]] = {
    "LearnedPDFrames": {},
    "LearnedSO13Frames": {},
    "LearnedRestFrames": {},
    "LearnedSO3Frames": {},
    "LearnedSO2Frames": {},
    "LearnedZFrames": {},
    "LearnedPDFrames-global": {"is_global": True},
}


def write(name: str, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Write one golden file."""
    GOLDENS.mkdir(exist_ok=True)
    tensors = {**{f"state.{key}": value for key, value in module.state_dict().items()}, **tensors}
    save_file(
        {key: value.detach().contiguous().clone() for key, value in tensors.items()},
        GOLDENS / f"lloca-1.3-{name}.safetensors",
        metadata={"lloca": version("lloca"), "case": json.dumps(name)},
    )
    print(f"recorded {name}")


def main() -> None:
    """Write all golden files."""
    torch.set_default_dtype(torch.float64)
    for name, (make, run) in NETWORKS.items():
        torch.manual_seed(0)
        network = make().double().eval()
        shake(network)
        given = {
            "momenta": jets(),
            "frames": rand_lorentz((B, N), std_eta=0.5, dtype=torch.float64),
            "scalars": torch.randn(B, N, 7),
        }
        given["scalars"].requires_grad_()
        output = run(network, given)
        (gradient,) = torch.autograd.grad(output.sum(), given["scalars"])
        write(name, network, {**given, "output": output, "gradient": gradient})
    for name, options in FRAMES.items():
        torch.manual_seed(0)
        published = getattr(equi_frames, name.split("-")[0])(
            lambda n_vectors: MLPVectors(n_vectors, num_scalars=2, hidden_channels=16, num_layers_mlp=2),
            **options,
        ).double()
        given = {"momenta": jets(), "scalars": torch.randn(B, N, 2)}
        published.equivectors.init_standardization(given["momenta"])
        frames = published(given["momenta"], scalars=given["scalars"])
        write(name, published, {**given, "frames": frames.matrices.reshape(B, N, 4, 4)})


if __name__ == "__main__":
    main()
