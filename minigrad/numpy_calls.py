"""NumPy's own functions, called with a Tensor: which of ours each one is, and what to write instead of some others.

Imports the ground floor and the ops. `np.sin(t)` and `np.sum(t, axis=0)` come here from `Tensor`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arguments import short
from minigrad.core import OPS, as_value
from minigrad.errors import UsageError
from minigrad.ops import bits, create, index, linalg, reduce, shape, smooth  # noqa: F401  # all that NumPy has too
from minigrad.ops import elementwise as el

Function = Callable[..., Any]
UFUNCS: dict[Any, Function] = {
    ufunc: op for name, op in OPS.items() if op.arity and isinstance(ufunc := getattr(np, name, None), np.ufunc)
} | {
    np.matmul: linalg.matmul,
    np.vecdot: linalg.vecdot,
    np.positive: el.identity,
    np.divmod: lambda x, y: (el.floor_divide(x, y), el.remainder(x, y)),
}


def _transpose(x: Any, axes: Any = None) -> Any:
    return shape.permute_dims(x, tuple(reversed(range(x.ndim))) if axes is None else axes)


def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    return shape.moveaxis(x, (axis1, axis2), (axis2, axis1)) if axis1 != axis2 else x


def _cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return reduce.cumulative_sum(shape.reshape(x, -1) if axis is None else x, axis, dtype=dtype)


def _linspace(start: Any, stop: Any, num: int = 50, **options: Any) -> Any:
    return create.linspace(start, stop, num, **options)


def _dot(x: Any, y: Any) -> Any:
    x, y = as_value(x), as_value(y)
    return linalg.tensordot(x, y, ([-1], [-min(2, y.ndim)])) if x.ndim and y.ndim else x * y


# To each function ours, and NumPy's parameters in their order: `theirs:ours` where ours has another name, `-name` what
# ours does not have.
FUNCTIONS: dict[Any, tuple[Function, str]] = {
    **{f: (ours, "a:x axis dtype -out keepdims -initial -where") for f, ours in
       ((np.sum, reduce.sum), (np.prod, reduce.prod))},
    np.mean: (reduce.mean, "a:x axis -dtype -out keepdims -where"),
    **{f: (ours, "a:x axis -dtype -out ddof:correction keepdims -where -mean correction") for f, ours in
       ((np.var, reduce.var), (np.std, reduce.std))},
    **{f: (ours, "a:x axis -out keepdims -initial -where") for f, ours in
       ((np.max, reduce.max), (np.amax, reduce.max), (np.min, reduce.min), (np.amin, reduce.min))},
    **{f: (ours, "a:x axis -out keepdims -where") for f, ours in
       ((np.argmax, reduce.argmax), (np.argmin, reduce.argmin), (np.all, reduce.all), (np.any, reduce.any))},
    np.cumsum: (_cumsum, "a:x axis dtype -out"),
    np.cumulative_sum: (reduce.cumulative_sum, "x axis dtype -out include_initial"),
    np.transpose: (_transpose, "a:x axes"),
    np.matrix_transpose: (linalg.transpose, "x"),
    np.linalg.matrix_transpose: (linalg.transpose, "x"),
    np.swapaxes: (_swapaxes, "a:x axis1 axis2"),
    np.reshape: (shape.reshape, "a:x shape -order -copy"),
    np.ravel: (lambda x: shape.reshape(x, -1), "a:x -order"),
    np.moveaxis: (shape.moveaxis, "a:x source destination"),
    np.expand_dims: (shape.expand_dims, "a:x axis"),
    np.squeeze: (shape.squeeze, "a:x axis"),
    np.flip: (shape.flip, "m:x axis"),
    np.roll: (shape.roll, "a:x shift axis"),
    np.concatenate: (shape.concat, "arrays:xs axis -out -dtype -casting"),
    np.stack: (shape.stack, "arrays:xs axis -out -dtype -casting"),
    np.split: (shape.split, "ary:x indices_or_sections axis"),
    np.unstack: (shape.unstack, "x axis"),
    np.broadcast_to: (shape.broadcast_to, "array:x shape -subok"),
    np.tril: (shape.tril, "m:x k"),
    np.triu: (shape.triu, "m:x k"),
    np.repeat: (index.repeat, "a:x repeats axis"),
    np.take: (index.take, "a:x indices axis -out -mode"),
    np.take_along_axis: (index.take_along_axis, "arr:x indices axis"),
    np.where: (lambda condition, *xy: el.where(condition, *xy) if xy else np.nonzero(condition.numpy()), ""),
    np.clip: (el.clip, "a:x a_min:min a_max:max -out min max"),
    np.tensordot: (linalg.tensordot, "a:x b:y axes"),
    np.dot: (_dot, "a:x b:y -out"),
    np.linalg.matmul: (linalg.matmul, "x1:x x2:y"),
    np.linalg.tensordot: (linalg.tensordot, "x1:x x2:y axes"),
    np.linalg.vecdot: (linalg.vecdot, "x1:x x2:y axis"),
    np.einsum: (linalg.einsum, ""),
    np.astype: (el.astype, "x dtype -copy -device"),
    np.zeros_like: (create.zeros_like, "a:x dtype -order -subok -shape -device"),
    np.ones_like: (create.ones_like, "a:x dtype -order -subok -shape -device"),
    np.full_like: (create.full_like, "a:x fill_value dtype -order -subok -shape -device"),
    np.linspace: (_linspace, "start stop num endpoint -retstep dtype -axis -device"),
    np.shape: (lambda x: x.shape, "a:x"),
    np.ndim: (lambda x: x.ndim, "a:x"),
    np.size: (lambda x, axis=None: x.size if axis is None else x.shape[axis], "a:x axis"),
}  # fmt: skip
WRITES = {np.copyto, np.put, np.put_along_axis, np.putmask, np.place, np.fill_diagonal}
DEFAULTS = ("C", "K", "raise", "same_kind")  # what says the same as leaving a parameter out

INSTEAD: dict[Any, str] = {
    np.trace: 'mg.einsum("ii", t)', np.linalg.trace: 'mg.einsum("...ii->...", t)',
    np.diagonal: 'mg.einsum("ii->i", t)', np.diag: 'mg.einsum("ii->i", t)',
    np.inner: "mg.vecdot(x, y)", np.outer: 'mg.einsum("i,j->ij", x, y)', np.vdot: "mg.vecdot(x, y)",
    np.linalg.norm: "mg.sqrt(mg.sum(mg.square(t)))", np.linalg.vector_norm: "mg.sqrt(mg.sum(mg.square(t)))",
    np.real: "t itself, which is real", np.imag: "mg.zeros_like(t)", np.conjugate: "t itself, which is real",
    np.cosh: "(mg.exp(t) + mg.exp(-t)) / 2", np.sinh: "(mg.exp(t) - mg.exp(-t)) / 2",
    np.log2: "mg.log(t) / np.log(2).item()", np.log10: "mg.log(t) / np.log(10).item()", np.exp2: "2.0 ** t",
    np.hypot: "mg.sqrt(x * x + y * y)", np.fmax: "mg.maximum", np.fmin: "mg.minimum", np.fabs: "mg.abs",
    np.float_power: "mg.pow", np.fmod: "mg.remainder", np.ptp: "mg.max(t) - mg.min(t)",
    np.vstack: "mg.concat(..., axis=0)", np.hstack: "mg.concat(..., axis=1)", np.dstack: "mg.stack(..., axis=2)",
    np.diff: "t[1:] - t[:-1]", np.tile: "mg.concat([t] * n)", np.pad: "mg.concat with mg.zeros",
    np.average: "mg.mean", np.nansum: "mg.sum(mg.where(mg.isnan(t), 0.0, t))",
    np.sort: "mg.take_along_axis(t, np.argsort(t.numpy()))",
    np.save: "np.save(path, t.numpy()), or mg.save for a module", np.array_equal: "mg.all(x == y)",
    np.heaviside: "mg.astype(t > 0, t.dtype)", np.cumprod: "mg.exp(mg.cumulative_sum(mg.log(t)))",
}  # fmt: skip


def call(function: Function, args: Any, kwargs: dict[str, Any]) -> Any:
    """Our function in the place of one of NumPy's that is in `FUNCTIONS`.

    Raises:
        UsageError: for a parameter that ours does not have.
    """
    ours, spec = FUNCTIONS[function]
    parameters = spec.split()
    if not parameters:
        return ours(*args, **{k: v for k, v in kwargs.items() if k != "optimize"})
    names = [p.lstrip("-").partition(":")[0] for p in parameters]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    found = {}
    for parameter, name in zip(parameters, names, strict=True):
        value = given.get(name, np._NoValue)
        if value is np._NoValue or (
            parameter[0] == "-" and (value is None or (isinstance(value, str) and value in DEFAULTS))
        ):
            continue
        if parameter[0] == "-":
            raise UsageError(
                f"np.{function.__name__} of a Tensor is mg.{ours.__name__}, which has no {name}={short(value)}. Leave "
                "it out, or use t.numpy() where no gradient is wanted."
            )
        found[parameter.rpartition(":")[2]] = value
    return ours(**found)
