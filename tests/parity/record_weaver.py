"""Record state dict, inputs and outputs of the Particle Transformer of weaver-core 0.4.x as a golden.

Run in an environment of its own::

    python -m venv old && old/bin/pip install "weaver-core==0.4.17" torch numpy safetensors
    old/bin/python tests/parity/record_weaver.py

It writes ``tests/parity/goldens/weaver-0.4-part.safetensors``, as ``record_lloca.py`` does.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file
from weaver.nn.model.ParticleTransformer import ParticleTransformer

B, N = 2, 6


def main() -> None:
    """Write the golden file."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    network = ParticleTransformer(
        7,
        1,
        pair_input_dim=4,
        num_layers=2,
        num_heads=2,
        embed_dims=[8, 16, 12],
        pair_embed_dims=[8, 8],
        use_pre_activation_pair=False,
        trim=False,
    ).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "running_var" in name:
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point() and tensor.ndim < 2:
                tensor.add_(0.2 * torch.randn_like(tensor))
    axis = torch.tensor([300.0, 120.0, 90.0])
    p3 = axis * torch.rand(B, N, 1) / N + 3.0 * torch.randn(B, N, 3)
    momenta = torch.cat([(p3.square().sum(-1, keepdim=True) + 0.14**2).sqrt(), p3], dim=-1)
    scalars = torch.randn(B, N, 7, requires_grad=True)
    v = momenta[..., [1, 2, 3, 0]].transpose(1, 2)
    output = network(scalars.transpose(1, 2) * 1, v=v, mask=torch.ones(B, 1, N))
    (gradient,) = torch.autograd.grad(output.sum(), scalars)
    tensors = {f"state.{key}": value for key, value in network.state_dict().items()}
    tensors |= {"momenta": momenta, "scalars": scalars, "output": output, "gradient": gradient}
    save_file(
        {key: value.detach().contiguous().clone() for key, value in tensors.items()},
        Path(__file__).parent / "goldens" / "weaver-0.4-part.safetensors",
        metadata={"weaver-core": version("weaver-core")},
    )


if __name__ == "__main__":
    main()
