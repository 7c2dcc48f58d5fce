"""Running drawn cells, compiled against the loop, and the loop against PyTorch.

python tests/random_run.py FIRST COUNT [--jitted] [--float32] [--torch]     a job by hand; prints what failed
"""

import argparse
import contextlib
import io
import sys
import time
import traceback
from collections import Counter
from types import CellType, FunctionType, SimpleNamespace

import numpy as np
from random_cells import BOOL, INT, draw

import minigrad as mg
from minigrad import compiled, fused, recurrence
from minigrad.codegen import run
from minigrad.jit import load
from minigrad.tree import flatten

# --- generated text as plain Python -------------------------------------------------------------------------------


def plain(program, _device="cpu"):
    """A generated module as Python runs it: no Numba, and matrix products by NumPy."""

    def multiply(a, panels, out, first, last):
        w = np.concatenate(list(panels), axis=1)[:, : out.shape[1]]
        out[first:last] = a[first:last] @ w

    def bare(function):
        own = {
            **function.__globals__,
            "multiply": multiply,
            "apart": lambda view: view,
            "hidden": lambda x: x,
            "flush_denormals": int,
        }
        for name in function.__code__.co_names:
            if hasattr(own.get(name), "py_func"):
                own[name] = bare(own[name].py_func)
        held = [getattr(cell.cell_contents, "py_func", cell.cell_contents) for cell in function.__closure__ or ()]
        closure = tuple(CellType(bare(x) if isinstance(x, FunctionType) else x) for x in held)
        return FunctionType(function.__code__, own, function.__name__, closure=closure)

    def hushed(function):
        def call(*arguments):
            with np.errstate(all="ignore"):
                bare(function.py_func)(*arguments)

        return call

    module = load(program.text)
    return run.bind(program, SimpleNamespace(forward=hushed(module.forward), backward=hushed(module.backward)))


# --- one run ------------------------------------------------------------------------------------------------------


def numbers(v, rng, shape, dtype):
    """Random numbers for a value of that kind."""
    if v.kind == INT:
        return rng.integers(0, 5, shape)
    if v.kind == BOOL:
        return rng.random(shape) > 0.5
    return (rng.normal(size=shape) * 0.7).astype(dtype)


class XP:
    """minigrad, with the few names that the drawn text has of its own."""

    def __getattr__(self, name):
        return getattr(mg, name)

    @staticmethod
    def astype(x, kind):
        return mg.astype(x, XP.dtype if kind == "float" else kind)

    @staticmethod
    def ints(values):
        return np.array(values)

    @staticmethod
    def one_hot(x, n):
        return mg.one_hot(x, n)

    @staticmethod
    def log_sigmoid(x):
        return -mg.softplus(-x)


def arrays(cell, seed, batch, steps, dtype):
    """First carry, xs and weights as arrays."""
    rng = np.random.default_rng(seed)
    carry = [numbers(v, rng, (batch, *v.inner), dtype) for v in cell.carry]
    xs = [numbers(v, rng, (steps, batch, *v.inner), dtype) for v in cell.xs]
    weights = [numbers(w, rng, (batch,) * w.rows + w.inner, dtype) for w in cell.weights]
    return carry, xs, weights


def nested(nest, names):
    """A nest's text around names."""
    return nest.format(*names)


def function(cell, xp, weights):
    """The cell itself."""
    space = {"xp": xp, **{w.name: value for w, value in zip(cell.weights, weights, strict=True)}}
    exec(compile(cell.text, f"<cell {cell.seed}>", "exec"), space)
    return space["cell"]


def outcome(cell, seed, batch, steps, dtype, road, **options):
    """Values, gradients, whether each result requires one, norms of the trace, and whether it was compiled."""
    XP.dtype = dtype
    carry, xs, weights = arrays(cell, seed, batch, steps, dtype)
    wrap = lambda a: mg.tensor(a, requires_grad=a.dtype.kind == "f")
    carry, xs, weights = ([wrap(a) for a in some] for some in (carry, xs, weights))
    names = {f"h{i}": a for i, a in enumerate(carry)} | {f"x{i}": a for i, a in enumerate(xs)}
    first = eval(nested(cell.nests[0], [v.name for v in cell.carry]), names)
    given = eval(nested(cell.nests[1], [v.name for v in cell.xs]), names)
    with mg.trace() as trace:
        last, ys = mg.scan(function(cell, XP(), weights), first, given, compiled=road, **options)
        outs = flatten(last)[0] + flatten(ys)[0]
        rng = np.random.default_rng(seed + 1)
        terms = [(out * rng.normal(size=out.shape).astype(dtype)).sum() for out in outs if out.dtype.kind == "f"]
        total = sum(terms)
        if getattr(total, "requires_grad", False):
            total.backward()
    leaves = [x for x in (*carry, *xs, *weights) if x.requires_grad]
    grads = [np.zeros(x.shape, x.dtype) if x.grad is None else x.grad.numpy() for x in leaves]
    scan = trace.scans[0]
    return {
        "value": [out.detach().numpy() for out in outs],
        "gradient": grads,
        "norm": [*scan.carry_norm, *(np.nan_to_num(n, nan=-1) for n in scan.carry_grad_norm)],
        "requires_grad": [np.array(out.requires_grad) for out in outs],
    }, scan.compiled


