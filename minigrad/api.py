"""The public names of `mg`. `minigrad/__init__.py` brings them in when one is first asked for."""

import numpy as _np

from minigrad.batch import Batch
from minigrad.eager import tensor
from minigrad.errors import MinigradError
from minigrad.functional import grad, value_and_grad
from minigrad.mode import no_grad
from minigrad.ops.bits import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
)  # fmt: skip
from minigrad.ops.create import arange, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like
from minigrad.ops.elementwise import (
    abs,
    add,
    astype,
    clip,
    cos,
    divide,
    elu,
    equal,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    isfinite,
    isnan,
    leaky_relu,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    pow,
    reciprocal,
    relu,
    remainder,
    sign,
    sin,
    sqrt,
    square,
    stop_gradient,
    subtract,
    tan,
    where,
)  # fmt: skip
from minigrad.ops.index import one_hot, repeat, take, take_along_axis
from minigrad.ops.linalg import einsum, linear, matmul, tensordot, vecdot
from minigrad.ops.reduce import (
    all,
    any,
    argmax,
    argmin,
    cumulative_sum,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)  # fmt: skip
from minigrad.ops.shape import (
    broadcast_to,
    concat,
    expand_dims,
    flip,
    moveaxis,
    permute_dims,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    tril,
    triu,
    unstack,
)  # fmt: skip
from minigrad.ops.smooth import erf, gelu, logaddexp, sigmoid, silu, softplus, tanh
from minigrad.ops.softmax import log_softmax, logsumexp, softmax
from minigrad.random import seed
from minigrad.recurrence import scan
from minigrad.tracing import no_trace, trace
from minigrad.values import Tensor
from minigrad.weights import load_weights, save

float32, float64 = _np.float32, _np.float64
int32, int64 = _np.int32, _np.int64
bool_ = _np.bool_

__all__ = [name for name in dir() if not name.startswith("_")]
