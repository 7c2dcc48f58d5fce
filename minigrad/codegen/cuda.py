"""Regions to text for CUDA: a module with two kernels, from the same plan as `cpu.py`.

Imports the files of its floor before it. A kernel runs all steps, or one region of some steps. Rows of the batch have
nothing to do with each other, so a block may run its rows through all steps alone; else all blocks run all rows
together, each its columns of the weights, and wait for each other after each region (`cuda_run.py` chooses).
"""

from dataclasses import dataclass
from math import prod

from minigrad.codegen.cuda_loops import CudaLoop, CudaText
from minigrad.codegen.half import Half
from minigrad.codegen.places import Array, Place, Sizes
from minigrad.codegen.plan import Statement
from minigrad.codegen.schedule import Loop
from minigrad.codegen.text import legend, signature
from minigrad.ir.graph import Variable
from minigrad.kernels.cuda_elements import spoken
from minigrad.ops.reduce import START

HEAD = '''"""A recurrence for the GPU, written by minigrad from the graph of its cell. B rows; steps start to stop of T.
down: from the last step to the first.  late: 1 for a scan that runs so, whose carry before step t is then at t + 1.
only: the region to run, or -1 for all.  together: whether all blocks run all rows.  x_at: where x begins.
Shared memory: `part`, if rows are summed up, and behind it the weights, `store`.
"""

import numpy as np
from numpy import float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64

from minigrad.gpu import cuda, kernel
from minigrad.jit import types
from minigrad.kernels.cuda_math import *  # noqa: F403
from minigrad.kernels.cuda_scan import load, multiply, norm'''


@dataclass(frozen=True)
class Product:
    """A product of a kernel: which region it is, and its operands as (array, at)."""

    region: int
    x: tuple[Array, str]
    weight: Array
    out: tuple[Array, str]
    rows: int
    inner: int
    columns: int


@dataclass(frozen=True)
class Written:
    """One kernel: its text, the sizes that it takes, its products, whether a row may be run by one block only, and how
    many regions it has.
    """

    text: str
    sizes: list[int]
    products: list[Product]
    alone: bool
    regions: int


def module_text(forward: Half, backward: Half) -> tuple[str, Written, Written]:
    """The module for one program, and what there is to know of its kernels."""
    written = _kernel(forward, "forward"), _kernel(backward, "backward")
    return "\n\n\n".join([HEAD, *(w.text for w in written)]) + "\n", *written


def _kernel(half: Half, name: str) -> Written:
    text = CudaText(half.plan, Sizes())
    text.taken |= {f"{a.name}_at" for a in half.plan.arrays.values()}
    text.depth = 3
    products: list[Product] = []
    alone = False
    for number, region in enumerate(half.regions):
        text.depth = 2
        text.put(f"if only < 0 or only == {number}:")
        text.depth = 3
        if isinstance(region, Statement):
            products.append(_product(text, region, number))
        else:
            alone = _pass(text, region) or alone
        text.sync()
    body, text.lines, text.depth = text.lines, [], 1
    if half.norms:
        _norms(text, half)
    norms = text.lines
    lines = [*_setting(text, products, alone), *body, *norms]
    sizes = text.size
    arguments = [*"start stop only together T down late traced B".split(), *sizes.names.values()]
    arguments += [f"{p}_{i}" for i in range(len(products)) for p in ("begin", "here")]
    arguments += [part for a in half.arrays for part in (a.name, f"{a.name}_at")]
    written = ["@kernel", signature(name, arguments), *legend(half.arrays), spoken("\n".join(lines))]
    return Written("\n".join(written), list(sizes.names), products, alone, len(half.regions))


def _setting(text: CudaText, products: list[Product], alone: bool) -> list[str]:
    """Who works on what, weights brought into shared memory, and the loop over steps."""
    dtype = products[0].weight.dtype.name if products else "float32"
    text.lines, text.depth = [], 1
    text.put(
        "grid = cuda.cg.this_grid()",
        "me, threads = cuda.threadIdx.x, cuda.blockDim.x",
        "block, blocks = (cuda.blockIdx.x, cuda.gridDim.x) if together else (0, 1)",
        "share = B if together else (B + cuda.gridDim.x - 1) // cuda.gridDim.x",
        "first = 0 if together else min(B, cuda.blockIdx.x * share)",
        "last = min(B, first + share)",
        "lane, lanes = me * blocks + block, threads * blocks",
    )
    if alone:
        text.put("part = cuda.shared.array(0, types.float64)")
    if products:
        text.put(f"store = cuda.shared.array(0, types.{dtype})")
    for i, p in enumerate(products):
        w = p.weight.name
        text.put(f"load({w}, {w}_at, {text.size(p.columns)}, store, begin_{i}, here_{i}, block, blocks, me, threads)")
    text.put("cuda.syncthreads()", "for s in range(start, stop):", "    t = T - 1 - s if down else s")
    text.put("    old, new = t + late, t + 1 - late", "    come, go = s % 2, 1 - s % 2")
    return text.lines


def _product(text: CudaText, s: Statement, number: int) -> Product:
    x, weight = s.operands
    assert s.target is not None
    place = text.plan.places[x]
    inner, columns = place.shape[-1], s.shape[-1]
    rows = text.size(s.rows)
    i = sum("multiply(" in line for line in text.lines)
    ends = [f"{end} * {rows}" if s.rows > 1 else end for end in ("first", "last")]
    text.put(
        f"multiply({place.array.name}, {text.begin(place, '')}, {text.size(inner)}, {weight.name}, {weight.name}_at, "
        f"{text.size(columns)}, store,",
        f"         begin_{i}, here_{i}, {s.target.array.name}, {text.begin(s.target, '')}, {ends[0]}, {ends[1]}, "
        "block, blocks, me, threads)",
    )
    return Product(number, (place.array, place.at), weight, (s.target.array, s.target.at), s.rows, inner, columns)


def _pass(text: CudaText, loops: list[Loop]) -> bool:
    """A pass over the rows; returns whether one block must have a row to itself."""
    made = {s.out: loop for loop in loops for s in loop.statements}
    shared = any(
        isinstance(a, Variable) and a not in text.plan.places and made.get(a) is not loop
        for loop in loops for s in loop.statements for a in s.operands
    )  # fmt: skip
    if not shared and not any(s.kind in START for loop in loops for s in loop.statements):
        for i, loop in enumerate(loops):
            CudaLoop(text, loop).write_flat()
            if i < len(loops) - 1:
                text.sync()
        return False
    text.put("for b in range(first, last):")
    text.depth += 1
    for i, loop in enumerate(loops):
        CudaLoop(text, loop).write_row()
        if i < len(loops) - 1:
            text.sync(row_by_row=True)
    text.depth -= 1
    return True


def _norms(text: CudaText, half: Half) -> None:
    """The norm of the gradient of each carry at each step, for whoever watches; a thread a row."""

    def of(place: Place) -> str:
        return f"norm({place.array.name}, {text.begin(place)}, {text.size(prod(place.shape))})"

    text.depth = 2
    text.put(f"if traced and (only < 0 or only == {len(half.regions)}):")
    text.put("    for b in range(first + lane, last, lanes):")
    for _, target, made, kept, runs in half.norms:
        found = "0.0" if made is None else of(made)
        if runs is not None and kept is not None:
            found = f"{found} if {text.row(runs)} else {of(kept)}"
        text.put(f"        {target.name}[{target.name}_at + t * B + b] = {found}")
    text.depth = 3
    text.sync()
