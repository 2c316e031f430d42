"""Are cells of any shape what they are said to be: every place in one of them, none lost, none twice?"""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorentzoo.data.showers.bisection import bisect_cells
from lorentzoo.data.showers.cells import CellGrid, CellLayer
from lorentzoo.data.showers.detectors import find_detector
from lorentzoo.data.showers.irregular import IRREGULAR
from lorentzoo.data.showers.outlines import (
    areas,
    hexagon,
    hexagonal_lattice,
    nearest_outlines,
    pad_outlines,
)

BOX = np.array([[-50.0, -50.0], [50.0, -50.0], [50.0, 50.0], [-50.0, 50.0]])


def random_layer(seed: int, count: int, number: int = 0) -> CellLayer:
    """Cells of any convex shape that fill a box."""
    middle = np.random.default_rng(seed).uniform(-50, 50, (count, 2))
    corners = pad_outlines(nearest_outlines(middle, BOX))
    return CellLayer(number, number + 1.0, middle[:, 0], middle[:, 1], corners, number)


def layers(**given) -> st.SearchStrategy[CellLayer]:
    return st.builds(random_layer, st.integers(0, 10**6), st.integers(1, 40), **given)


def squares(*middles: tuple[float, float], half: float = 1.0) -> CellLayer:
    middle = np.array(middles, np.float64)
    corners = middle[:, None] + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return CellLayer(0.0, 1.0, middle[:, 0], middle[:, 1], corners)


class TestPlaces:
    @settings(max_examples=40, deadline=None)
    @given(layer=layers(), seed=st.integers(0, 1000))
    def test_a_place_is_in_the_cell_that_holds_it(self, layer: CellLayer, seed: int) -> None:
        assert layer.area.sum() == pytest.approx(1e4, rel=1e-9)
        x, y = np.random.default_rng(seed).uniform(-60, 60, (2, 300))
        found = layer.find_cells(x, y)
        nearest = np.hypot(x[:, None] - layer.x, y[:, None] - layer.y).argmin(1)
        inside = np.maximum(abs(x), abs(y)) <= 50
        assert (found == np.where(inside, nearest, -1)).all()

    @settings(max_examples=20, deadline=None)
    @given(pitch=st.floats(0.5, 30.0), rings=st.floats(0.0, 5.0), seed=st.integers(0, 1000))
    def test_of_hexagons_the_nearest_middle_is_the_cell(self, pitch: float, rings: float, seed: int) -> None:
        middle = hexagonal_lattice(pitch, rings * pitch)
        layer = CellLayer(0.0, 1.0, *middle.T, middle[:, None] + hexagon(pitch))
        assert layer.area == pytest.approx(np.sqrt(0.75) * pitch**2)
        assert 0 in np.hypot(*middle.T).round(9)
        x, y = np.random.default_rng(seed).uniform(-(rings + 2) * pitch, (rings + 2) * pitch, (2, 400))
        everywhere = hexagonal_lattice(pitch, (rings + 6) * pitch)
        nearest = np.hypot(x[:, None] - everywhere[:, 0], y[:, None] - everywhere[:, 1]).argmin(1)
        found = layer.find_cells(x, y)
        # Of all hexagons of the plane, those that the layer has.
        held = np.hypot(*(everywhere[nearest] - middle[found]).T) < 1e-6 * pitch
        assert (held | (found < 0)).all()
        missing = np.hypot(*everywhere[nearest].T) > rings * pitch * (1 + 1e-9)
        assert ((found < 0) == missing).all()

    def test_long_cells_are_found_beyond_nearer_middles(self) -> None:
        """A strip beside many small cells: the nearest middles are not those of the strip."""
        small = np.stack([np.full(60, 1.5), np.linspace(-29.5, 29.5, 60)], axis=1)
        middle = np.concatenate([[[0.0, 0.0]], small])
        size = np.concatenate([[[1.0, 30.0]], np.tile([[0.5, 0.5]], (60, 1))])
        corners = middle[:, None] + size[:, None] * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        layer = CellLayer(0.0, 1.0, *middle.T, corners)
        assert layer.find_cells(np.array([0.9, 1.1, 0.99]), np.array([29.3, 29.3, -29.9])).tolist() == [
            0,
            60,
            0,
        ]

    def test_nothing_is_lost_between_two_cells(self) -> None:
        """Corners that are computed apart leave gaps of rounding."""
        for name in IRREGULAR:
            layer = find_detector(name).grid.layers[-1]
            corners = layer.corners
            edge = 0.5 * (corners + np.roll(corners, -1, axis=1)).reshape(-1, 2)
            # What is inside of the union: a little further in from the border.
            inner = edge * (1 - 1e-7)
            centre = 0.6 * np.abs(corners).max()
            chosen = inner[np.hypot(*inner.T) < centre]
            assert (layer.find_cells(*chosen.T) >= 0).all(), name

    def test_cells_of_other_shapes_than_convex_ones(self) -> None:
        corner = np.array([[[0, 0], [3, 0], [3, 1], [1, 1], [1, 3], [0, 3]]], np.float64)
        layer = CellLayer(0.0, 1.0, np.array([0.5]), np.array([0.5]), corner)
        assert layer.area.tolist() == [5.0]
        assert layer.find_cells(np.array([2.0, 2.0, 0.5]), np.array([0.5, 2.0, 2.5])).tolist() == [0, -1, 0]


