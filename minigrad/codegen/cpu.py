"""Regions to text: a module with two Numba kernels, each of which runs some rows of the batch through all steps.

Imports the files of its floor before it.
"""

import re
from math import prod
from typing import Any

from minigrad.codegen.loops import LoopWriter
from minigrad.codegen.places import Sizes
from minigrad.codegen.plan import Statement
from minigrad.codegen.schedule import Region
from minigrad.codegen.text import Text, legend, signature

HEAD = '''"""A recurrence, written by minigrad from the graph of its cell. T steps; a thread runs rows first to last.
down: from the last step to the first.  late: 1 for a scan that runs so, whose carry before step t is then at t + 1.
"""

import numpy as np
from numpy import {dtypes}

from minigrad.jit import kernel
from minigrad.kernels.matmul import multiply
{functions}from minigrad.llvm import apart, flush_denormals'''
NAMES = """erf exp gauss gelu gelu_slope log logaddexp share sigmoid sigmoid_slope silu silu_slope softplus tanh
tanh_slope""".split()
FUNCTIONS = ["norm", *(f"{name}{bits}" for name in NAMES for bits in (32, 64))]


def module_text(forward: Any, backward: Any) -> str:
    """The module for one program."""
    kernels = [_kernel(forward, "forward"), _kernel(backward, "backward")]
    used = [name for name in FUNCTIONS if any(f"{name}(" in text for text in kernels)]
    functions = f"from minigrad.kernels.vector_math import {', '.join(used)}\n" if used else ""
    dtypes = sorted({"float32", *re.findall(r"\b(u?int\d+|float\d+)\(", "".join(kernels))})
    return "\n\n\n".join([HEAD.format(functions=functions, dtypes=", ".join(dtypes)), *kernels]) + "\n"


def _kernel(half: Any, name: str) -> str:
    """One kernel; fills in the names of the sizes that it takes."""
    text = Text(half.plan, Sizes())
    for place in half.plan.places.values():
        if place.array.kind in ("carry", "swap"):
            text.size(place.array.width)
    text.depth = 1
    text.put("state = flush_denormals(-1)", "for s in range(T):")
    text.depth = 2
    text.put("t = T - 1 - s if down else s")
    body = len(text.lines)
    for region in half.regions:
        _region(text, region)
    if half.norms:
        _norms(text, half.norms)
    steps = ["old, new = t + late, t + 1 - late"] if any("[old" in x or "[new" in x for x in text.lines) else []
    steps += ["come, go = s % 2, 1 - s % 2"] if any("[come" in x or "[go" in x for x in text.lines) else []
    text.lines[body:body] = ["        " + step for step in steps]
    text.depth = 1
    text.put("flush_denormals(state)")
    half.sizes = text.size
    half.work = sum(_work(text, region) for region in half.regions)
    words = set(re.findall(r"\w+", "\n".join(text.lines)))
    half.arrays = [a for a in half.plan.arrays.values() if a.name in words]
    arguments = "first last T down late traced".split() + [*text.size.names.values(), *(a.name for a in half.arrays)]
    return "\n".join(["@kernel", signature(name, arguments), *legend(half.arrays), *text.lines])


def _region(text: Text, region: Region) -> None:
    """A product, or a pass over the rows."""
    if isinstance(region, Statement):
        _product(text, region)
        return
    text.put("for b in range(first, last):")
    text.depth += 1
    for loop in region:
        LoopWriter(text, loop).write()
    text.depth -= 1


def _work(text: Text, region: Region) -> int:
    """Operations for one row."""
    if isinstance(region, Statement):
        return 2 * prod(region.shape) * text.plan.places[region.operands[0]].shape[-1]
    return sum(10 * prod(loop.shape) * len(loop.statements) for loop in region)


def _product(text: Text, s: Statement) -> None:
    x, weight = s.operands
    assert s.target is not None
    place = text.plan.places[x]
    a, out, first, last = text.block(place), text.block(s.target), "first", "last"
    if len(s.shape) > 1:
        a, out = f"{a}.reshape(-1, {text.size(place.shape[-1])})", f"{out}.reshape(-1, {text.size(s.shape[-1])})"
        rows = text.size(s.rows)
        first, last = f"first * {rows}", f"last * {rows}"
    text.put(f"multiply({a}, {weight.name}, {out}, {first}, {last})")


def _norms(text: Text, norms: list[Any]) -> None:
    """The norm of the gradient of each carry, for whoever watches."""
    text.put("if traced:")
    text.put("    for b in range(first, last):")
    for _, target, made, kept, runs in norms:
        norm = f"norm({text.row(made)})"
        if runs is not None and kept is not None:
            norm = f"{norm} if {text.row(runs, '0')} else norm({text.row(kept)})"
        text.put(f"        {target.name}[t, b] = {norm}")
