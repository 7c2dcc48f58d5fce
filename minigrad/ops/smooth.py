"""Ops on elements whose tails are easily lost: tanh and sigmoid with their kin, and what comes of a normal variable.

Imports the ground floor, `core`, `elementwise` and the kernels. Values are right to 4 units in the last place, NumPy's
own included, and slopes are ops of x: the 1 - out² of a tanh has no digits left where out is near 1. What is expected
of each is in `tests/test_tails.py`. In a rule `g` is the cotangent, `out` the value made, and a name that begins with
`_` a value that the rule does not need.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.core import Op, as_value
from minigrad.ops.elementwise import elementwise

# --- from exp(-|x|), which never overflows ------------------------------------------------------------------------


def _by_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """The forward that computes in float64, whatever the dtype."""

    def forward(*xs: Any) -> Any:
        dtype = np.result_type(*xs)
        out = function(*(np.asarray(x, np.float64) for x in xs))
        return out.astype(dtype if dtype.kind == "f" else np.float64, copy=False)

    return forward


def _decay(x: Any, factor: float = 1.0) -> Any:
    return np.exp(np.abs(x) * -factor)


def _tanh_slope(x: Any) -> Any:
    e = _decay(x, 2.0)
    return 4 * e / np.square(1 + e)


def _sigmoid(x: Any) -> Any:
    e = _decay(x)
    return np.where(np.less(x, 0), e, 1.0) / (1 + e)


def _sigmoid_slope(x: Any) -> Any:
    e = _decay(x)
    return e / np.square(1 + e)


def _silu_forward(x: Any) -> Any:
    root = _decay(x, 0.5)
    return np.where(np.less(x, 0), _held(x) * root * root, x) / (1 + root * root)


def _silu_slope(x: Any) -> Any:
    root, c = _decay(x, 0.5), _held(x)
    e = root * root
    return np.where(np.less(x, 0), root * (1 + c + e) * root, 1 + (e + c * root * root)) / np.square(1 + e)


def _held(x: Any) -> Any:
    """x, but at an infinity the largest number: times 0 it is the limit."""
    return np.nan_to_num(x, nan=np.nan)


tanh: Op = elementwise(
    "tanh", np.tanh, lambda g, _out, x: (g * tanh_slope(x),), loop="tanh{f}({0})", sample=[(-3, 3)], result="float"
)
tanh_slope: Op = elementwise(
    "tanh_slope",
    _tanh_slope,
    lambda g, out, x: (g * (-2 * tanh(x) * out),),
    loop="tanh_slope{f}({0})",
    sample=[(-3, 3)],
    result="float",
)
sigmoid: Op = elementwise(
    "sigmoid",
    _sigmoid,
    lambda g, _out, x: (g * sigmoid_slope(x),),
    loop="sigmoid{f}({0})",
    sample=[(-3, 3)],
    result="float",
)
sigmoid_slope: Op = elementwise(
    "sigmoid_slope",
    _sigmoid_slope,
    lambda g, out, x: (-g * out * tanh(0.5 * x),),
    loop="sigmoid_slope{f}({0})",
    sample=[(-3, 3)],
    result="float",
)
_silu = elementwise(
    "silu",
    _by_float64(_silu_forward),
    lambda g, _out, x: (g * silu_slope(x),),
    loop="silu{f}({0})",
    sample=[(-3, 3)],
    result="float",
)
silu_slope: Op = elementwise(
    "silu_slope",
    _by_float64(_silu_slope),
    lambda g, _out, x: (g * sigmoid_slope(x) * (2 - x * tanh(0.5 * x)),),
    loop="silu_slope{f}({0})",
    sample=[(-3, 3)],
    result="float",
)
_softplus = elementwise(
    "softplus",
    lambda x: np.maximum(x, 0) + np.log1p(_decay(x)),
    lambda g, _out, x: (g * sigmoid(x),),
    loop="softplus{f}({0})",
    sample=[(-3, 3)],
    result="float",
)


def _logaddexp(x: Any, y: Any) -> Any:
    dtype = np.result_type(x, y)
    if dtype == np.float32:  # right where the two terms of max + log1p cancel too
        return np.logaddexp(x, y, dtype=np.float64).astype(dtype)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    d = np.where(np.equal(x, y), 0.0, x - y)
    back = d - x
    rest = np.nan_to_num((x - (d - back)) - (y + back))  # what the rounding of x - y left over
    e = np.exp(-np.abs(d))
    return np.maximum(x, y) + np.log1p(e - e * np.copysign(1.0, d) * rest)


def _share(x: Any, y: Any) -> Any:
    return _sigmoid(np.where(np.equal(x, y), 0.0, x - y))


logaddexp = elementwise(
    "logaddexp",
    _logaddexp,
    lambda g, _out, x, y: (g * share(x, y), g * share(y, x)),
    loop="logaddexp{f}({0}, {1})",
    sample=[(-3, 3), (-3, 3)],
    result="float",
)


def _share_vjp(g: Any, out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    g = g * out * share(y, x)
    return g, -g


# exp(x) / (exp(x) + exp(y)); two equal infinities share evenly
share: Op = elementwise(
    "share", _by_float64(_share), _share_vjp, loop="share{f}({0}, {1})", sample=[(-3, 3), (-3, 3)], result="float"
)

# --- what comes of a normal variable; NumPy has none of it --------------------------------------------------------


def _by_kernel(name: str) -> Callable[[Any], Any]:
    def forward(x: Any) -> Any:
        from minigrad.kernels import cpu  # loads Numba: only who asks for one of these pays

        x = np.asarray(x)
        flat = np.ascontiguousarray(x, dtype=x.dtype if x.dtype.kind == "f" else np.float64).reshape(-1)
        out = np.empty_like(flat)
        getattr(cpu, name)(flat, out)
        return out.reshape(x.shape)

    return forward


erf = elementwise(
    "erf",
    _by_kernel("erf"),
    lambda g, _out, x: (g * (1.1283791670955126 * gauss(x)),),  # 2 / sqrt(pi)
    loop="erf{f}({0})",
    sample=[(-2, 2)],
    result="float",
)
# exp(-x²), where x² rounded would not do
gauss: Op = elementwise(
    "gauss",
    _by_kernel("gauss"),
    lambda g, out, x: (g * (-2 * x * out),),
    loop="gauss{f}({0})",
    sample=[(-2, 2)],
    result="float",
)
_gelu = elementwise(
    "gelu",
    _by_kernel("gelu"),
    lambda g, _out, x: (g * gelu_slope(x),),
    loop="gelu{f}({0})",
    sample=[(-3, 3)],
    result="float",
)
gelu_slope: Op = elementwise(
    "gelu_slope",
    _by_kernel("gelu_slope"),
    lambda g, _out, x: (g * (0.3989422804014327 * (2 - x * x) * gauss(0.7071067811865476 * x)),),  # 1 / sqrt(2 pi)
    loop="gelu_slope{f}({0})",
    sample=[(-3, 3)],
    result="float",
)


# --- by their names -----------------------------------------------------------------------------------------------


def gelu(x: Any) -> Any:
    """`x * P(Z <= x)` for a normal Z, exact (Hendrycks and Gimpel 2016)."""
    return _gelu(as_value(x))


def silu(x: Any) -> Any:
    """`x * sigmoid(x)`."""
    return _silu(as_value(x))


def softplus(x: Any) -> Any:
    """`log(1 + exp(x))`, without overflow."""
    return _softplus(as_value(x))


def log_sigmoid(x: Any) -> Any:
    """`log(sigmoid(x))`, right to the last digits where the sigmoid has none left."""
    return -_softplus(-as_value(x))
