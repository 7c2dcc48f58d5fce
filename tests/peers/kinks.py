"""Functions where they have a kink, end, tie or overflow: which slope is chosen, and that no NaN comes of it.

Left out is where PyTorch has NaN or its own view: silu at infinity (its limits are 0 and x), slopes at NaN, logaddexp of equal infinities (they share the slope
here), second derivatives of powers of 0.
"""

from functools import partial

import numpy as np
from peers.ops import enter

INF, NAN = np.inf, np.nan
ZEROS = np.array([0.0, -0.0])
FAR = np.array([INF, -INF, NAN, 30.0, -30.0, 800.0, -800.0])
NUMBERS = np.array([INF, -INF, 20.0, -20.0, 800.0, -800.0])


def on_one(name, m, x):
    return getattr(m, name)(x)


for name in "abs leaky_relu elu gelu silu softplus sigmoid tanh sign square exp expm1 log1p erf floor".split():
    enter(f"{name} at 0", partial(on_one, name), ZEROS, order=1 if name == "elu" else 2)
for name in "relu sqrt".split():
    enter(f"{name} at 0", partial(on_one, name), ZEROS, order=1)
for name in "leaky_relu sigmoid tanh square exp erf floor expm1 log1p isnan isfinite".split():
    enter(f"{name} far out", partial(on_one, name), FAR, order=1)
enter("silu far out", partial(on_one, "silu"), FAR[~np.isinf(FAR)], order=1)
for name in "abs relu elu softplus sign".split():
    enter(f"{name} of large numbers", partial(on_one, name), NUMBERS, order=1)
for name in ("maximum", "minimum"):
    tied = np.array([1, 2, INF, 0.0, -INF, 3]), np.array([1, 1, INF, -0.0, 2, 4])
    enter(f"{name} of ties", lambda m, x, y, n=name: getattr(m, n)(x, y), *tied)
    not_numbers = np.array([NAN, 1.0, NAN]), np.array([1.0, NAN, NAN])
    enter(f"{name} of NaN", lambda m, x, y, n=name: getattr(m, n)(x, y), *not_numbers, order=0)
for name in ("max", "min"):
    for x in ([2.0, 2.0, 1.0, 1.0], [1.0, 1.0, 1.0], [INF, 1.0, -INF]):
        enter(f"{name} of {x}", lambda m, x, n=name: getattr(m, n)(x), np.array(x), order=1)
    enter(f"{name} of NaN", lambda m, x, n=name: getattr(m, n)(x), np.array([2.0, NAN, 1.0]), order=0)
for name in ("argmax", "argmin"):
    for x in ([2.0, 2.0, 1.0, 1.0], [2.0, NAN, 1.0, NAN], [INF, -INF, INF, -INF]):
        enter(f"{name} of {x}", lambda m, x, n=name: getattr(m, n)(x), np.array(x))
for x in ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0]):
    enter(f"prod of {x}", lambda m, x: m.prod(x), np.array(x))
enter("logaddexp of equals", lambda m, x, y: m.logaddexp(x, y), np.array([1.0, 0.0, -2.0]), np.array([1.0, 0.0, -2.0]))
far = np.array([-INF, INF, 1000.0, -800.0]), np.array([1.0, 1.0, -1000.0, -800.0])
enter("logaddexp far apart", lambda m, x, y: m.logaddexp(x, y), *far, order=1)
bases, exponents = np.array([0.0, 0, 0, 1, 2, 0]), np.array([0.0, 1, 2, 0, 0, 3])
enter("powers of 0 and to 0", lambda m, x, y: m.pow(x, y), bases, exponents, order=1)
enter("whole powers", lambda m, x: (x**2, x**0, x**1, x**3, x**-2.0), np.array([-1.0, 2.0, -3.0]))
enter("squares and cubes of 0", lambda m, x: (x**2, x**1, x**3, 2**x), np.array([0.0]))
signs = np.array([5.0, -5, 5, -5, 0, -0.5]), np.array([3.0, 3, -3, -3, 2, 2])
enter("remainder by signs", lambda m, x, y: m.remainder(x, y), *signs)
enter("floor_divide by signs", lambda m, x, y: m.floor_divide(x, y), *signs, order=0)
enter("divide by 0", lambda m, x, y: x / y, np.array([1.0, 0.0, -1.0]), ZEROS[:1])
enter("log at its end", lambda m, x: m.log(x), np.array([0.0, -1.0, INF, 1.0]))
enter("clip at its bounds", lambda m, x: m.clip(x, -1, 1), np.array([-1.0, 1.0, 0.0, 2.0, -INF]))
enter("where hides a NaN", lambda m, x: m.where(x > 0, m.log(x + 2), 0.0), np.array([0.5, -1.0, 0.0]))
enter("softmax of large numbers", lambda m, x: m.softmax(x, -1), np.array([[1, -INF], [1000, 0.0], [-1000, -1001]]))
enter("log_softmax of large numbers", lambda m, x: m.log_softmax(x, -1), np.array([[1000, 0.0], [-1000, -1001]]))
rows = np.array([[-INF, 1.0], [1000, 1000.0], [-1000, -1000]])
enter("logsumexp of large numbers", lambda m, x: m.logsumexp(x, axis=1), rows)
enter("logsumexp of nothing", lambda m, x: m.logsumexp(x, axis=1), np.array([[-INF, -INF]]), order=0)
enter("var of one", lambda m, x: m.var(x, correction=1), np.array([1.0]), order=0)
enter("mean of nothing", lambda m, x: m.mean(x), np.zeros(0), order=0)
