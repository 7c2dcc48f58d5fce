"""Where values lie: arrays, places within them, and the names of sizes.

Imports the floors below. Every array of a generated loop is flat beyond the batch, and a place is a strided part of one
row of it, as a view is of an array in NumPy.
"""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from minigrad.arraytype import Shape

INDEX = {"time": "t", "row": "", "sum": "", "shared": "", "weight": ""}


@dataclass(frozen=True, eq=False)
class Array:
    """One array of a generated loop. T steps, B rows, N numbers.

    kind: "time"   [T, B, N], a value of each step
          "carry"  [T + 1, B, N], before and after each step
          "swap"   [2, B, N], what the step after left, and what this one leaves
          "row"    [B, N], of one step; or a weight by rows
          "sum"    [B, N], added up over the steps
          "shared" [N], the same for all rows
          "weight" the panels of a matrix
          "norm"   [T, B] of float64
    """

    name: str
    kind: str
    width: int
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Place:
    """A part of a row: element (i, j, …) lies at offset + i strides[0] + j strides[1] + …; `at` picks the step."""

    array: Array
    at: str
    shape: Shape
    strides: Shape
    offset: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole row, in order."""
        return self.offset == 0 and prod(self.shape) == self.array.width and self.is_contiguous

    @property
    def is_contiguous(self) -> bool:
        """Whether its elements follow one another."""
        return all(s == t or n == 1 for s, t, n in zip(self.strides, contiguous(self.shape), self.shape, strict=True))

    def part(self, axis: int, start: int, size: int) -> "Place":
        """`size` elements along an axis, from `start` on."""
        shape = (*self.shape[:axis], size, *self.shape[axis + 1 :])
        return Place(self.array, self.at, shape, self.strides, self.offset + start * self.strides[axis])

    def without(self, axis: int) -> "Place":
        """The same elements without an axis of size 1."""
        shape, strides = ((*v[:axis], *v[axis + 1 :]) for v in (self.shape, self.strides))
        return Place(self.array, self.at, shape, strides, self.offset)

    def flipped(self, axis: int) -> "Place":
        """The same elements, the last along an axis first."""
        offset = self.offset + self.strides[axis] * max(self.shape[axis] - 1, 0)
        strides = (*self.strides[:axis], -self.strides[axis], *self.strides[axis + 1 :])
        return Place(self.array, self.at, self.shape, strides, offset)

    def reshaped(self, shape: Shape) -> "Place":
        """The same elements in another shape; only where `is_contiguous`."""
        return Place(self.array, self.at, shape, contiguous(shape), self.offset)

    def broadcast(self, shape: Shape) -> "Place":
        """The same elements repeated along new axes and axes of size 1."""
        extra = len(shape) - len(self.shape)
        strides = tuple(0 if n == 1 else s for n, s in zip(self.shape, self.strides, strict=True))
        return Place(self.array, self.at, shape, (0,) * extra + strides, self.offset)


def contiguous(shape: Shape) -> Shape:
    """The strides of elements that follow one another."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def whole(array: Array, shape: Shape, at: str | None = None) -> Place:
    """The whole row of an array, as that shape."""
    return Place(array, INDEX[array.kind] if at is None else at, shape, contiguous(shape))


@dataclass
class Sizes:
    """Names for the sizes that the text mentions, so that other sizes need no other text."""

    names: dict[int, str] = field(default_factory=dict)

    def __call__(self, n: int) -> str:
        """The size as text: 0, 1, a name, or a small multiple of one."""
        if n in (0, 1):
            return str(n)
        for known, name in self.names.items():
            if n % known == 0 and n // known <= 8:
                return name if n == known else f"{n // known} * {name}"
        fresh = "HDSKMNPQ"[len(self.names)] if len(self.names) < 8 else f"N{len(self.names)}"
        self.names[n] = fresh
        return fresh
