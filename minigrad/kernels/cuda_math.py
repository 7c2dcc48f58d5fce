"""The functions that loop expressions of the op table name, for one element, on the GPU.

Imports `gpu`. On the GPU they come from CUDA's libdevice through `math`, in the type of their argument; the simulator
takes NumPy's, which know infinity.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.gpu import SIMULATED, device_function
from minigrad.kernels import tails

Function = Callable[..., Any]


def _either(on_gpu: Function, simulated: Function) -> Function:
    return simulated if SIMULATED else device_function(on_gpu)


def _floor(x: Any) -> Any:
    whole = x - x % 1  # math.floor would make an integer of it, and know no infinity
    return x if x - x != 0 else whole


def _roots(number: Any) -> Function:
    """exp(-|x|) as two factors, for numbers of one type."""
    half = number(0.5)

    def roots(x: Any) -> Any:
        root = math.exp(-half * abs(x))
        return root, root

    return device_function(roots)


def _sech_square(number: Any, sigmoid_slope: Function) -> Function:
    """The derivative of tanh, from that of sigmoid."""
    two, four = number(2), number(4)
    return device_function(lambda x: four * sigmoid_slope(two * x))


exp32 = exp64 = _either(lambda x: math.exp(x), np.exp)
tanh32 = tanh64 = _either(lambda x: math.tanh(x), np.tanh)
erf32 = erf64 = _either(lambda x: math.erf(x), lambda x: type(x)(math.erf(x)))
sigmoid32, sigmoid_slope32, silu32, silu_slope32, softplus32, share32, _ = tails.sigmoids(
    device_function, _roots(np.float32), np.float32, 210
)
sigmoid64, sigmoid_slope64, silu64, silu_slope64, softplus64, share64, logaddexp64 = tails.sigmoids(
    device_function, _roots(np.float64), np.float64, 1500
)
tanh_slope32, tanh_slope64 = _sech_square(np.float32, sigmoid_slope32), _sech_square(np.float64, sigmoid_slope64)
gauss64, gelu64, gelu_slope64 = tails.normals(device_function)
gauss32, gelu32, gelu_slope32 = (tails.narrow(device_function, f) for f in (gauss64, gelu64, gelu_slope64))
logaddexp32 = tails.narrow_two(device_function, logaddexp64)
expm1 = _either(lambda x: math.expm1(x), np.expm1)
log32 = log64 = _either(lambda x: math.log(x), np.log)
log1p = _either(lambda x: math.log1p(x), np.log1p)
sqrt = _either(lambda x: math.sqrt(x), np.sqrt)
sin = _either(lambda x: math.sin(x), np.sin)
cos = _either(lambda x: math.cos(x), np.cos)
tan = _either(lambda x: math.tan(x), np.tan)
floor = _either(_floor, np.floor)
isfinite = _either(lambda x: math.isfinite(x), np.isfinite)
sign = _either(lambda x: (x > 0) - (x < 0) + (x * 0 if x != x else 0), np.sign)  # noqa: PLR0124
pow32 = pow64 = _either(lambda x, y: x**y, np.power)
row_number = _either(
    lambda i, n: min(max(i + n if i < 0 else i, 0), n - 1), lambda i, n: min(max(i + n if i < 0 else i, 0), n - 1)
)
remainder = _either(lambda x, y: x % y, np.remainder)
floor_divide = _either(lambda x, y: x // y, np.floor_divide)
