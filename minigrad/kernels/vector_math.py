"""Functions of one number for generated loops: made of multiplications, so that LLVM computes eight at a time.

Imports `jit` and `llvm`. Numba calls the C library for each number (11 ns); these take half a nanosecond in float32. In
float64, where gradients are checked rather than networks trained, they are NumPy's own. NaN passes through;
infinity too.
"""

import math
from typing import Any

import numpy as np

from minigrad.jit import helper
from minigrad.llvm import hidden

LEAST = 2.2250738585072014e-308  # the least float64 with all its digits


@helper
def exp32(x: Any) -> Any:
    """exp of a float32 to 2e-7; 0 below -87, infinity above 88.37, a half short of the largest float32.

    exp(x) = 2^n exp(r), r = x - n ln 2 in [-0.35, 0.35]; ln 2 in two parts, a Taylor-like polynomial (Cephes' expf).
    """
    c = np.float32(-87) if x < np.float32(-87) else x  # not max(): NaN must stay NaN
    c = np.float32(89) if c > np.float32(89) else c
    n = np.floor(c * np.float32(1.44269504) + np.float32(0.5))
    r = c - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(0) if x < np.float32(-87) else p * power


@helper
def tanh32(x: Any) -> Any:
    """tanh of a float32 to 3e-7: an odd polynomial over an even one; ±1 from 7.905 on (Eigen's `ptanh`)."""
    end = np.float32(7.90531110763549805)
    c = end if x > end else x
    c = -end if c < -end else c
    s = c * c
    p = np.float32(-2.76076847742355e-16)
    p = p * s + np.float32(2.00018790482477e-13)
    p = p * s + np.float32(-8.60467152213735e-11)
    p = p * s + np.float32(5.12229709037114e-08)
    p = p * s + np.float32(1.48572235717979e-05)
    p = p * s + np.float32(6.37261928875436e-04)
    p = p * s + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * s + np.float32(1.18534705686654e-04)
    q = q * s + np.float32(2.26843463243900e-03)
    q = q * s + np.float32(4.89352518554385e-03)
    y = c * p / q
    y = np.float32(1) if x > end else y
    return np.float32(-1) if x < -end else y


@helper
def sigmoid32(x: Any) -> Any:
    """1 / (1 + exp(-x)), by way of tanh as the op has it."""
    return np.float32(0.5) * tanh32(np.float32(0.5) * x) + np.float32(0.5)


@helper
def erf32(x: Any) -> Any:
    """The error function."""
    return np.float32(math.erf(x))


@helper
def exp64(x: Any) -> Any:
    """exp."""
    return np.exp(x)


@helper
def tanh64(x: Any) -> Any:
    """tanh."""
    return np.tanh(x)


@helper
def sigmoid64(x: Any) -> Any:
    """1 / (1 + exp(-x)), by way of tanh as the op has it."""
    return np.tanh(x * 0.5) * 0.5 + 0.5


@helper
def erf64(x: Any) -> Any:
    """The error function."""
    return math.erf(x)


@helper
def pow32(x: Any, y: Any) -> Any:
    """x to the power y. Where LLVM sees that y was an integer it calls `__powisf2`, which Python does not bring."""
    return np.power(x, hidden(y))


@helper
def pow64(x: Any, y: Any) -> Any:
    """x to the power y."""
    return np.power(x, hidden(y))


@helper
def row_number(index: Any, n: Any) -> Any:
    """An index of 0 to n - 1 for any integer: from the end if below 0, the nearest if out of range."""
    i = np.int64(index)
    i = i + n if i < 0 else i
    return min(max(i, 0), n - 1)


@helper
def norm(row: Any) -> Any:
    """The length of a vector in float64, measured by its largest number, so that no square vanishes or overflows."""
    top = np.float64(0)  # not float(x), which in Numba leaves a float32 what it is
    for i in range(row.size):
        size = abs(np.float64(row[i]))
        top = size if size > top or np.isnan(size) else top
    if top == np.inf:
        return top
    scale = top if top > LEAST else LEAST
    total = np.float64(0)
    for i in range(row.size):
        part = np.float64(row[i]) / scale
        total += part * part
    return scale * math.sqrt(total)
