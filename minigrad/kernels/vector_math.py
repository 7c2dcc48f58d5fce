"""Functions of one or two numbers for generated loops, right to 4 units in the last place over the whole range.

Imports `jit`, `llvm` and `tails`. Numba calls the C library for each number (11 ns); exp, tanh, sigmoid and silu of
float32 are multiplications, additions and one division, half a nanosecond, for LLVM computes eight or more at a time.
What float32 has no fast form for is computed in float64; there exp, tanh, log1p and erf are the C library's. NaN passes
through; infinity too, where a function tends to 0 · ∞ its limit is meant: silu(-∞) = 0. Below 1.2e-38 (float64:
2.2e-308) results have as many digits as there are, and in a generated loop none: it takes such numbers for 0.
"""

import math
from typing import Any

import numpy as np

from minigrad.jit import function, helper
from minigrad.kernels import tails
from minigrad.llvm import hidden

LEAST = 2.2250738585072014e-308  # the least float64 with all its digits
MAGIC = np.float32(12582912)  # 1.5 · 2^23: a number added to it is rounded to a whole one, which are then its last bits
LOG_2 = math.log(2)
LAST = int(MAGIC.view(np.int32))


@function
def _exp_parts(c: Any) -> tuple[Any, Any]:
    """p and MAGIC + n of exp(c) = (1 + p) 2^n;  c a float32 from -104 to 89.

    r = c - n ln 2 in [-0.35, 0.35], ln 2 in two parts (Cody and Waite 1980); 1 + p is a polynomial fitted to 3e-9.
    """
    shifted = c * np.float32(1.44269504) + MAGIC
    n = shifted - MAGIC
    r = c - n * np.float32(0.693359375)
    r = r + n * np.float32(2.12194440e-4)
    p = np.float32(1.381894457e-3)
    p = p * r + np.float32(8.368703537e-3)
    p = p * r + np.float32(4.166828841e-2)
    p = p * r + np.float32(1.666652113e-1)
    p = p * r + np.float32(4.999999404e-1)
    return p * r * r + r, shifted


@function
def _power(n: Any) -> Any:
    """2^n as a float32;  n from -126 to 127, or as much more as LAST is."""
    return np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@function
def exp32(x: Any) -> Any:
    """exp of a float32; 2^n in two factors, for 2^128 is no float32 and 2^-127 a denormal one."""
    c = np.float32(-104) if x < np.float32(-104) else x  # not max(): NaN must stay NaN
    c = np.float32(89) if c > np.float32(89) else c
    p, shifted = _exp_parts(c)
    up = np.int32(64) if c < np.float32(0) else np.int32(-2)
    down = np.float32(2.0**-64) if c < np.float32(0) else np.float32(4)
    return (p + np.float32(1)) * _power(np.float32(shifted).view(np.int32) + up) * down


@function
def _decay32(x: Any) -> tuple[Any, Any]:
    """exp(-|x|) of a float32 as a product, the first factor of which is no denormal number."""
    c = -abs(np.float32(x))
    c = np.float32(-149) if c < np.float32(-149) else c
    p, shifted = _exp_parts(c)
    return (p + np.float32(1)) * _power(np.float32(shifted).view(np.int32) + np.int32(90)), np.float32(2.0**-90)


@function
def _tanh_parts(x: Any) -> tuple[Any, Any, Any]:
    """e = exp(-2|x|) of a float32 times 2^90, e - 1 with its digits near 0, and 1 / (e + 1)."""
    c = np.float32(-2) * abs(x)
    c = np.float32(-149) if c < np.float32(-149) else c
    p, shifted = _exp_parts(c)
    power = _power(np.float32(shifted).view(np.int32) + np.int32(90))
    whole = power * np.float32(2.0**-90)
    m = p * whole + (whole - np.float32(1))
    return (p + np.float32(1)) * power, m, np.float32(1) / (m + np.float32(2))


@function
def tanh32(x: Any) -> Any:
    """tanh of a float32."""
    _, m, r = _tanh_parts(x)
    return np.copysign(m * r, x)


@function
def tanh_slope32(x: Any) -> Any:
    """The derivative of tanh, 1 / cosh²(x)."""
    a, _, r = _tanh_parts(x)
    return a * r * r * np.float32(2.0**-88)


@function
def exp64(x: Any) -> Any:
    """exp."""
    return np.exp(x)


@function
def _decay64(x: Any) -> tuple[Any, Any]:
    """The same for float64: two roots."""
    root = np.exp(-0.5 * abs(x))
    return root, root


@function
def tanh64(x: Any) -> Any:
    """tanh."""
    return np.tanh(x)


@function
def tanh_slope64(x: Any) -> Any:
    """The derivative of tanh."""
    a, b = _decay64(2 * x)
    e = a * b
    return 4 * a / ((1 + e) * (1 + e)) * b


@function
def log32(x: Any) -> Any:
    """log; of a denormal number from its bits, for a generated loop takes it for 0, and the C library for anything."""
    bits = np.float32(x).view(np.int32)
    return np.float32(np.log(np.float64(bits)) - 149 * LOG_2) if 0 < bits < 1 << 23 else np.log(x)


@function
def log64(x: Any) -> Any:
    """The same for float64."""
    bits = np.float64(x).view(np.int64)
    return np.log(np.float64(bits)) - 1074 * LOG_2 if 0 < bits < 1 << 52 else np.log(x)


@function
def erf64(x: Any) -> Any:
    """The error function."""
    return math.erf(x)


sigmoid32, sigmoid_slope32, silu32, silu_slope32, softplus32, share32, _ = tails.sigmoids(
    function, _decay32, np.float32, 149
)
sigmoid64, sigmoid_slope64, silu64, silu_slope64, softplus64, share64, logaddexp64 = tails.sigmoids(
    function, _decay64, np.float64, 1500
)
gauss64, gelu64, gelu_slope64 = tails.normals(function)
erf32, gauss32, gelu32, gelu_slope32 = (tails.narrow(function, f) for f in (erf64, gauss64, gelu64, gelu_slope64))
logaddexp32 = tails.narrow_two(function, logaddexp64)  # right where the two terms of max + log1p cancel too


@function
def decay32(x: Any) -> Any:
    """exp(-|x|) of a float32."""
    a, b = _decay32(x)
    return a * b


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
