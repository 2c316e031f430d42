"""Axial attention: tokens that stand in rows and columns attend along one axis, then along the other.

Cost grows with the length of an axis, not with the number of tokens. A row or a column is an event of a layout of
its own, so that attention itself needs to know nothing of grids.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from lorentzoo import Layout, Padded
from lorentzoo.nn import PairValues
from lorentzoo.plugins.lgatr.paired import Paired

__all__ = ["Grid", "GridAxis"]


class GridAxis(Padded):
    """The layout of the rows, or of the columns, of tokens (B, N) that stand in a grid.

    Parameters
    ----------
    mask
        Which tokens exist, shape (B, rows x columns), row after row.
    rows, columns
        Shape of the grid.
    along
        0 to attend along columns (between rows), 1 to attend within a row.
    """

    def __init__(self, mask: Tensor, rows: int, columns: int, along: int) -> None:
        super().__init__(mask)
        self._shape, self._along = (rows, columns), along
        self._lines = Padded(self._into_lines(mask))

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        bias: PairValues | None = None,
        keys_layout: Layout | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Attention within each line, shapes (B, N, H, D); to a second cloud, within the event."""
        if keys_layout is not None:
            return super().attend(q, k, v, bias=bias, keys_layout=keys_layout, scale=scale)
        lines = self._lines.attend(*(self._into_lines(x) for x in (q, k, v)), bias=bias, scale=scale)
        rows, columns = self._shape
        shape = (-1, columns, rows) if self._along == 0 else (-1, rows, columns)
        grid = lines.reshape(*shape, *lines.shape[2:])
        return (grid.transpose(1, 2) if self._along == 0 else grid).flatten(1, 2)

    def _into_lines(self, x: Tensor) -> Tensor:
        grid = x.unflatten(1, self._shape)
        return (grid.transpose(1, 2) if self._along == 0 else grid).flatten(0, 1)


class Grid:
    """A grid of tokens in every event, row after row; events with fewer tokens fill it in part.

    Parameters
    ----------
    rows, columns
        Its shape.
    """

    def __init__(self, rows: int, columns: int) -> None:
        if rows < 1 or columns < 1:
            raise ValueError(f"grid must have at least one row and one column, not {rows} and {columns}")
        self.rows, self.columns = rows, columns

    @property
    def size(self) -> int:
        """Number of tokens."""
        return self.rows * self.columns

    def run(
        self,
        network: Callable[..., Paired],
        x: Paired,
        layout: Layout,
        condition: object,
        positions: Tensor | None,
        offset: Tensor | None,
    ) -> Paired:
        """Apply a network to tokens of any layout, with attention along rows and along columns.

        Raises
        ------
        ValueError
            If an event has more tokens than the grid.
        """
        exists = self._padded(layout.pad(torch.ones_like(x.scalars[..., :1])), layout)[..., 0] > 0
        axes = [GridAxis(exists, self.rows, self.columns, along) for along in (1, 0)]

        def pad(part: Tensor) -> Tensor:
            return self._padded(layout.pad(part), layout)

        padded = Paired(
            pad(x.scalars),
            torch.stack([pad(component) for component in x.vectors]),
            torch.stack([pad(component) for component in x.bivectors]),
        )
        y = network(
            padded,
            axes,
            condition,
            positions=None if positions is None else pad(positions),
            offset=None if offset is None else pad(offset),
        )
        longest = layout.pad(x.scalars[..., :0]).shape[1]

        def unpad(part: Tensor) -> Tensor:
            return layout.unpad(part[:, :longest])

        return Paired(
            unpad(y.scalars),
            torch.stack([unpad(component) for component in y.vectors]),
            torch.stack([unpad(component) for component in y.bivectors]),
        )

    def _padded(self, x: Tensor, layout: Layout) -> Tensor:
        missing = self.size - x.shape[1]
        if missing < 0:
            raise ValueError(
                f"an event of {layout!r} has {x.shape[1]} tokens, but the grid holds {self.rows} x {self.columns}; "
                "spurions join a grid as channels (spurion_mode='channels')"
            )
        return F.pad(x, (0, 0) * (x.ndim - 2) + (0, missing))
