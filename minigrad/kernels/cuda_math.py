"""The functions that loop expressions of the op table name, for one element, on the GPU.

Imports `gpu`. On the GPU they come from CUDA's libdevice through `math`, in the type of their argument; the simulator
takes NumPy's, which know infinity.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.gpu import SIMULATED, device_function

Function = Callable[..., Any]


def _either(on_gpu: Function, simulated: Function) -> Function:
    return simulated if SIMULATED else device_function(on_gpu)


def _floor(x: Any) -> Any:
    whole = x - x % 1  # math.floor would make an integer of it, and know no infinity
    return x if x - x != 0 else whole


def _logaddexp(x: Any, y: Any) -> Any:
    if x == y:
        return x + 0.6931471805599453
    return max(x, y) + math.log1p(math.exp(-abs(x - y)))


exp32 = exp64 = _either(lambda x: math.exp(x), np.exp)
tanh32 = tanh64 = _either(lambda x: math.tanh(x), np.tanh)
erf32 = erf64 = _either(lambda x: math.erf(x), lambda x: type(x)(math.erf(x)))
half = np.float32(0.5)
sigmoid32 = _either(lambda x: math.tanh(x * half) * half + half, lambda x: np.tanh(x * half) * half + half)
sigmoid64 = _either(lambda x: math.tanh(x * 0.5) * 0.5 + 0.5, lambda x: np.tanh(x * 0.5) * 0.5 + 0.5)
expm1 = _either(lambda x: math.expm1(x), np.expm1)
log = _either(lambda x: math.log(x), np.log)
log1p = _either(lambda x: math.log1p(x), np.log1p)
sqrt = _either(lambda x: math.sqrt(x), np.sqrt)
sin = _either(lambda x: math.sin(x), np.sin)
cos = _either(lambda x: math.cos(x), np.cos)
tan = _either(lambda x: math.tan(x), np.tan)
floor = _either(_floor, np.floor)
isfinite = _either(lambda x: math.isfinite(x), np.isfinite)
sign = _either(lambda x: (x > 0) - (x < 0) + (x * 0 if x != x else 0), np.sign)  # noqa: PLR0124
power = _either(lambda x, y: x**y, np.power)
row_number = _either(
    lambda i, n: min(max(i + n if i < 0 else i, 0), n - 1), lambda i, n: min(max(i + n if i < 0 else i, 0), n - 1)
)
remainder = _either(lambda x, y: x % y, np.remainder)
floor_divide = _either(lambda x, y: x // y, np.floor_divide)
logaddexp = _either(_logaddexp, np.logaddexp)
