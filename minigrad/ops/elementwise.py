"""Ops that treat every element alike, with NumPy's broadcasting. One declaration an op.

Imports the ground floor, `core` and the kernels. In a rule `g` is the cotangent, `out` the value made, and a name
that begins with `_` a value that the rule does not need.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arguments import number
from minigrad.arraytype import SCALARS, ArrayType, broadcast_shapes, check_dtype, promote
from minigrad.core import Op, as_value, declare
from minigrad.device import put
from minigrad.errors import DtypeError

Range = tuple[float, float]
SHAPES: dict[int, list[tuple[tuple[int, ...], ...]]] = {
    1: [((2, 3),), ((),)],
    2: [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (4,))],
    3: [((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), ())],
}


def elementwise(
    name: str,
    forward: Callable[..., Any],
    vjp: Callable[..., tuple[Any, ...]] | None = None,
    *,
    loop: str,
    sample: list[Range],
    result: str = "same",
    booleans: str = "int8",
    loops_over: str = "biuf",
) -> Op:
    """Declare an op on elements.

    result:   "same" (as the inputs), "float" (of booleans and integers float64), "bool", or "integer" (as the inputs,
              which must not be floats).
    booleans: of an op whose result is "same": the dtype of its result for booleans; "" refuses them, as NumPy does.
    """

    def type_rule(*inputs: Any, **_metadata: Any) -> ArrayType:
        shape = broadcast_shapes(name, *inputs)
        if result == "bool":
            return ArrayType(shape, np.dtype(bool))
        dtype = promote(*(inputs[1:] if name == "where" else inputs))
        if result == "integer" and dtype.kind == "f":
            raise DtypeError(
                f"{name} works on the bits of integers and on booleans, not on {dtype}. Use mg.logical_and and its kin."
            )
        if result == "float":
            return ArrayType(shape, dtype if dtype.kind == "f" else np.dtype(np.float64))
        if dtype.kind == "b" and not booleans:
            raise DtypeError(f"{name} takes numbers, not booleans. Use mg.logical_not, or .astype(mg.int64) first.")
        return ArrayType(shape, np.dtype(booleans) if dtype.kind == "b" else dtype)

    def samples(rng: np.random.Generator) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        drawn: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        for shapes in SHAPES[len(sample)]:
            draw: Any = rng.integers if result == "integer" else rng.uniform
            arrays: list[Any] = [np.asarray(draw(*span, size=s)) for span, s in zip(sample, shapes, strict=True)]
            if name == "where":
                arrays[0] = arrays[0] > 0
            drawn.append((tuple(arrays), {}))
        return drawn

    if result == "float" and forward is not np.true_divide:  # which makes float64 of integers itself
        forward = _on_floats(forward, len(sample))
    return declare(
        name,
        forward=forward,
        type_rule=type_rule,
        vjp=vjp,
        samples=samples,
        broadcasts=True,
        arity=len(sample),
        loop=loop,
        loops_over=loops_over,
    )


def _on_floats(forward: Callable[..., Any], arity: int) -> Callable[..., Any]:
    """The forward with integers made float64 first, of which NumPy would make a float16 if they are small."""
    if arity == 1:
        return lambda x: forward(x if x.dtype.kind == "f" else x.astype(np.float64))

    def on_floats(*xs: Any) -> Any:
        if promote(*xs).kind == "f":
            return forward(*xs)
        return forward(*(x if type(x) in SCALARS else x.astype(np.float64) for x in xs))

    return on_floats


# --- arithmetic ---------------------------------------------------------------------------------------------------

add = elementwise(
    "add", np.add, lambda g, _out, _x, _y: (g, g), loop="{0} + {1}", sample=[(-3, 3), (-3, 3)], booleans="bool"
)
subtract = elementwise(
    "subtract", np.subtract, lambda g, _out, _x, _y: (g, -g), loop="{0} - {1}", sample=[(-3, 3), (-3, 3)], booleans=""
)
multiply = elementwise(
    "multiply",
    np.multiply,
    lambda g, _out, x, y: (g * y, g * x),
    loop="{0} * {1}",
    sample=[(-3, 3), (-3, 3)],
    booleans="bool",
)
divide = elementwise(
    "divide",
    np.true_divide,
    lambda g, out, _x, y: (g / y, -g * out / y),
    loop="{0} / {1}",
    sample=[(-3, 3), (0.5, 2)],
    result="float",
)
negative = elementwise("negative", np.negative, lambda g, _out, _x: (-g,), loop="-{0}", sample=[(-3, 3)], booleans="")
reciprocal = elementwise(
    "reciprocal",
    lambda x: np.true_divide(1, x),
    lambda g, out, _x: (-g * out * out,),
    loop="{t}(1) / {0}",
    sample=[(0.5, 2)],
    result="float",
)
pow: Op = elementwise(
    "pow",
    np.power,
    lambda g, out, x, y: (
        # At y = 0 the power is constant; at x = 0 the slope in y is 0, its limit from the right.
        g * where(equal(y, 0), 0.0, y * pow(x, where(equal(y, 0), 1.0, y - 1))),
        g * where(equal(x, 0), 0.0, out * log(where(equal(x, 0), 1.0, x))),
    ),
    loop="pow{f}({0}, {1})",
    loops_over="f",  # an integer to a negative power is an error, which a loop cannot raise
    sample=[(0.5, 2), (-2, 2)],
)
remainder = elementwise(
    "remainder",
    np.remainder,
    lambda g, _out, x, y: (g, -g * floor(x / y)),  # at a whole quotient: the slope from the right
    loop="np.remainder({0}, {1})",
    sample=[(0.6, 0.9), (0.35, 0.5)],
)
floor_divide = elementwise(
    "floor_divide", np.floor_divide, loop="np.floor_divide({0}, {1})", sample=[(0.6, 0.9), (0.35, 0.5)]
)
square = elementwise("square", np.square, lambda g, _out, x: (g * 2 * x,), loop="{0} * {0}", sample=[(-3, 3)])
abs = elementwise(
    "abs", np.abs, lambda g, _out, x: (g * sign(x),), loop="abs({0})", sample=[(0.5, 2)], booleans="bool"
)  # at 0: slope 0
sign: Op = elementwise(
    "sign", np.sign, loop="np.sign({0})", loops_over="fi", sample=[(0.5, 2)], booleans=""
)  # flat wherever it has a slope: carries no gradient
floor: Op = elementwise("floor", np.floor, loop="np.floor({0})", sample=[(0.1, 0.9)], booleans="bool")  # likewise

# --- powers, logarithms, circle and hyperbola ---------------------------------------------------------------------

exp = elementwise("exp", np.exp, lambda g, out, _x: (g * out,), loop="exp{f}({0})", sample=[(-3, 3)], result="float")
expm1 = elementwise(
    "expm1", np.expm1, lambda g, _out, x: (g * exp(x),), loop="np.expm1({0})", sample=[(-3, 3)], result="float"
)
log: Op = elementwise("log", np.log, lambda g, _out, x: (g / x,), loop="log{f}({0})", sample=[(0.5, 3)], result="float")
log1p = elementwise(
    "log1p", np.log1p, lambda g, _out, x: (g / (1 + x),), loop="np.log1p({0})", sample=[(-0.5, 3)], result="float"
)
sqrt = elementwise(
    "sqrt", np.sqrt, lambda g, out, _x: (g * 0.5 / out,), loop="np.sqrt({0})", sample=[(0.5, 3)], result="float"
)
sin = elementwise("sin", np.sin, lambda g, _out, x: (g * cos(x),), loop="np.sin({0})", sample=[(-3, 3)], result="float")
cos: Op = elementwise(
    "cos", np.cos, lambda g, _out, x: (-g * sin(x),), loop="np.cos({0})", sample=[(-3, 3)], result="float"
)
tan = elementwise(
    "tan", np.tan, lambda g, out, _x: (g * (1 + out * out),), loop="np.tan({0})", sample=[(-1, 1)], result="float"
)
# --- choice and comparison ----------------------------------------------------------------------------------------

relu = elementwise(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda g, out, _x: (where(greater(out, 0), g, 0.0),),  # at 0: slope 0, as PyTorch
    loop="{t}(0) if {0} < {t}(0) else {0}",
    sample=[(0.5, 3)],
    booleans="int64",
)


def _maximum_vjp(g: Any, _out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    tie = equal(x, y)  # a tie shares the gradient evenly, as PyTorch
    return (
        where(tie, g * 0.5, where(greater(x, y), g, 0.0)),
        where(tie, g * 0.5, where(less(x, y), g, 0.0)),
    )


def _minimum_vjp(g: Any, _out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    of_y, of_x = _maximum_vjp(g, _out, x, y)
    return of_x, of_y


maximum = elementwise(
    "maximum",
    np.maximum,
    _maximum_vjp,
    loop="{1} if {0} < {1} or {1} != {1} else {0}",
    sample=[(-3, 3), (-3, 3)],
    booleans="bool",
)
minimum = elementwise(
    "minimum",
    np.minimum,
    _minimum_vjp,
    loop="{1} if {0} > {1} or {1} != {1} else {0}",
    sample=[(-3, 3), (-3, 3)],
    booleans="bool",
)


def _where(condition: Any, x: Any, y: Any) -> Any:
    if type(x) is int or type(y) is int:
        promote(x, y)  # np.where would wrap an integer that does not fit
    return np.where(condition, x, y)


where: Op = elementwise(
    "where",
    _where,
    lambda g, _out, condition, _x, _y: (None, where(condition, g, 0.0), where(condition, 0.0, g)),
    loop="{1} if {0} else {2}",
    sample=[(-1, 1), (-3, 3), (-3, 3)],
    booleans="bool",
)

equal: Op = elementwise("equal", np.equal, loop="{0} == {1}", sample=[(-3, 3), (-3, 3)], result="bool")
not_equal = elementwise("not_equal", np.not_equal, loop="{0} != {1}", sample=[(-3, 3), (-3, 3)], result="bool")
less = elementwise("less", np.less, loop="{0} < {1}", sample=[(-3, 3), (-3, 3)], result="bool")
less_equal = elementwise("less_equal", np.less_equal, loop="{0} <= {1}", sample=[(-3, 3), (-3, 3)], result="bool")
greater: Op = elementwise("greater", np.greater, loop="{0} > {1}", sample=[(-3, 3), (-3, 3)], result="bool")
greater_equal = elementwise(
    "greater_equal", np.greater_equal, loop="{0} >= {1}", sample=[(-3, 3), (-3, 3)], result="bool"
)
logical_and = elementwise(
    "logical_and", np.logical_and, loop="bool({0}) and bool({1})", sample=[(-3, 3), (-3, 3)], result="bool"
)
logical_or = elementwise(
    "logical_or", np.logical_or, loop="bool({0}) or bool({1})", sample=[(-3, 3), (-3, 3)], result="bool"
)
logical_not = elementwise("logical_not", np.logical_not, loop="not {0}", sample=[(-3, 3)], result="bool")
isfinite = elementwise("isfinite", np.isfinite, loop="np.isfinite({0})", sample=[(-3, 3)], result="bool")
isnan = elementwise("isnan", np.isnan, loop="{0} != {0}", sample=[(-3, 3)], result="bool")

# --- dtype, and doing nothing -------------------------------------------------------------------------------------

_cast = declare(
    "cast",
    forward=lambda x, *, dtype: np.asarray(x).astype(dtype),
    type_rule=lambda x, *, dtype: ArrayType(x.shape, np.dtype(dtype)),
    vjp=lambda g, _out, _x, dtype: (astype(g, _x.dtype),),
    loop="{t}({0})",
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {"dtype": np.dtype(np.float64)})],
)
identity = declare(
    "identity",
    forward=lambda x: x,
    type_rule=lambda x: ArrayType(x.shape, x.dtype),
    vjp=lambda g, _out, _x: (g,),
    arity=1,
    loop="{0}",
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {})],
)
_to: Op = declare(
    "to",
    forward=lambda x, *, device, source: put(x, device),
    type_rule=lambda x, *, device, source: ArrayType(x.shape, x.dtype),
    vjp=lambda g, _out, _x, device, source: (_to(g, device=source, source=device),),
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {"device": "cpu", "source": "cpu"})],
)
stop_gradient = declare(
    "stop_gradient",
    forward=lambda x: x,
    type_rule=identity.type_rule,
    vjp=None,
    arity=1,
    loop="{0}",
    samples=identity.samples,
)


def astype(x: Any, dtype: Any) -> Any:
    """`x` with another dtype; gradients come back in the dtype of `x`."""
    x, dtype = as_value(x), check_dtype(dtype)
    return x if x.dtype == dtype else _cast(x, dtype=dtype)


# --- made of the ones above ---------------------------------------------------------------------------------------


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """`x` held between `min` and `max`; at a bound the gradient passes, outside it is 0. NaN in either gives NaN."""
    x = as_value(x)
    if min is not None:
        x = where(greater_equal(x, min), x, maximum(x, min))
    if max is not None:
        x = where(less_equal(x, max), x, minimum(x, max))
    return x


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """`x` where positive, else `negative_slope * x`; at 0 the slope is `negative_slope`."""
    x = as_value(x)
    return where(greater(x, 0), x, x * number("leaky_relu", "negative_slope", negative_slope))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """`x` where positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2016); at 0 the slope is `alpha`."""
    x = as_value(x)
    positive = greater(x, 0)
    return where(positive, x, number("elu", "alpha", alpha) * expm1(where(positive, 0.0, x)))


def require_floating(where: str, x: Any) -> None:
    """Raise DtypeError unless `x` holds floats."""
    if x.dtype.kind != "f":
        raise DtypeError(f"{where} needs floats, not {x.dtype}. Use x.astype(mg.float32).")
