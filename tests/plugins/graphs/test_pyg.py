"""Messages of torch-geometric convolutions between local frames."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch_geometric.nn import SAGEConv

import lorentzoo as lz
from lorentzoo.core.errors import CompositionError
from lorentzoo.core.minkowski import random_lorentz
from lorentzoo.plugins.graphs.transport import FrameConv

CONVOLUTIONS = [
    "GATv2Conv",
    "GATConv",
    "SAGEConv",
    "GINConv",
    "EdgeConv",
    "TransformerConv",
    "GraphConv",
    "GCNConv",
    "ResGatedGraphConv",
    "GATv2Conv,conv_parameters={heads: 2}",
]


def _sage() -> FrameConv:
    conv = SAGEConv(4, 4, root_weight=False, bias=False).double()
    with torch.no_grad():
        conv.lin_l.weight.copy_(torch.eye(4))
    return FrameConv(conv, {"x": lz.Reps.parse("1x1n")})


def test_mean_of_neighbours_arrives_in_the_receivers_frame():
    """The oracle: identity weights return L_i (mean neighbour momentum) for any frames; its inverse would not."""
    torch.manual_seed(0)
    layout = lz.Packed.from_lengths([5, 1, 3])
    momenta = torch.randn(9, 4, dtype=torch.float64)
    matrices = random_lorentz(9, max_rapidity=2.0)
    local = (matrices @ momenta.unsqueeze(-1)).squeeze(-1)
    out = _sage()(local, layout.edges(), matrices)
    for event in range(3):
        rows = range(int(layout.ptr[event]), int(layout.ptr[event + 1]))
        for i in rows:
            others = [j for j in rows if j != i]
            mean = momenta[others].mean(0) if others else torch.zeros(4, dtype=torch.float64)
            assert torch.allclose(out[i], matrices[i] @ mean, atol=1e-9)


@pytest.mark.parametrize("conv", CONVOLUTIONS)
def test_symmetry_is_as_computed(conv):
    model = lz.compose(
        frames="lloca-polar",
        embedding=["kinematics", "momenta"],
        backbone=f"pyg:conv={conv},num_layers=2,hidden_reps=8x0n+2x1n",
    )
    result = lz.verify(model, rapidities=(1.0,))
    assert result.passed, result
    assert result.measured.is_full


def test_copies_pickles_and_keys_survive():
    layer = _sage()
    keys = list(layer.state_dict())
    x, edges = torch.randn(4, 4, dtype=torch.float64), lz.Packed.from_lengths([4]).edges()
    matrices = random_lorentz(4)
    expected = layer(x, edges, matrices)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert list(other.state_dict()) == keys == ["conv.lin_l.weight"]
        assert torch.equal(other(x, edges, matrices), expected)


def test_without_frames_the_convolution_is_itself():
    layer = _sage()
    plain = SAGEConv(4, 4, root_weight=False, bias=False).double()
    plain.load_state_dict(layer.conv.state_dict())
    x, edges = torch.randn(4, 4, dtype=torch.float64), lz.Packed.from_lengths([4]).edges()
    assert torch.equal(layer(x, edges, None), plain(x, edges))


def test_frames_do_not_outlive_the_call():
    layer = _sage()
    with pytest.raises(ValueError, match="have 4 numbers"):
        layer(torch.randn(4, 3, dtype=torch.float64), lz.Packed.from_lengths([4]).edges(), random_lorentz(4))
    assert layer.conv.__dict__["_frames"] is None
    assert layer.conv.__dict__["_relative"] is None


def test_undeclared_arguments_are_refused():
    with pytest.raises(ValueError, match=r"SAGEConv sends \['x'\]: declare a representation"):
        FrameConv(SAGEConv(4, 4), {})


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        ("DynamicEdgeConv", "comparing features of different frames"),
        ("HypergraphConv", "mixes features of many frames"),
        ("NoSuchConv", "has no convolution 'NoSuchConv'"),
    ],
)
def test_what_makes_no_sense_is_refused(conv, reason):
    with pytest.raises(CompositionError, match=reason):
        lz.compose(backbone={"name": "pyg", "conv": conv})


def test_edges_of_both_layouts_agree():
    packed = lz.Packed.from_lengths([3, 0, 2])
    assert packed.edges().tolist() == [[1, 2, 0, 2, 0, 1, 4, 3], [0, 0, 1, 1, 2, 2, 3, 4]]
    padded = lz.Padded(torch.tensor([[True, True, True], [False] * 3, [True, False, True]]))
    assert padded.edges().tolist() == [[1, 2, 0, 2, 0, 1, 8, 6], [0, 0, 1, 1, 2, 2, 6, 8]]


def test_linear_layers_inside_are_trained():
    model = lz.compose(backbone="pyg:conv=GINConv,num_layers=1,hidden_reps=4x0n+1x1n")
    assert any(isinstance(module, nn.Linear) for module in model.backbone.layers.modules())
    cloud = lz.ParticleCloud.from_list([[[2.0, 1, 0, 0], [3.0, 0, 1, 0]]])
    model(cloud).sum().backward()
    assert all(p.grad is not None for p in model.backbone.layers.parameters())
