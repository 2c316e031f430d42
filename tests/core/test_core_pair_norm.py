"""Statistics of a layer on pairs, against the layer evaluated on every pair."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lorentzoo import Packed, Padded
from lorentzoo.nn.norms import MaskedBatchNorm
from lorentzoo.nn.pair_norm import PairTerms, edge_sums, normalise_pairs

C, K = 5, 3


def edges(x: Tensor) -> Tensor:
    """Edge channels that are not symmetric and have a mean, (b, n, D) -> (b, n, n, K)."""
    both = x.unsqueeze(2) - 0.4 * x.unsqueeze(1)
    return torch.sin(both[..., :K]) * both[..., -1:] + 2.0


def setting(lengths: list[int], seed: int):
    torch.manual_seed(seed)
    layout = Packed.from_lengths(lengths)
    number = sum(lengths)
    x = torch.randn(number, K + 1, dtype=torch.float64)
    receive, send = (3.0 + torch.randn(number, C, dtype=torch.float64) for _ in range(2))
    weight = torch.randn(C, K, dtype=torch.float64)
    return layout, [t.requires_grad_() for t in (x, receive, send, weight)]


def norms() -> tuple[MaskedBatchNorm, nn.BatchNorm1d]:
    ours, theirs = MaskedBatchNorm(C).double(), nn.BatchNorm1d(C).double()
    with torch.no_grad():
        theirs.weight.uniform_(0.5, 1.5)
        theirs.bias.normal_()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def run(norm, layout, x, receive, send, weight) -> list[Tensor]:
    """The normalised layer on the pairs i != j of each event, (pairs, C) each."""
    terms = normalise_pairs(
        norm,
        PairTerms(receive, send, weight),
        layout,
        lambda: edge_sums(edges, K, layout, x, max_pairs=2**6),
    )
    packed = [layout.pad(t) for t in (terms.receive, terms.send, x)]
    dense = packed[0].unsqueeze(2) + packed[1].unsqueeze(1) + edges(packed[2]) @ terms.weight.T
    out = []
    for event, n in enumerate(layout.counts().tolist()):
        out.append(dense[event, :n, :n][~torch.eye(n, dtype=torch.bool)])
    return out


@given(st.lists(st.integers(0, 7), min_size=1, max_size=4).filter(lambda x: max(x) > 2), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_statistics_are_those_of_all_pairs(lengths: list[int], seed: int) -> None:
    layout, inputs = setting(lengths, seed)
    x, receive, send, weight = inputs
    ours, theirs = norms()
    out = torch.cat(run(ours, layout, *inputs))
    source, target = layout.edges()
    number = torch.arange(layout.num_rows)
    pair = torch.stack([number[target], number[source]])
    expected_input = receive[pair[0]] + send[pair[1]]
    dense = edges(layout.pad(x))
    event, place = layout.event, number - layout.ptr[layout.event]
    expected_input = expected_input + dense[event[pair[0]], place[pair[0]], place[pair[1]]] @ weight.T
    expected = theirs(expected_input)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert ours.num_batches_tracked == 1
    mixed = torch.randn_like(expected)
    ours_grad = torch.autograd.grad((out.tanh() * mixed).sum(), inputs)
    theirs_grad = torch.autograd.grad((expected.tanh() * mixed).sum(), inputs)
    for a, b in zip(ours_grad, theirs_grad, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(
        torch.cat(run(ours.eval(), layout, *inputs)), theirs.eval()(expected_input), rtol=1e-9, atol=1e-9
    )


def test_padding_is_left_out() -> None:
    layout, inputs = setting([4, 0, 6], 3)
    padded = Padded(torch.arange(6)[None] < torch.tensor([4, 0, 6])[:, None])
    packed_norm, padded_norm = norms()[0], norms()[0]
    padded_norm.load_state_dict(packed_norm.state_dict())
    wanted = run(packed_norm, layout, *inputs)
    dirty = [layout.pad(t, fill=7.0) for t in inputs[:3]]

    class Shown(Padded):
        def pad(self, x: Tensor, fill: float = 0.0) -> Tensor:
            return x

    found = run(padded_norm, Shown(padded.mask), *dirty, inputs[3])
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(padded_norm.running_var, packed_norm.running_var)


def test_a_batch_without_pairs_leaves_the_running_statistics() -> None:
    layout, inputs = setting([1, 1, 0], 0)
    norm, _ = norms()
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(3.0)
    run(norm, layout, *inputs)
    assert torch.equal(norm.running_mean, torch.full((C,), 2.0, dtype=torch.float64))
    assert torch.equal(norm.running_var, torch.full((C,), 3.0, dtype=torch.float64))


def test_a_large_mean_costs_no_digits() -> None:
    layout, inputs = setting([9, 12], 1)
    x, receive, send, weight = (t.detach() for t in inputs)
    double, single = norms()[0], norms()[0]
    single.load_state_dict(double.state_dict())
    wanted = torch.cat(run(double, layout, x, receive + 1e4, send, weight))
    args = [t.float() for t in (x, receive, send, weight)]
    # The shares are rounded to float32 around the offset, the statistics are not worse than that.
    args[1] = args[1] + 1e4
    found = torch.cat(run(single.float(), layout, *args))
    assert (found - wanted).abs().max() < 0.01