class TestPatches:
    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 10**6), count=st.integers(1, 80), most=st.integers(4, 30))
    def test_every_cell_is_in_one_patch_of_neighbours(self, seed: int, count: int, most: int) -> None:
        x, y = np.random.default_rng(seed).uniform(-50, 50, (2, count))
        parts = bisect_cells(x, y, most)
        sizes = [len(part) for part in parts]
        assert sorted(np.concatenate(parts)) == list(range(count))
        assert max(sizes) <= most
        assert len(parts) == -(-count // most)
        assert max(sizes) - min(sizes) <= max(1, most // 4) or len(parts) > 4
        # In space contiguous: a line parts any two.
        for one in range(len(parts)):
            for other in range(one):
                assert parted(x, y, parts[one], parts[other])
        # The order in which cells are listed is nothing.
        order = np.random.default_rng(0).permutation(count)
        again = bisect_cells(x[order], y[order], most)
        assert {frozenset(order[part]) for part in again} == {frozenset(part) for part in parts}

    @settings(max_examples=25, deadline=None)
    @given(layer=layers(), most=st.integers(1, 24))
    def test_patches_know_where_they_are(self, layer: CellLayer, most: int) -> None:
        grid = CellGrid((layer,))
        for block in grid.blocks(0, (most,)):
            corners = layer.corners[block.cells].reshape(-1, 2)
            r, alpha = np.hypot(*corners.T), np.arctan2(corners[:, 1], corners[:, 0])
            assert block.r_high == pytest.approx(r.max())
            assert 0 <= block.r_low <= r.min() * (1 + 1e-9)
            turned = (alpha - block.alpha + np.pi) % (2 * np.pi) - np.pi
            assert (abs(turned) <= 0.5 * block.span + 1e-9).all()
            assert (np.diff(np.hypot(layer.x, layer.y)[block.cells]) >= -1e-5).all()
            held = layer.find_cells(np.zeros(1), np.zeros(1))[0]
            assert (block.r_low == 0) == (held in block.cells)

    @pytest.mark.parametrize("name", IRREGULAR)
    def test_patches_of_the_named_ones_hang_together(self, name: str) -> None:
        """Through edges that cells share."""
        detector = find_detector(name)
        grid = detector.grid
        for number in range(min(grid.num_layers, 3)):
            corners = grid.layers[number].corners
            middle = corners.mean(1)
            for block in grid.blocks(number, detector.patch):
                cells = block.cells - grid.starts[number]
                apart = np.hypot(
                    *(corners[cells][:, None, :, None] - corners[cells][None, :, None]).T.reshape(2, -1)
                )
                touching = (
                    apart.reshape(corners.shape[1], corners.shape[1], len(cells), len(cells)) < 1e-3
                ).sum((0, 1)) >= 2
                reached = np.eye(len(cells), dtype=bool)[0]
                for _ in cells:
                    reached = reached | (touching & reached[:, None]).any(0)
                assert reached.all(), (detector.name, number, middle[cells])


def parted(x: np.ndarray, y: np.ndarray, one: np.ndarray, other: np.ndarray) -> bool:
    """Whether a line parts two sets of places."""
    from scipy.optimize import linprog

    points = np.concatenate([np.stack([x[one], y[one]], 1), -np.stack([x[other], y[other]], 1)])
    sign = np.concatenate([np.ones(len(one)), -np.ones(len(other))])
    found = linprog(
        np.zeros(3), np.column_stack([points, sign]), -np.ones(len(points)), bounds=[(None, None)] * 3
    )
    return bool(found.success)


class TestKept:
    @settings(max_examples=15, deadline=None)
    @given(first=layers(), second=layers(number=st.just(1)))
    def test_plain_data_gives_them_back(self, first: CellLayer, second: CellLayer) -> None:
        grid = CellGrid((first, second))
        again = CellGrid.from_data(json.loads(json.dumps(grid.to_data())))
        assert again == grid
        assert hash(again) == hash(grid)
        assert grid != CellGrid((first,))
        assert grid.num_voxels == len(grid.x) == grid.starts[-1]

    def test_outlines_may_go_either_way_around(self) -> None:
        layer = squares((0, 0), (2, 0))
        turned = CellLayer(0.0, 1.0, layer.x, layer.y, layer.corners[:, ::-1])
        assert (areas(turned.corners) > 0).all()
        assert turned.find_cells(np.array([2.5]), np.array([0.5])).tolist() == [1]


class TestRefused:
    @pytest.mark.parametrize(
        "middles", [((0, 0), (1, 0)), ((0, 0), (0, 0)), ((0, 0), (5, 5), (5.5, 5.5)), ((0, 0), (1.9, 0))]
    )
    def test_cells_that_overlap(self, middles) -> None:
        with pytest.raises(
            ValueError, match=rf"layer 0: cells {len(middles) - 2} and {len(middles) - 1} overlap"
        ):
            squares(*middles)

    def test_bars_that_cross_overlap_and_a_cell_within_another_does(self) -> None:
        bars = np.array([[-5, -1], [5, -1], [5, 1], [-5, 1]], np.float64)
        for other in (bars[:, ::-1], 0.1 * bars):
            with pytest.raises(ValueError, match="cells 0 and 1 overlap"):
                CellLayer(0.0, 1.0, np.zeros(2), np.zeros(2), np.stack([bars, other]))

    @settings(max_examples=30, deadline=None)
    @given(layer=layers(), seed=st.integers(0, 1000))
    def test_any_overlap_is_found(self, layer: CellLayer, seed: int) -> None:
        rng = np.random.default_rng(seed)
        place, size = rng.uniform(-40, 40, 2), rng.uniform(0.5, 20)
        corners = np.concatenate([layer.corners, np.zeros((1, *layer.corners.shape[1:]))])
        corners[-1] = pad_outlines([place + hexagon(size), layer.corners[0]])[0][: corners.shape[1]]
        if corners.shape[1] < 6:
            corners[-1] = place + size * np.resize(BOX / 100, (corners.shape[1], 2))
        middle = np.concatenate([layer.middle, [corners[-1].mean(0)]])
        if areas(corners[-1:])[0] == 0:
            return
        with pytest.raises(ValueError, match=rf"cells \d+ and {len(layer.x)} overlap"):
            CellLayer(0.0, 1.0, *middle.T, corners)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"x": np.empty(0), "y": np.empty(0), "corners": np.empty((0, 4, 2))}, "layer 0 has no cells"),
            ({"z_high": 0.0}, "layer 0 needs a thickness, not z from 0.0 to 0.0 mm"),
            ({"x": np.array([0.0, np.nan])}, "layer 0: cell 1 has places that are not finite"),
            ({"x": np.array([0.0, 7.0])}, "layer 0: cell 1 is not seen whole from its middle"),
            ({"y": np.zeros(3)}, r"2 cells need as many x and y and corners of shape \(2, K, 2\)"),
            ({"corners": np.zeros((2, 2, 2))}, "with K of 3 or more"),
            ({"corners": np.zeros((2, 4, 2))}, "layer 0: cell 0 has no area"),
        ],
    )
    def test_what_is_no_cell(self, change: dict, message: str) -> None:
        layer = squares((0, 0), (4, 0))
        own = {name: getattr(layer, name) for name in ("z_low", "z_high", "x", "y", "corners")}
        with pytest.raises(ValueError, match=message):
            CellLayer(**{**own, **change})

    def test_layers_that_are_none_or_lie_in_each_other(self) -> None:
        with pytest.raises(ValueError, match="at least one layer of cells"):
            CellGrid(())
        with pytest.raises(
            ValueError, match=r"layer 0 begins at z = 0.0 mm, before the one in front of it ends \(1.0"
        ):
            CellGrid((squares((0, 0)), squares((0, 0))))

    @pytest.mark.parametrize("patch", [(0,), (8, 3)])
    def test_a_size_of_patches_that_is_none(self, patch: tuple[int, ...]) -> None:
        with pytest.raises(
            ValueError, match="patch of cells of any shape is their largest number, one of at least 1"
        ):
            CellGrid((squares((0, 0)),)).check_patch(patch)
