"""Every verb of a layout, packed and padded, against a plain loop over events."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import Tensor

from lorentzoo.core.errors import ShapeError
from lorentzoo.core.layout import Layout, Packed, Padded
from lorentzoo.core.layout.grouping import group_by_length
from lorentzoo.core.layout.rows import drop_rows, gather_rows, mirror_rows, segment_sum, spread_rows

lengths_of_events = st.lists(st.integers(0, 9), max_size=7)
long_events = st.lists(st.sampled_from([0, 1, 2, 24, 25, 30, 40]), max_size=5)


def both(lengths: list[int], spare: int = 2) -> tuple[Packed, Padded]:
    """The same events packed, and padded with a gap in front of some: a mask need not be left-aligned."""
    n = max(lengths, default=0) + spare
    mask = torch.zeros(len(lengths), n, dtype=torch.bool)
    for b, length in enumerate(lengths):
        mask[b, b % (spare + 1) : b % (spare + 1) + length] = True
    return Packed.from_lengths(lengths), Padded(mask)


def spread_out(x: Tensor, padded: Padded, rubbish: float = 7.0) -> Tensor:
    """Packed rows in the places of a padded layout, rubbish elsewhere."""
    out = torch.full((*padded.mask.shape, *x.shape[1:]), rubbish, dtype=x.dtype)
    out[padded.mask] = x
    return out


def events(x: Tensor, lengths: list[int]) -> list[Tensor]:
    return list(x.split(lengths)) if lengths else []


def draw(lengths: list[int], *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(
        sum(lengths), *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


# ---- pooling, spreading, padding --------------------------------------------------------------


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
@given(lengths=lengths_of_events, masked=st.booleans())
def test_pool(reduce: str, lengths: list[int], masked: bool) -> None:
    packed, padded = both(lengths)
    x, where = draw(lengths, 2, 3), draw(lengths, seed=1) > 0
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "sum": lambda e: e.sum(0),
        "mean": lambda e: e.mean(0),
        "max": lambda e: e.amax(0),
    }
    wanted = torch.zeros(len(lengths), 2, 3, dtype=torch.float64)
    for b, (event, chosen) in enumerate(zip(events(x, lengths), events(where, lengths), strict=True)):
        kept = event[chosen] if masked else event
        if len(kept):
            wanted[b] = functions[reduce](kept)
    close(packed.pool(x, reduce, where if masked else None), wanted)
    where_padded = spread_out(where, padded, True)
    close(padded.pool(spread_out(x, padded), reduce, where_padded if masked else None), wanted)


def test_pool_refuses_an_unknown_reduction() -> None:
    with pytest.raises(ValueError, match="reduce is 'sum', 'mean' or 'max', not 'median'"):
        Packed.from_lengths([2]).pool(torch.ones(2, 1), "median")  # type: ignore[arg-type]


@given(lengths_of_events)
def test_spread_counts_and_lead(lengths: list[int]) -> None:
    packed, padded = both(lengths)
    per_event = torch.randn(len(lengths), 2, dtype=torch.float64)
    wanted = torch.cat([per_event[b].expand(n, 2) for b, n in enumerate(lengths)] or [torch.zeros(0, 2)])
    assert torch.equal(packed.spread(per_event), wanted.to(torch.float64))
    assert torch.equal(padded.spread(per_event)[padded.mask], wanted.to(torch.float64))
    assert packed.counts().tolist() == padded.counts().tolist() == lengths
    assert packed.num_events == padded.num_events == len(lengths)
    assert packed.lead == (sum(lengths),)
    assert packed.event.tolist() == [b for b, n in enumerate(lengths) for _ in range(n)]


@given(lengths_of_events, st.integers(1, 12))
def test_pad_unpad_and_take(lengths: list[int], count: int) -> None:
    packed, padded = both(lengths)
    x = draw(lengths, 2)
    dense = packed.pad(x, fill=-3.0)
    n = max(lengths, default=0)
    wanted = torch.full((len(lengths), n, 2), -3.0, dtype=torch.float64)
    for b, event in enumerate(events(x, lengths)):
        wanted[b, : len(event)] = event
    assert torch.equal(dense, wanted)
    assert torch.equal(packed.unpad(dense), x)
    first = torch.zeros(len(lengths), count, 2, dtype=torch.float64)
    for b, event in enumerate(events(x, lengths)):
        kept = event[:count]
        first[b, : len(kept)] = kept
    assert torch.equal(packed.take(x, count), first)
    assert torch.equal(padded.take(spread_out(x, padded), count), first)


@given(lengths_of_events, st.integers(1, 3))
def test_tokens_go_in_front_and_come_back(lengths: list[int], count: int) -> None:
    x, tokens = draw(lengths, 2), torch.randn(len(lengths), count, 2, dtype=torch.float64)
    for layout in both(lengths):
        own = x if isinstance(layout, Packed) else spread_out(x, layout)
        extended = layout.append(count)
        joined = extended.join(tokens, own)
        assert extended.layout.counts().tolist() == [n + count for n in lengths]
        assert tuple(joined.shape[: len(layout.lead)]) == tuple(extended.layout.lead)
        rows = joined if isinstance(layout, Packed) else joined[extended.layout.mask]
        wanted = [torch.cat([tokens[b], event]) for b, event in enumerate(events(x, lengths))]
        assert torch.equal(rows, torch.cat(wanted) if wanted else rows)
        back_tokens, back = extended.split(joined)
        assert torch.equal(back_tokens, tokens)
        assert torch.equal(back, own)


# ---- blocks -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 60), max_size=40), st.sampled_from([1, 100, 2**12, 2**17]))
def test_groups_hold_each_event_once_and_blocks_come_back(lengths: list[int], max_pairs: int) -> None:
    layout = Packed.from_lengths(lengths)
    groups = layout.groups(max_pairs)
    assert sorted(event for group in groups for event in group) == list(range(len(lengths)))
    x = draw(lengths, 2)
    blocks = layout.split_blocks(x, groups)
    masks = layout.block_masks(groups)
    assert torch.equal(layout.merge_blocks(blocks, groups), x)
    for group, block, mask in zip(groups, blocks, masks, strict=True):
        n = max((lengths[event] for event in group), default=0)
        assert tuple(block.shape) == (len(group), n, 2)
        if len(group) > 1:
            assert block.shape[0] * n * n <= max(max_pairs, n * n)
        for row, event in enumerate(group):
            real = lengths[event]
            assert torch.equal(block[row, :real], events(x, lengths)[event])
            if mask is not None:
                assert mask[row].tolist() == [True] * real + [False] * (n - real)
            else:
                assert real == n


def test_little_is_padded() -> None:
    lengths = torch.randint(1, 20, (500,), generator=torch.Generator().manual_seed(0)).tolist()
    layout = Packed.from_lengths(lengths)
    places = sum(b.shape[0] * b.shape[1] for b in layout.split_blocks(draw(lengths, 1), layout.groups()))
    assert places < 1.25 * sum(lengths)


def test_work_of_a_layout_is_done_once() -> None:
    layout = Packed.from_lengths([3, 0, 5])
    assert layout.event is layout.event
    assert layout.groups() is layout.groups()
    assert layout.append(2) is layout.append(2)
    assert layout.append(1) is not layout.append(2)
    assert layout.block_masks(layout.groups()) is layout.block_masks(layout.groups())
    padded = Padded(torch.ones(2, 3, dtype=torch.bool))
    assert padded.counts() is padded.counts()


# ---- pairs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@given(lengths=lengths_of_events, self_pairs=st.booleans())
def test_pairs_reduced(reduce: str, lengths: list[int], self_pairs: bool) -> None:
    packed, padded = both(lengths)
    x, y = draw(lengths, 2), draw(lengths, 2, seed=1)

    def fn(xi: Tensor, xj: Tensor, yi: Tensor, yj: Tensor) -> Tensor:
        return torch.tanh(xi - 2 * xj) * yj + yi

    wanted = torch.zeros_like(x)
    row = 0
    for ex, ey in zip(events(x, lengths), events(y, lengths), strict=True):
        for i in range(len(ex)):
            partners = [j for j in range(len(ex)) if self_pairs or j != i]
            for j in partners:
                wanted[row] += fn(ex[i], ex[j], ey[i], ey[j])
            if reduce == "mean" and partners:
                wanted[row] /= len(partners)
            row += 1
    close(packed.pairs(fn, x, y, reduce=reduce, self_pairs=self_pairs), wanted)
    found = padded.pairs(
        fn, spread_out(x, padded), spread_out(y, padded), reduce=reduce, self_pairs=self_pairs
    )
    close(found[padded.mask], wanted)


@given(lengths_of_events)
def test_pairs_weighted_by_softmax(lengths: list[int]) -> None:
    packed, padded = both(lengths)
    x = draw(lengths, 3)

    def fn(xi: Tensor, xj: Tensor) -> tuple[Tensor, Tensor]:
        return xi[..., :2] * xj[..., 1:], (xi + xj).unsqueeze(-2)

    wanted = torch.zeros(sum(lengths), 2, 3, dtype=torch.float64)
    row = 0
    for event in events(x, lengths):
        for i in range(len(event)):
            others = [j for j in range(len(event)) if j != i]
            if others:
                logits = torch.stack([event[i, :2] * event[j, 1:] for j in others])
                values = torch.stack([event[i] + event[j] for j in others])
                wanted[row] = torch.einsum("jk,jd->kd", logits.softmax(0), values)
            row += 1
    close(packed.pairs(fn, x, reduce="softmax"), wanted)
    close(padded.pairs(fn, spread_out(x, padded), reduce="softmax")[padded.mask], wanted)


@given(lengths_of_events, st.booleans())
def test_recomputing_pairs_changes_no_gradient(lengths: list[int], recompute: bool) -> None:
    layout = Packed.from_lengths(lengths)
    x = draw(lengths, 2).requires_grad_()
    plain = layout.pairs(lambda a, b: (a * b).tanh(), x, recompute=False).square().sum()
    again = layout.pairs(lambda a, b: (a * b).tanh(), x, recompute=recompute).square().sum()
    close(torch.autograd.grad(again, x)[0], torch.autograd.grad(plain, x)[0])


@given(lengths_of_events)
def test_pair_values_kept(lengths: list[int]) -> None:
    x = draw(lengths, 1)
    for layout in both(lengths):
        own = x if isinstance(layout, Packed) else spread_out(x, layout)
        values = layout.pair_values(lambda a, b: 10 * a + b, own)
        diagonal = values.diagonal()
        rows = diagonal if isinstance(layout, Packed) else diagonal[layout.mask]
        close(rows, 11 * x)
        turned = layout.pair_values(lambda a, b: 10 * b + a, own)
        for a, b in zip(values.transpose().blocks, turned.blocks, strict=True):
            close(a, b)
        doubled = values.map(lambda block: 2 * block).diagonal()
        close(doubled if isinstance(layout, Packed) else doubled[layout.mask], 22 * x)


# ---- attention --------------------------------------------------------------------------------


def naive_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """(n, H, D), (m, H, D), (m, H, Dv), (n, m, H) -> (n, H, Dv)."""
    if k.shape[0] == 0:
        return torch.zeros(q.shape[0], q.shape[1], v.shape[2], dtype=q.dtype)
    logits = torch.einsum("ihd,jhd->ijh", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if bias is not None:
        logits = logits + bias
    return torch.einsum("ijh,jhd->ihd", logits.softmax(1), v)


@given(st.one_of(lengths_of_events, long_events), st.sampled_from([None, 0.3]), st.booleans())
def test_attention_inside_each_event(lengths: list[int], scale: float | None, with_bias: bool) -> None:
    packed, padded = both(lengths)
    heads, d = 2, 3
    q, k, v = (draw(lengths, heads, d, seed=s) for s in range(3))
    z = draw(lengths, 1, seed=4)

    def fn(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a * b, 3 * a - b], dim=-1)

    pieces = []
    for eq, ek, ev, ez in zip(*(events(t, lengths) for t in (q, k, v, z)), strict=True):
        bias = fn(ez[:, None], ez[None]) if with_bias else None
        pieces.append(naive_attention(eq, ek, ev, bias, scale))
    wanted = torch.cat(pieces) if pieces else q
    bias = packed.pair_values(fn, z) if with_bias else None
    close(packed.attend(q, k, v, bias=bias, scale=scale), wanted)
    dense = [spread_out(t, padded) for t in (q, k, v, z)]
    bias = padded.pair_values(fn, dense[3]) if with_bias else None
    close(padded.attend(*dense[:3], bias=bias, scale=scale)[padded.mask], wanted)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=6))
def test_attention_to_another_cloud(pairs: list[tuple[int, int]]) -> None:
    here, there = [a for a, _ in pairs], [b for _, b in pairs]
    q, k, v = draw(here, 2, 3), draw(there, 2, 3, seed=1), draw(there, 2, 5, seed=2)
    pieces = [
        naive_attention(*parts)
        for parts in zip(events(q, here), events(k, there), events(v, there), strict=True)
    ]
    wanted = torch.cat(pieces) if pieces else q.new_zeros(0, 2, 5)
    packed, padded = both(here), both(there)
    close(packed[0].attend(q, k, v, keys_layout=padded[0]), wanted)
    found = packed[1].attend(
        spread_out(q, packed[1]), spread_out(k, padded[1]), spread_out(v, padded[1]), keys_layout=padded[1]
    )
    close(found[packed[1].mask], wanted)


def test_attention_refuses_layouts_that_do_not_match() -> None:
    packed, padded = both([2, 3])
    x = torch.ones(5, 1, 2)
    with pytest.raises(ValueError, match="both need the same events"):
        packed.attend(x, x, x, keys_layout=Packed.from_lengths([5]))
    with pytest.raises(ValueError, match="both packed or padded"):
        packed.attend(x, x, x, keys_layout=padded)


def test_attention_is_finite_where_padding_meets_a_strong_bias() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        padded = Padded(torch.tensor([[True, True, False], [False, False, False]]))
        q = torch.randn(2, 3, 1, 4).to(dtype)
        bias = padded.pair_values(lambda a, b: -3e4 * (a * b).abs(), torch.ones(2, 3, 1, dtype=dtype))
        assert torch.isfinite(padded.attend(q, q, q, bias=bias)).all()


# ---- neighbours -------------------------------------------------------------------------------


@given(lengths_of_events, st.integers(1, 6), st.booleans())
def test_neighbours(lengths: list[int], k: int, ties: bool) -> None:
    packed, padded = both(lengths)
    points = draw(lengths, 2)
    if ties:
        points = points.round()
    wanted: list[list[int]] = []
    start = 0
    for event in events(points, lengths):
        for i in range(len(event)):
            order = sorted(
                (j for j in range(len(event)) if j != i),
                key=lambda j, i=i, event=event: (float((event[i] - event[j]).square().sum()), j),
            )
            wanted.append([start + j for j in order[:k]])
        start += len(event)
    index, mask = packed.neighbours(points, k)
    assert index.shape == mask.shape == (sum(lengths), k)
    for row, partners in enumerate(wanted):
        assert index[row][mask[row]].tolist() == partners
        assert index[row][~mask[row]].tolist() == [row] * (k - len(partners))
    dense = spread_out(points, padded)
    index, mask = padded.neighbours(dense, k)
    places = padded.mask.flatten().nonzero().squeeze(1)
    found = index[padded.mask], mask[padded.mask]
    for row, partners in enumerate(wanted):
        assert found[0][row][found[1][row]].tolist() == [int(places[j]) for j in partners]
    # The index points into the flattened rows.
    if sum(lengths):
        assert torch.equal(dense.flatten(0, 1)[index[padded.mask][:, 0]][:, :0], points[:, :0])


# ---- derivatives ------------------------------------------------------------------------------


def linear_maps(lengths: list[int]) -> dict[str, tuple[Callable[[Tensor], Tensor], Tensor]]:
    layout = Packed.from_lengths(lengths)
    groups = layout.groups()
    extended = layout.append(1)
    x, per_event = draw(lengths, 2), torch.randn(len(lengths), 2, dtype=torch.float64)
    return {
        "pool": (lambda t: layout.pool(t, "mean"), x),
        "spread": (layout.spread, per_event),
        "pad": (layout.pad, x),
        "blocks": (
            lambda t: layout.merge_blocks([b.sin() for b in layout.split_blocks(t, groups)], groups),
            x,
        ),
        "join": (lambda t: extended.join(per_event.unsqueeze(1), t), x),
        "split": (lambda t: extended.split(extended.join(per_event.unsqueeze(1), t))[1], x),
        "attend": (lambda t: layout.attend(t.unsqueeze(1), t.unsqueeze(1), t.unsqueeze(1)), x),
        "pairs": (lambda t: layout.pairs(lambda a, b: (a * b).tanh(), t), x),
    }


@pytest.mark.parametrize("verb", list(linear_maps([1])))
@pytest.mark.parametrize("lengths", [[3, 1, 4], [2, 0, 2], [5]], ids=str)
def test_first_and_second_derivatives(verb: str, lengths: list[int]) -> None:
    fn, x = linear_maps(lengths)[verb]
    x = x.requires_grad_()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert torch.autograd.gradcheck(fn, (x,), check_forward_ad=verb != "pairs")
        assert torch.autograd.gradgradcheck(fn, (x,))


@pytest.mark.parametrize("fn", [gather_rows, drop_rows, segment_sum, spread_rows])
def test_derivatives_of_row_maps(fn: Callable[..., Tensor]) -> None:
    if fn is gather_rows:
        # Places 3 and 4 repeat row 0 as padding: no gradient may come from them, so they are masked as in blocks.
        index, inverse = torch.tensor([1, 0, 2, 0, 0]), torch.tensor([1, 0, 2])
        real = torch.tensor([1.0, 1, 1, 0, 0], dtype=torch.float64).unsqueeze(1)
        x, call = torch.randn(3, 2, dtype=torch.float64), lambda t: real * gather_rows(t, index, inverse)
    elif fn is drop_rows:
        index, inverse = torch.tensor([1, 0, 2, 0, 0]), torch.tensor([1, 0, 2])
        x, call = torch.randn(5, 2, dtype=torch.float64), lambda t: drop_rows(t, index, inverse)
    else:
        ptr, segment = torch.tensor([0, 2, 2, 5]), torch.tensor([0, 0, 2, 2, 2])
        rows = 5 if fn is segment_sum else 3
        x, call = torch.randn(rows, 2, dtype=torch.float64), lambda t: fn(t, ptr, segment)
    x = x.requires_grad_()
    assert torch.autograd.gradcheck(call, (x,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(call, (x,), check_fwd_over_rev=True)


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_derivatives_of_mirrored_pairs(lengths: list[int]) -> None:
    triangle = Packed.from_lengths(lengths).triangle()
    dense = torch.zeros(triangle._index.shape[0], 1, dtype=torch.float64)
    dense[triangle._lower] = dense[triangle._upper] = 1.0
    x = torch.randn(len(triangle.first), 2, dtype=torch.float64, requires_grad=True)

    def call(t: Tensor) -> Tensor:
        return dense * mirror_rows(t, triangle._index, triangle._lower, triangle._upper)

    assert torch.autograd.gradcheck(call, (x,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(call, (x,), check_fwd_over_rev=True)


@pytest.mark.parametrize("layout", both([3, 0, 2]), ids=str)
def test_verbs_are_mapped_over_parameters(layout: Layout) -> None:
    x = torch.randn(*layout.lead, 2, dtype=torch.float64)
    weights = torch.randn(4, 2, 3, dtype=torch.float64)

    def run(weight: Tensor) -> Tensor:
        y = layout.spread(layout.pool(x @ weight)) + x @ weight
        y = layout.map_blocks(lambda mask, dense: dense.square(), y)
        return layout.append(1).split(layout.append(1).join(y.new_ones(3, 1, 3), y))[1]

    close(torch.func.vmap(run)(weights), torch.stack([run(weight) for weight in weights]))
    value, tangent = torch.func.jvp(run, (weights[0],), (weights[1],))
    close(value, run(weights[0]))
    step = 1e-6
    difference = run(weights[0] + step * weights[1]) - run(weights[0] - step * weights[1])
    torch.testing.assert_close(tangent, difference / (2 * step), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("layout", both([3, 0, 2, 20]), ids=str)
def test_a_layout_seen_in_inference_mode_serves_training_afterwards(layout: Layout) -> None:
    x = torch.randn(*layout.lead, 2, 4)

    def run(x: Tensor) -> Tensor:
        extended = layout.append(2)
        joined = extended.join(layout.pool(x).unsqueeze(1).expand(-1, 2, -1, -1), x)
        rows = x.mean(-1).flatten(0, -2)[layout.triangle().first]
        y = layout.attend(x, x, x, bias=layout.triangle().to_pairs(rows))
        return layout.pool(extended.split(joined)[1] + y + layout.spread(layout.pool(x, "mean"))).sum()

    with torch.inference_mode():
        seen = run(x)
    again = run(x.requires_grad_())
    again.backward()
    torch.testing.assert_close(seen, again)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@given(lengths=st.lists(st.integers(0, 9), min_size=2, max_size=6), off=st.sampled_from([-1, 1, 7]))
def test_every_verb_refuses_rows_of_others(lengths: list[int], off: int) -> None:
    """Kernels below read by row without asking: one row too few would be somebody else's memory."""
    packed, padded = both(lengths)
    for layout in (packed, padded):
        rows = layout.lead[0] + off
        if rows < 0:
            continue
        wrong = torch.zeros(rows, *layout.lead[1:], 2, 3)
        right = torch.zeros(*layout.lead, 2, 3)
        events = torch.zeros(len(lengths), 1, 2, 3)
        per_event = torch.zeros(len(lengths) + off, 2)
        verbs: dict[str, Callable[[], object]] = {
            "pool": lambda layout=layout, x=wrong: layout.pool(x),
            "mean": lambda layout=layout, x=wrong: layout.pool(x, "mean"),
            "max": lambda layout=layout, x=wrong: layout.pool(x, "max"),
            "where": lambda layout=layout, x=wrong, y=right: layout.pool(y, "sum", x[..., 0, 0] > 0),
            "spread": lambda layout=layout, x=per_event: layout.spread(x),
            "pad": lambda layout=layout, x=wrong: layout.pad(x),
            "unpad": lambda layout=layout, x=per_event: layout.unpad(x.unsqueeze(1)),
            "take": lambda layout=layout, x=wrong: layout.take(x, 2),
            "from_events": lambda layout=layout, x=per_event: layout.from_events(x.unsqueeze(1)),
            "join": lambda layout=layout, x=wrong, e=events: layout.append(1).join(e, x),
            "tokens": lambda layout=layout, x=right, e=per_event: layout.append(1).join(e.unsqueeze(1), x),
            "split": lambda layout=layout, x=right: layout.append(1).split(x),
            "map_blocks": lambda layout=layout, x=wrong: layout.map_blocks(lambda m, x: x, x),
            "map_events": lambda layout=layout, x=wrong: layout.map_events(lambda m, x: x.sum(1), x),
            "pairs": lambda layout=layout, x=wrong: layout.pairs(lambda i, j: i * j, x),
            "pair_values": lambda layout=layout, x=wrong: layout.pair_values(lambda i, j: i * j, x),
            "q": lambda layout=layout, x=wrong, y=right: layout.attend(x, y, y),
            "k": lambda layout=layout, x=wrong, y=right: layout.attend(y, x, y),
            "v": lambda layout=layout, x=wrong, y=right: layout.attend(y, y, x),
            "neighbours": lambda layout=layout, x=wrong: layout.neighbours(x[..., 0, :], 2),
            "triangle": lambda layout=layout: layout.triangle().to_pairs(
                torch.zeros(len(layout.triangle().first) + 1, 2)
            ),
        }
        for name, call in verbs.items():
            try:
                call()
            except ShapeError:
                continue
            pytest.fail(f"{name} of {layout} took {tuple(wrong.shape)}")


