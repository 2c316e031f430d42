"""Record state dicts, inputs, outputs and gradients of lgatr 1.4.x as goldens.

Run in an environment of its own, since two versions of one package cannot be installed side by side::

    python -m venv old && old/bin/pip install "lgatr==1.4.3" torch numpy safetensors
    old/bin/python tests/parity/record_lgatr.py

It writes ``tests/parity/goldens/lgatr-1.4-*.safetensors``: weights under ``state.``, float64 inputs in GeV, outputs,
and the gradient of a fixed combination of the outputs with respect to the vector-like input.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lgatr import ConditionalLGATr, LGATr, embed_vector
from lgatr.nets.conditional_lgatr_slim import ConditionalLGATrSlim
from lgatr.nets.lgatr_slim import LGATrSlim
from lgatr.primitives.config import gatr_config
from safetensors.torch import save_file

GOLDENS = Path(__file__).parent / "goldens"
FULL = {"num_blocks": 2, "in_mv_channels": 2, "out_mv_channels": 2, "hidden_mv_channels": 4}
FULL |= {"in_s_channels": 3, "out_s_channels": 2, "hidden_s_channels": 8}
ATTENTION = {"num_heads": 2, "increase_hidden_channels": 2, "head_scale": True}
MLP = {"increase_hidden_channels": 2}
SLIM = {"num_blocks": 2, "in_v_channels": 2, "out_v_channels": 2, "hidden_v_channels": 4, "in_s_channels": 3}
SLIM |= {"out_s_channels": 2, "hidden_s_channels": 8, "num_heads": 2}

CASES: dict[str, tuple[type, dict[str, Any], bool]] = {
    "plain": (LGATr, {**FULL, "attention": ATTENTION, "mlp": MLP}, True),
    "multi-query": (
        LGATr,
        {
            **FULL,
            "attention": {**ATTENTION, "multi_query": True},
            "mlp": {**MLP, "num_hidden_layers": 2},
            "reinsert_mv_channels": (1,),
        },
        True,
    ),
    "full-group": (LGATr, {**FULL, "attention": ATTENTION, "mlp": MLP, "dropout_prob": 0.1}, False),
    "conditional": (
        ConditionalLGATr,
        {
            **FULL,
            "condition_mv_channels": 2,
            "condition_s_channels": 3,
            "attention": ATTENTION,
            "crossattention": ATTENTION,
            "mlp": MLP,
        },
        True,
    ),
    "slim": (LGATrSlim, SLIM, True),
    "slim-conditional": (
        ConditionalLGATrSlim,
        {**SLIM, "condition_v_channels": 2, "condition_s_channels": 3},
        True,
    ),
}


def momenta(*shape: int) -> torch.Tensor:
    """Massive four-momenta of tens of GeV, shape (*shape, 4)."""
    space = 20 * torch.randn(*shape, 3)
    return torch.cat([(space.square().sum(-1, keepdim=True) + 0.14**2).sqrt(), space], dim=-1)


def record(name: str, network: type, config: dict[str, Any], connected: bool) -> None:
    """Write one golden file."""
    torch.manual_seed(0)
    gatr_config.use_fully_connected_subgroup = connected
    model = network(**config).eval()
    slim = "slim" in name
    embed = (lambda x: x) if slim else embed_vector
    inputs = {"vectors": momenta(2, 5, 2), "scalars": torch.randn(2, 5, 3)}
    arguments = [embed(inputs["vectors"].requires_grad_()), inputs["scalars"]]
    if "conditional" in name:
        inputs |= {"condition_vectors": momenta(2, 4, 2), "condition_scalars": torch.randn(2, 4, 3)}
        condition = [embed(inputs["condition_vectors"]), inputs["condition_scalars"]]
        arguments = [arguments[0], condition[0], arguments[1], condition[1]]
    outputs = model(*arguments)
    weights = [torch.randn_like(part) for part in outputs]
    (gradient,) = torch.autograd.grad(
        sum((part * weight).sum() for part, weight in zip(outputs, weights, strict=True)), inputs["vectors"]
    )
    tensors = {f"state.{key}": value for key, value in model.state_dict().items()}
    tensors |= inputs
    tensors |= {"output_multivectors": outputs[0], "output_scalars": outputs[1], "gradient": gradient}
    tensors |= {"weight_multivectors": weights[0], "weight_scalars": weights[1]}
    GOLDENS.mkdir(exist_ok=True)
    metadata = {"lgatr": version("lgatr"), "config": json.dumps(config), "connected": json.dumps(connected)}
    save_file(
        {key: value.detach().contiguous().clone() for key, value in tensors.items()},
        GOLDENS / f"lgatr-1.4-{name}.safetensors",
        metadata=metadata,
    )


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    for case, (kind, settings, group) in CASES.items():
        record(case, kind, settings, group)
        print(f"recorded {case}")
