"""What every value can do: Python's operators and the usual methods, each an op.

The last file of its floor. `Tensor` and the stand-ins of a trace both inherit from `Operators`.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from minigrad.arraytype import ArrayType
from minigrad.core import Op, Value
from minigrad.errors import ShapeError
from minigrad.ops import bits, index, linalg, reduce, shape
from minigrad.ops import elementwise as el


class Operators(Value):
    """A value with a shape and a dtype, in Python's notation."""

    __slots__ = ()
    __hash__ = object.__hash__

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return ArrayType(self.shape, self.dtype).size

    @property
    def T(self) -> Self:
        """A matrix with its axes exchanged.

        Raises:
            ShapeError: unless there are two dimensions.
        """
        if self.ndim != 2:
            raise ShapeError(
                f".T exchanges the axes of a matrix, not of shape {list(self.shape)}. Use mg.permute_dims."
            )
        return shape.permute_dims(self, (1, 0))

    def astype(self, dtype: Any) -> Self:
        """The same values in another dtype."""
        return el.astype(self, dtype)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a value of no dimensions has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        if not self.shape:
            raise TypeError("a value of no dimensions cannot be iterated over")
        return iter(shape.unstack(self))

    def __getitem__(self, key: Any) -> Self:
        return index.getitem(self, key)

    def sum(self, axis: reduce.Axis = None, keepdims: bool = False) -> Self:
        return reduce.sum(self, axis, keepdims)

    def mean(self, axis: reduce.Axis = None, keepdims: bool = False) -> Self:
        return reduce.mean(self, axis, keepdims)

    def max(self, axis: reduce.Axis = None, keepdims: bool = False) -> Self:
        return reduce.max(self, axis, keepdims)

    def min(self, axis: reduce.Axis = None, keepdims: bool = False) -> Self:
        return reduce.min(self, axis, keepdims)

    def reshape(self, *sizes: Any) -> Self:
        return shape.reshape(self, sizes[0] if len(sizes) == 1 else sizes)

    # --- Python's operators ---

    def __add__(self, other: Any) -> Self:
        return _binary(el.add, self, other, other)

    def __radd__(self, other: Any) -> Self:
        return _binary(el.add, other, self, other)

    def __sub__(self, other: Any) -> Self:
        return _binary(el.subtract, self, other, other)

    def __rsub__(self, other: Any) -> Self:
        return _binary(el.subtract, other, self, other)

    def __mul__(self, other: Any) -> Self:
        return _binary(el.multiply, self, other, other)

    def __rmul__(self, other: Any) -> Self:
        return _binary(el.multiply, other, self, other)

    def __truediv__(self, other: Any) -> Self:
        return _binary(el.divide, self, other, other)

    def __rtruediv__(self, other: Any) -> Self:
        return _binary(el.divide, other, self, other)

    def __floordiv__(self, other: Any) -> Self:
        return _binary(el.floor_divide, self, other, other)

    def __rfloordiv__(self, other: Any) -> Self:
        return _binary(el.floor_divide, other, self, other)

    def __mod__(self, other: Any) -> Self:
        return _binary(el.remainder, self, other, other)

    def __rmod__(self, other: Any) -> Self:
        return _binary(el.remainder, other, self, other)

    def __divmod__(self, other: Any) -> tuple[Self, Self]:
        quotient: Any = self.__floordiv__(other)
        return quotient if quotient is NotImplemented else (quotient, self % other)

    def __rdivmod__(self, other: Any) -> tuple[Self, Self]:
        quotient: Any = self.__rfloordiv__(other)
        return quotient if quotient is NotImplemented else (quotient, other % self)

    def __pow__(self, other: Any) -> Self:
        return _binary(el.pow, self, other, other)

    def __rpow__(self, other: Any) -> Self:
        return _binary(el.pow, other, self, other)

    def __and__(self, other: Any) -> Self:
        return _binary(bits.bitwise_and, self, other, other)

    def __rand__(self, other: Any) -> Self:
        return _binary(bits.bitwise_and, other, self, other)

    def __or__(self, other: Any) -> Self:
        return _binary(bits.bitwise_or, self, other, other)

    def __ror__(self, other: Any) -> Self:
        return _binary(bits.bitwise_or, other, self, other)

    def __xor__(self, other: Any) -> Self:
        return _binary(bits.bitwise_xor, self, other, other)

    def __rxor__(self, other: Any) -> Self:
        return _binary(bits.bitwise_xor, other, self, other)

    def __lshift__(self, other: Any) -> Self:
        return _binary(bits.bitwise_left_shift, self, other, other)

    def __rlshift__(self, other: Any) -> Self:
        return _binary(bits.bitwise_left_shift, other, self, other)

    def __rshift__(self, other: Any) -> Self:
        return _binary(bits.bitwise_right_shift, self, other, other)

    def __rrshift__(self, other: Any) -> Self:
        return _binary(bits.bitwise_right_shift, other, self, other)

    def __eq__(self, other: Any) -> Self:  # type: ignore[override]
        return _binary(el.equal, self, other, other)

    def __ne__(self, other: Any) -> Self:  # type: ignore[override]
        return _binary(el.not_equal, self, other, other)

    def __lt__(self, other: Any) -> Self:
        return _binary(el.less, self, other, other)

    def __le__(self, other: Any) -> Self:
        return _binary(el.less_equal, self, other, other)

    def __gt__(self, other: Any) -> Self:
        return _binary(el.greater, self, other, other)

    def __ge__(self, other: Any) -> Self:
        return _binary(el.greater_equal, self, other, other)

    def __pos__(self) -> Self:
        return el.identity(self)

    def __neg__(self) -> Self:
        return el.negative(self)

    def __abs__(self) -> Self:
        return el.abs(self)

    def __invert__(self) -> Self:
        return bits.bitwise_invert(self)

    def __matmul__(self, other: Any) -> Self:
        return linalg.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Self:
        return linalg.matmul(other, self)


def _binary(op: Op, x: Any, y: Any, other: Any) -> Any:
    """The op, or Python's sign that somebody else may know what to do with `other`."""
    return op(x, y) if isinstance(other, (Value, int, float, np.ndarray, np.generic, list, tuple)) else NotImplemented