def by_torch(cell, seed, batch, steps, dtype, lengths=None, reverse=False, checkpoint=None):
    """Values and gradients as PyTorch has them."""
    import torch_xp

    def nest(template, vs):
        return lambda leaves: eval(
            template.format(*(v.name for v in vs)), dict(zip((v.name for v in vs), leaves, strict=True))
        )

    def cotangents(outs):
        rng = np.random.default_rng(seed + 1)
        return [rng.normal(size=tuple(out.shape)).astype(dtype) if out.is_floating_point() else None for out in outs]

    nests = nest(cell.nests[0], cell.carry), nest(cell.nests[1], cell.xs)
    given = arrays(cell, seed, batch, steps, dtype)
    return torch_xp.outcome(lambda xp, ws: function(cell, xp, ws), nests, *given, lengths, reverse, dtype, cotangents)


def differs(ours, theirs, tolerance, kinds=("value", "gradient", "norm", "requires_grad")):
    """Where two outcomes differ, in a word; empty if nowhere."""
    for kind in kinds:
        for i, (a, b) in enumerate(zip(ours[kind], theirs[kind], strict=True)):
            if a.shape != b.shape or a.dtype != b.dtype:
                return f"{kind} {i}: {a.dtype}{list(a.shape)} against {b.dtype}{list(b.shape)}"
            if a.dtype.kind != "f" and not np.array_equal(a, b):
                return f"{kind} {i}: {a.reshape(-1)[:6]} against {b.reshape(-1)[:6]}"
            if a.dtype.kind == "f":
                top = np.abs(b[np.isfinite(b)]).max(initial=1)
                wrong = ~np.isclose(a, b, rtol=tolerance, atol=tolerance * top, equal_nan=True)
                if wrong.any():
                    at = tuple(int(k[0]) for k in np.nonzero(wrong))
                    return f"{kind} {i} at {at}: {a[at]} against {b[at]}"
    return ""


def setting(seed):
    """Batch, steps and options of a seed."""
    rng = np.random.default_rng(seed + 77)
    batch, steps = (
        int(rng.choice([0, 1, 3, 3, 3, 17], p=[0.08, 0.22, 0.2, 0.2, 0.2, 0.1])),
        int(rng.choice([0, 1, 2, 3, 7])),
    )
    options = {"reverse": bool(rng.random() < 0.35)}
    if rng.random() < 0.35:
        options["lengths"] = rng.integers(0, steps + 1, batch)
    if rng.random() < 0.25:
        options["checkpoint"] = [1, 2, "sqrt"][int(rng.integers(3))]
    return batch, steps, options


def attempt(call):
    """What a call gives, or the error that it raised."""
    try:
        with np.errstate(all="ignore"):
            return call(), None
    except Exception as error:
        return None, error


def try_cell(seed, dtype="f8", cell=None):
    """(what failed, or an empty text; whether the cell compiled)."""
    cell = cell or draw(seed)
    batch, steps, options = setting(seed)
    tolerance = 1e-9 if dtype == "f8" else 2e-3
    said = ""
    for data in (seed, seed + 1_000_003):  # numbers that happen to be equal must be so twice
        said, compiled_ = _once(cell, data, batch, steps, dtype, options, tolerance)
        if not said:
            return "", compiled_
    return said, compiled_


def _once(cell, data, batch, steps, dtype, options, tolerance):
    theirs, fault = attempt(lambda: outcome(cell, data, batch, steps, dtype, False, **options))
    ours, error = attempt(lambda: outcome(cell, data, batch, steps, dtype, None, **options))
    if fault is not None:
        if error is None or type(error) is not type(fault):
            return f"loop: {type(fault).__name__}: {fault}", False
        return ("", False) if isinstance(fault, mg.MinigradError) else (f"loop: {type(fault).__name__}: {fault}", False)
    if error is not None:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"error: {type(error).__name__}: {error} ({place.filename.split('/')[-1]}:{place.lineno})", False
    return differs(ours[0], theirs[0], tolerance), ours[1]


def smaller(seed, dtype, said):
    """The drawn cell with as many lines left out as still fail in the same way."""
    cell = draw(seed)
    kind = said.split(" ")[0]
    changed = True
    while changed:
        changed = False
        for i in reversed(range(2, len(cell.lines) - 1)):
            lines = cell.lines
            cell.lines = [*lines[:i], *lines[i + 1 :]]
            found = try_cell(seed, dtype, cell)[0]
            if found.split(" ")[0] == kind and "NameError" not in found:
                changed = True
            else:
                cell.lines = lines
    return cell


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--jitted", action="store_true")
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--show", type=int, default=12)
    told = parser.parse_args()
    if not told.jitted:
        fused.functions = plain
    dtype = "f4" if told.float32 else "f8"
    kinds, reasons, compiled_, began = Counter(), Counter(), 0, time.time()
    for seed in range(told.first, told.first + told.count):
        recurrence._said.clear()
        with contextlib.redirect_stderr(io.StringIO()) as words:
            said, ran = try_cell(seed, dtype)
        compiled_ += ran
        for word in words.getvalue().splitlines():
            if "step by step" in word:
                reasons[word.split("compiled: ")[-1][:90]] += 1
        compiled._programs.clear()
        compiled._refused.clear()
        if said:
            kinds[said.split(":")[0] + ":" + ":".join(said.split(":")[1:3])[:70]] += 1
            if told.show > 0:
                told.show -= 1
                print(f"--- {seed} {setting(seed)}\n{said}\n{smaller(seed, dtype, said).text}", flush=True)
    print(f"{told.count} cells, {compiled_} compiled, {sum(kinds.values())} failed, {time.time() - began:.0f} s")
    for kind, n in kinds.most_common():
        print(f"{n:6} {kind}")
    print("\n".join(f"   ({n} {r})" for r, n in reasons.most_common(25)))
    return bool(kinds)


if __name__ == "__main__":
    sys.exit(main())