@given(lengths=st.lists(st.integers(1, 6), min_size=2, max_size=5), count=st.integers(0, 3))
def test_every_verb_refuses_what_would_shift_or_broadcast(lengths: list[int], count: int) -> None:
    """Shapes behind the first: numbers of tokens, heads and pairs, and values made for other events."""
    for layout, others in zip(both(lengths), both(lengths[::-1]), strict=True):
        x = torch.randn(*layout.lead, 2, 3)
        tokens = torch.randn(len(lengths), count + 1, 2, 3)
        uniform, rows = layout.uniform(count), torch.randn(len(lengths), count + 1, 3)
        flat = x.flatten(-2)
        verbs: dict[str, Callable[[], object]] = {
            "tokens": lambda layout=layout, e=tokens, x=x: layout.append(count).join(e, x),
            "width": lambda layout=layout, e=tokens, x=x: layout.append(count + 1).join(e[..., :2], x),
            "from_events": lambda layout=uniform, e=rows: layout.from_events(e),
            "to_events": lambda layout=uniform, x=flat: layout.to_events(torch.cat([x, x, x, x])),
            "take": lambda layout=layout, x=x: layout.take(x, -1),
            "append": lambda layout=layout: layout.append(-1),
            "uniform": lambda layout=layout: layout.uniform(-1),
            "neighbours": lambda layout=layout, x=flat: layout.neighbours(x, -1),
            "coordinates": lambda layout=layout, x=flat: layout.neighbours(x[..., 0], 1),
            "keys": lambda layout=layout, x=x: layout.attend(x, x[..., :2], x),
            "heads": lambda layout=layout, x=x: layout.attend(x, torch.cat([x, x[..., :1, :]], -2), x),
            "biases": lambda layout=layout, x=x, y=flat: layout.attend(
                x, x, x, bias=layout.pair_values(lambda i, j: (i * j)[..., :3], y)
            ),
            "no columns": lambda layout=layout, x=flat: layout.pairs(lambda i, j: (i * j).sum(-1), x),
            "reduced": lambda layout=layout, x=flat: layout.pairs(lambda i, j: (i * j).sum(2), x),
            "values": lambda layout=layout, x=flat: layout.pair_values(lambda i, j: (i * j).sum(-1), x),
        }
        if lengths != lengths[::-1]:
            y = torch.randn(*others.lead, 2)
            bias = others.pair_values(lambda i, j: i * j, y)
            verbs["events"] = lambda layout=layout, x=x, bias=bias: layout.attend(x, x, x, bias=bias)
        for name, call in verbs.items():
            try:
                call()
            except ShapeError:
                continue
            pytest.fail(f"{name} of {layout} took it")


