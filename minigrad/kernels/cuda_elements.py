"""Kernels for ops on elements and for reductions, written from the loop expressions of the op table.

Imports `gpu`, `jit` and `cuda_array`. Operands are strided; axes that lie alike in all of them are walked as one.
"""

import re
from functools import cache
from math import prod
from typing import Any

import numpy as np

from minigrad.gpu import THREADS, grid, launch
from minigrad.jit import load
from minigrad.kernels.cuda_array import CudaArray, empty

HEAD = '''"""Written by minigrad from the op table: {name}."""

import numpy as np
from numpy import float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64

from minigrad.gpu import cuda, kernel
from minigrad.jit import types
from minigrad.kernels.cuda_math import *  # noqa: F403


@kernel
'''
Kind = tuple[str, bool]  # of an operand: its dtype, and whether it is an array


def spoken(expression: str) -> str:
    """A loop expression as CUDA takes it: the functions are those of `cuda_math.py`."""
    return re.sub(r"\bnp\.(\w+)\(", r"\1(", expression)


def compute(name: str, template: str, computed: np.dtype[Any], inputs: list[Any], out: CudaArray) -> None:
    """out = template(inputs) for each element, in that dtype; inputs are arrays or scalars."""
    if not out.size:
        return
    places = [out.shadow, *(np.broadcast_to(x.shadow, out.shape) for x in inputs if isinstance(x, CudaArray))]
    sizes, strides = collapsed(out.shape, [[s // p.itemsize for s in p.strides] for p in places])
    kinds = tuple((x.dtype.name, True) if isinstance(x, CudaArray) else (computed.name, False) for x in inputs)
    run = _element_kernel(name, template, computed.name, computed.itemsize * 8, out.dtype.name, kinds, len(sizes))
    arguments: list[Any] = [out.size, *sizes[1:], out.memory.numbers, out.offset, *strides[0]]
    rest = iter(strides[1:])
    for x in inputs:
        arguments += [x.memory.numbers, x.offset, *next(rest)] if isinstance(x, CudaArray) else [computed.type(x)]
    launch(run, *grid(out.size), *arguments)


def collapsed(shape: tuple[int, ...], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Sizes and strides with axes of size 1 left out, and axes joined where every operand lies so that it can be."""
    sizes: list[int] = []
    found: list[list[int]] = [[] for _ in strides]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        if sizes and all(f[-1] == s[axis] * n for f, s in zip(found, strides, strict=True)):
            sizes[-1] *= n
            for f, s in zip(found, strides, strict=True):
                f[-1] = s[axis]
            continue
        sizes.append(n)
        for f, s in zip(found, strides, strict=True):
            f.append(s[axis])
    return (sizes, found) if sizes else ([1], [[0] for _ in strides])


@cache
def _element_kernel(name: str, template: str, computed: str, bits: int, result: str, kinds: tuple[Kind, ...],
                    rank: int) -> Any:  # fmt: skip
    """The kernel for operands of these kinds, walked along `rank` axes."""
    arguments = ["n", *(f"n{d}" for d in range(1, rank))]
    places = {"out": True, **{letter: is_array for letter, (_, is_array) in zip("xyz", kinds, strict=False)}}
    for letter, is_array in places.items():
        arguments += [letter, f"{letter}_at", *(f"{letter}{d}" for d in range(rank))] if is_array else [letter]
    lines = [f"def {name}_of({', '.join(arguments)}):", "    for i in range(cuda.grid(1), n, cuda.gridsize(1)):"]
    lines += ["        rest = i"] * (rank > 1)
    for d in reversed(range(1, rank)):
        lines += [f"        i{d} = rest % n{d}", f"        rest = rest // n{d}"]
    index = {0: "rest" if rank > 1 else "i", **{d: f"i{d}" for d in range(1, rank)}}

    def element(letter: str) -> str:
        return f"{letter}[{letter}_at + {' + '.join(f'{index[d]} * {letter}{d}' for d in range(rank))}]"

    texts = []
    for k, (letter, (dtype, is_array)) in enumerate(zip("xyz", kinds, strict=False)):
        condition = template.startswith("bool") or (template.startswith("{1} if {0}") and k == 0)
        text = element(letter) if is_array else letter
        cast = not (condition or computed in (dtype, "bool") or template.startswith("{t}("))
        lines.append(f"        {letter}_ = {f'{computed}({text})' if cast else text}")
        texts.append(f"{letter}_")
    lines.append(f"        {element('out')} = {spoken(template.format(*texts, t=result, f=bits))}")
    return getattr(load(HEAD.format(name=name) + "\n".join(lines) + "\n"), f"{name}_of")


def reduce(name: str, start: str, step: str, x: CudaArray, axes: tuple[int, ...], dtype: Any) -> CudaArray:
    """`x` over axes, which are then gone: a block an element of the result, its threads' parts added up as a tree."""
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = x.view(x.shadow.transpose(*kept, *axes)).packed()
    shape = tuple(x.shape[a] for a in kept)
    out, n = empty(shape, dtype), prod(x.shape[a] for a in axes)
    if out.size:
        threads = THREADS if n >= THREADS else min(32, THREADS)
        blocks = min(out.size, 1 << 16)
        run = _reduction_kernel(name, start, step, np.dtype(dtype).name)
        launch(run, blocks, threads, out.size, n, rows.memory.numbers, rows.offset, out.memory.numbers,
               shared=threads * out.dtype.itemsize)  # fmt: skip
    return out


@cache
def _reduction_kernel(name: str, start: str, step: str, dtype: str) -> Any:
    """[n, m] -> [n]."""
    shared = {"bool": "boolean"}.get(dtype, dtype)
    t = dtype
    text = f"""def {name}_of(n, m, x, x_at, out):
    part = cuda.shared.array(0, types.{shared})
    me = cuda.threadIdx.x
    for i in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        total = {start}
        for k in range(me, m, cuda.blockDim.x):
            new = {t}(x[x_at + i * m + k])
            total = {step.format(a="total", x="new")}
        part[me] = total
        cuda.syncthreads()
        half = cuda.blockDim.x // 2
        while half > 0:
            if me < half:
                new = part[me + half]
                total = part[me]
                part[me] = {step.format(a="total", x="new")}
            cuda.syncthreads()
            half = half // 2
        if me == 0:
            out[i] = part[0]
        cuda.syncthreads()
"""
    return getattr(load(HEAD.format(name=name) + text), f"{name}_of")
