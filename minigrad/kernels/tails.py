"""Functions whose tails are easily lost, written once for each target: the CPU's `vector_math.py` and the GPU's
`cuda_math.py` declare them, each in its own way (`function`).

Right to 4 units in the last place over the whole range. NaN passes through; infinity too, and where a function tends to
0 · ∞ its limit is meant: silu(-∞) = 0. A function is computed in the order written: no declaration may rearrange it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Declare = Callable[[Callable[..., Any]], Any]


def sigmoids(function: Declare, factors: Callable[[Any], Any], number: Any, end: int) -> tuple[Any, ...]:
    """sigmoid and its kin for one dtype, from e = exp(-|x|), which never overflows, and is 0 from `end` on.

    `factors(x)` are two numbers whose product is e: where e is below the smallest number and the result is not, they
    are multiplied in one by one.
    """
    zero, one, high, low = number(0), number(1), number(end), number(-end)

    @function
    def decay(x: Any) -> Any:
        """exp(-|x|)."""
        a, b = factors(x)
        return a * b

    @function
    def sigmoid(x: Any) -> Any:
        """1 / (1 + exp(-x))."""
        e = decay(x)
        r = one / (one + e)
        return e * r if x < zero else r

    @function
    def sigmoid_slope(x: Any) -> Any:
        """The derivative of sigmoid, σ(x) σ(-x)."""
        e = decay(x)
        r = one / (one + e)
        return e * r * r

    @function
    def silu(x: Any) -> Any:
        """x σ(x)."""
        c = low if x < low else x
        a, b = factors(x)
        y = (c * a if x < zero else c) / (one + a * b)
        return y * b if x < zero else y

    @function
    def silu_slope(x: Any) -> Any:
        """The derivative of silu, σ(x) (1 + x σ(-x))."""
        c = low if x < low else x
        c = high if c > high else c
        a, b = factors(x)
        e = a * b
        y = (a * (one + c + e) if x < zero else one + (e + c * e)) / ((one + e) * (one + e))
        return y * b if x < zero else y

    @function
    def softplus(x: Any) -> Any:
        """log(1 + exp(x))."""
        return (x if x > zero else zero) + math.log1p(decay(x))

    @function
    def difference(x: Any, y: Any) -> tuple[Any, Any]:
        """x - y, and what its rounding left over (Knuth's sum of two); 0 between equal infinities."""
        d = zero if x == y else x - y
        back = d - x
        rest = (x - (d - back)) - (y + back)
        return d, rest if rest - rest == zero else zero

    @function
    def share(x: Any, y: Any) -> Any:
        """exp(x) / (exp(x) + exp(y)) = σ(x - y); x - y counts with what its rounding left over."""
        d, rest = difference(x, y)
        e = decay(d)
        e = e - e * rest if d > zero else e + e * rest
        return (e if d < zero else one) / (one + e)

    @function
    def logaddexp(x: Any, y: Any) -> Any:
        """log(exp(x) + exp(y))."""
        d, rest = difference(x, y)
        e = decay(d)
        e = e - e * rest if d > zero else e + e * rest
        return (y if x < y else x) + math.log1p(e)

    return sigmoid, sigmoid_slope, silu, silu_slope, softplus, share, logaddexp


# P(Z > t) exp(t²/2) (t + 5) for t from 0 to 40, a polynomial of u = (t - 5) / (t + 5), highest power first:
# interpolated at Chebyshev's points to 6e-17 of the value.
MILLS = (
    -1.8073212078146044e-10, 1.6891057665153782e-09, 7.667236107202653e-09, -9.144502081289173e-09,
    -6.58488684007974e-08, 4.209183333886914e-08, 4.329837037415609e-07, -3.3651220434990697e-07,
    -2.7691457822822777e-06, 3.980871285666973e-06, 1.6681160364586646e-05, -4.9762810377903036e-05,
    -5.937571381647131e-05, 0.000544899065037323, -0.0007978694007392487, -0.002993376770649268, 0.02079506680009146,
    -0.06911863870629469, 0.16502036617037502, -0.31353315667130516, 0.4953056159699766, -0.6653825028900567,
    0.769193049750063,
)  # fmt: skip
SHRINK, ROOT_HALF, OVER_ROOT = math.exp(-100), math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)


def normals(function: Declare) -> tuple[Any, ...]:
    """What comes of a normal variable Z, for float64."""

    @function
    def exp_of_square(t: Any, factor: Any, shift: Any) -> Any:
        """exp(factor t² + shift), factor a power of two; t² in two parts, for its rounding would be an error of exp."""
        high = np.float64(np.float32(t))
        whole, part = factor * high * high + shift, factor * (t - high) * (t + high)
        total = whole + part
        e = math.exp(total)
        return e + e * (part - (total - whole))

    @function
    def lower_tail(x: Any) -> tuple[Any, Any, Any]:
        """P(Z <= x) and exp(-x²/2), both over the last number: they may be tiny;  x from -40 to -0.5."""
        t = abs(x)
        shift, scale = (100.0, SHRINK) if t > 16 else (0.0, 1.0)
        bell = exp_of_square(t, -0.5, shift)
        u, y = (t - 5) / (t + 5), 0.0
        for factor in MILLS:
            y = y * u + factor
        return y / (t + 5) * bell, bell, scale

    @function
    def gelu(x: Any) -> Any:
        """x P(Z <= x)."""
        if x < -0.5:
            c = -40.0 if x < -40 else x
            tail, _, scale = lower_tail(c)
            return c * tail * scale
        return x * (0.5 + 0.5 * math.erf(x * ROOT_HALF))

    @function
    def gelu_slope(x: Any) -> Any:
        """The derivative of gelu, P(Z <= x) + x exp(-x²/2) / √(2π)."""
        c = 40.0 if x > 40 else x
        if c < -0.5:
            c = -40.0 if c < -40 else c
            tail, bell, scale = lower_tail(c)
            return (tail + c * bell * OVER_ROOT) * scale
        return 0.5 + 0.5 * math.erf(c * ROOT_HALF) + c * math.exp(-0.5 * c * c) * OVER_ROOT

    @function
    def gauss(x: Any) -> Any:
        """exp(-x²)."""
        t = abs(x)
        return exp_of_square(40.0 if t > 40 else t, -1.0, 0.0)

    return gauss, gelu, gelu_slope


def narrow(function: Declare, wide: Callable[..., Any]) -> Any:
    """The same of a float32, by way of float64."""
    return function(lambda x: np.float32(wide(np.float64(x))))


def narrow_two(function: Declare, wide: Callable[..., Any]) -> Any:
    """The same of two."""
    return function(lambda x, y: np.float32(wide(np.float64(x), np.float64(y))))