def test_rows_of_events_where_particles_belong_point_to_what_pools() -> None:
    with pytest.raises(
        ShapeError,
        match=r"pool of Packed\(events=2, particles=5\) takes a row for each particle.*`pools = True`",
    ):
        Packed.from_lengths([2, 3]).pool(torch.zeros(2, 4))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (0, 2, 4)])
def test_sums_over_nothing(shape: tuple[int, ...]) -> None:
    ptr, segment = torch.tensor([0, 0, 0]), torch.zeros(0, dtype=torch.int64)
    assert torch.equal(segment_sum(torch.zeros(shape), ptr, segment), torch.zeros(2, *shape[1:]))


# ---- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ptr", "message"),
    [
        (torch.tensor([0, 3, 2, 5]), "unsorted at event 1"),
        (torch.tensor([1, 3]), "must begin at 0"),
        (torch.tensor([0.0, 1.0]), "must be int64"),
        (torch.tensor([], dtype=torch.int64), "shape \\(B\\+1,\\)"),
        (torch.tensor([[0, 1]]), "shape \\(B\\+1,\\)"),
    ],
)
def test_bad_pointers_are_refused(ptr: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Packed(ptr)


def test_a_packed_layout_refuses_the_meta_device() -> None:
    with pytest.raises(ValueError, match="use a padded layout on the meta device"):
        Packed(torch.tensor([0, 1], device="meta"))


def test_layouts_are_copied_and_pickled() -> None:
    for layout in both([3, 0, 2]):
        again: Layout
        for again in (copy.deepcopy(layout), pickle.loads(pickle.dumps(layout)), layout.to("cpu")):
            assert again.counts().tolist() == [3, 0, 2]
            assert again.lead == layout.lead
    assert repr(Packed.from_lengths([3, 0, 2])) == "Packed(events=3, particles=5)"


@pytest.mark.parametrize(
    "layout",
    [
        Packed.from_lengths([4, 0, 1, 20, 17]),
        Padded(torch.tensor([[True, False, True], [False] * 3, [True] * 3])),
    ],
)
def test_average_weighs_partners_by_the_softmax_of_pair_values(layout: Layout) -> None:
    x = torch.randn(*layout.lead, 3, 2, dtype=torch.float64, requires_grad=True)
    keys = torch.randn(*layout.lead, 3, dtype=torch.float64)
    logits = layout.pair_values(lambda i, j: i * j, keys)
    mean = logits.average(x)
    wanted = layout.attend(keys.unsqueeze(-1), keys.unsqueeze(-1), x, scale=1.0)
    real = slice(None) if layout.mask is None else layout.mask
    torch.testing.assert_close(mean[real], wanted[real])
    torch.testing.assert_close(logits.average(2 * x)[real], 2 * mean[real])
    assert torch.isfinite(torch.autograd.grad(mean[real].sum(), x)[0]).all()


@pytest.mark.parametrize("max_pairs", [1, 100, 10**6])
def test_events_are_mapped_in_their_order(max_pairs: int) -> None:
    layout = Packed.from_lengths([4, 0, 20, 1, 17, 20])
    x = torch.randn(62, 3, dtype=torch.float64)
    seen = []

    def total(mask: Tensor | None, dense: Tensor) -> Tensor:
        seen.append(dense.shape[:2])
        return (dense if mask is None else torch.where(mask.unsqueeze(-1), dense, 0.0)).sum(1)

    torch.testing.assert_close(layout.map_events(total, x, max_pairs=max_pairs), layout.pool(x))
    assert sum(count for count, _ in seen) == 6
    assert max_pairs < 10**6 or seen == [(6, 20)]
    padded = layout.pad(x)
    mask = layout.pad(torch.ones(62, 1))[..., 0].bool()
    torch.testing.assert_close(Padded(mask).map_events(total, padded), layout.pool(x))
    assert Packed.from_lengths([]).map_events(total, x[:0]).shape == (0, 3)


def test_long_events_share_blocks_where_lengths_repeat() -> None:
    few = [24, 20] * 40
    groups = group_by_length(few, 2**17)
    assert len(groups) <= 3
    assert sorted(event for group in groups for event in group) == list(range(80))
    # Of many lengths each stands alone, which needs no gather.
    assert group_by_length(list(range(16, 60)), 2**17) == tuple((event,) for event in range(44))
