"""A program's functions on the GPU: the same text as on the CPU (`host.py`), with arrays, products and kernels that are
there; and how a kernel is launched.

Imports the files of its floor before it, and the kernels. B rows, T steps.
"""

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from minigrad import gpu
from minigrad.arraytype import NUMBERS
from minigrad.codegen.cuda import Product, Written, module_text
from minigrad.codegen.half import Half
from minigrad.codegen.places import Array
from minigrad.codegen.program import Program
from minigrad.core import OPS
from minigrad.jit import load
from minigrad.kernels import cuda_ops
from minigrad.kernels.cuda_array import CudaArray, empty, zeros
from minigrad.kernels.cuda_array import put as put_there
from minigrad.kernels.cuda_products import multiply
from minigrad.ops.index import ARRAY

Numbers = np.ndarray[Any, Any]
ALONE, TOGETHER, STEPWISE = "alone", "together", "stepwise"
WORTH = 1.2e8  # rows times weights: for more, cuBLAS step by step is faster than the product in a kernel (estimated)
EXCHANGE = 8 * gpu.MOST_THREADS  # bytes of shared memory in which the threads of a block sum rows up


def bind(program: Program) -> Any:
    """The functions of a program, for arrays on the GPU."""
    text, ahead, back = module_text(program.forward, program.backward)
    kernels = load(text)
    names = {
        **TOOLS,
        "forward": Launcher(program.forward, ahead, kernels.forward),
        "backward": Launcher(program.backward, back, kernels.backward),
        **program.given,
    }
    exec(compile(program.host, "<minigrad: around a loop>", "exec"), names)
    return SimpleNamespace(**{k: names[k] for k in "weights ahead weights_back back finish".split()})


class Way(NamedTuple):
    """How a kernel runs: "alone", each block its rows through all steps; "together", all blocks all rows; "stepwise",
    one region of one step at a time, with cuBLAS between. here: the rows of each weight that shared memory holds.
    """

    name: str
    blocks: int
    here: tuple[int, ...]


def choose(written: Written, batch: int, room: int, blocks: int) -> Way:
    """The way for a kernel, with so many bytes of shared memory a block and so many blocks at once.

    Alone if half of the weights or more fit beside one block; together if all of them fit into all blocks, and no row
    must be one block's; else stepwise.
    """
    weights = [(p.inner, p.columns, p.weight.dtype.itemsize) for p in written.products]
    size = sum(inner * columns * bytes_ for inner, columns, bytes_ in weights)
    numbers = sum(inner * columns for inner, columns, _ in weights)
    few = max(1, min(batch, blocks))
    if size <= 2 * room:
        share = min(1.0, room / size) if size else 1.0
        return Way(ALONE, few, tuple(int(inner * share) for inner, _, _ in weights))
    here = sum(inner * -(-columns // blocks) * bytes_ for inner, columns, bytes_ in weights)
    if here <= room and not written.alone and batch * numbers <= WORTH:
        return Way(TOGETHER, blocks, tuple(inner for inner, _, _ in weights))
    return Way(STEPWISE, few, (0,) * len(weights))


class Launcher:
    """A kernel of a program, called as the one on the CPU is."""

    def __init__(self, half: Half, written: Written, kernel: Any) -> None:
        self.half, self.written, self.kernel = half, written, kernel
        self.batch = half.plan.batch
        widest = max([p.columns for p in written.products] + [a.width for a in half.arrays], default=1)
        self.threads = min(gpu.MOST_THREADS, -(-widest // 32) * 32) if not gpu.SIMULATED else gpu.THREADS
        self.way: Way | None = None

    def __call__(self, _first: int, _last: int, steps: int, down: bool, late: int, traced: bool, *rest: Any) -> None:
        arrays = list(rest[len(rest) - len(self.half.arrays) :])
        assert all([a.is_contiguous for a in arrays])  # a copy would take what is written with it
        if self.way is None:
            self.way = choose(self.written, self.batch, gpu.shared_bytes() - EXCHANGE, gpu.processors())
            self._allow(steps, arrays)
        if self.way.name != STEPWISE:
            self._launch(0, steps, -1, steps, down, late, traced, arrays)
            return
        products = {p.region: p for p in self.written.products}
        for s in range(steps):
            for region in range(self.written.regions + bool(traced)):
                if region in products:
                    self._multiply(products[region], s, steps - 1 - s if down else s, late, arrays)
                else:
                    self._launch(s, s + 1, region, steps, down, late, traced, arrays)

    def _launch(self, start: int, stop: int, only: int, steps: int, down: bool, late: int, traced: bool,
                arrays: list[CudaArray]) -> None:  # fmt: skip
        assert self.way is not None
        begins, shared = self._shared()
        held = [n for pair in zip(begins, self.way.here, strict=True) for n in pair]
        flat = [part for a in arrays for part in (a.memory.numbers, a.offset)]
        together = self.way.name == TOGETHER
        gpu.launch(self.kernel, self.way.blocks, self.threads, start, stop, only, together, steps, bool(down), late,
                   bool(traced), self.batch, *self.written.sizes, *held, *flat, shared=shared)  # fmt: skip

    def _shared(self) -> tuple[list[int], int]:
        """Where in shared memory the part of each weight begins, in numbers, and the bytes of all."""
        assert self.way is not None
        blocks = self.way.blocks if self.way.name == TOGETHER else 1
        size = max([p.weight.dtype.itemsize for p in self.written.products], default=4)
        begins, total = [], EXCHANGE // size if self.written.alone else 0
        for p, here in zip(self.written.products, self.way.here, strict=True):
            begins.append(total)
            total += here * -(-p.columns // blocks)
        return begins, total * size

    def _allow(self, steps: int, arrays: list[CudaArray]) -> None:
        """Compile the kernel, by running no step, and let it have all shared memory: other programs run it too."""
        assert self.way is not None
        way = self.way
        self.way = Way(STEPWISE, 1, (0,) * len(way.here))
        self._launch(0, 0, -1, steps, False, 0, False, arrays)
        self.way = way
        gpu.allow_shared(self.kernel)

    def _multiply(self, p: Product, s: int, t: int, late: int, arrays: list[CudaArray]) -> None:
        """One product of one step."""
        found = dict(zip(self.half.arrays, arrays, strict=True))
        at = {"t": t, "old": t + late, "new": t + 1 - late, "come": s % 2, "go": 1 - s % 2}

        def rows(place: tuple[Array, str], width: int) -> CudaArray:
            array, step = place
            return (found[array][at[step]] if step else found[array]).reshape(-1, width)

        multiply(rows(p.x, p.inner), found[p.weight], rows(p.out, p.columns))


# --- what the text calls ------------------------------------------------------------------------------------------


def _rows(x: Any, shape: Any) -> CudaArray:
    return _there(x).packed().reshape(shape if isinstance(shape, tuple) else (shape,))


def _there(x: Any) -> CudaArray:
    return put_there(x) if isinstance(x, np.ndarray) else x


def _panels(w: Any, turned: bool, dtype: Any) -> CudaArray:
    w = _there(w).astype(dtype, copy=False)
    return (w.T if turned else w).packed()


def _product(a: CudaArray, panels: CudaArray, out: CudaArray) -> None:
    multiply(a, panels, out)


def _outer(a: CudaArray, b: CudaArray, total: CudaArray | None, _backwards: bool) -> CudaArray:
    """total + aᵀ b;  a [R, M], b [R, N] -> [M, N]."""
    out = empty((a.shape[1], b.shape[1]), a.dtype) if total is None else total
    multiply(a.T, b, out, add=total is not None)
    return out


def _put(total: CudaArray | None, shape: Any, index: CudaArray, g: CudaArray, backwards: bool) -> CudaArray:
    """total[index] += g, the last step first if `backwards`;  index [T, B, K], g [T, B, K N]."""
    order = slice(None, None, -1 if backwards else 1)
    rows = g.reshape(index.size, *shape[1:])[order]
    found = cuda_ops.run(OPS["put"], [rows, index.reshape(-1)[order]], {"key": (ARRAY,), "shape": shape})
    return found if total is None else total + found


def _within(index: CudaArray, low: int, high: int, what: str) -> None:
    """Raise ShapeError unless all integers are from `low` to `high`."""
    OPS["within"].forward(index.numpy(), low=low, high=high, what=what)


def _looked_up(table: Any, index: CudaArray, out: CudaArray) -> None:
    """out [T, B, ...] = table[index];  table [N, ...], index [T, B, K]."""
    out[...] = cuda_ops.run(OPS["getitem"], [_there(table), index], {"key": (ARRAY,)}).reshape(out.shape)


def _on_gpu(name: str) -> Any:
    """An op, for the text of the host."""
    return lambda *inputs, **metadata: cuda_ops.run(OPS[name], [_there(x) for x in inputs], metadata)


TOOLS: dict[str, Any] = {
    "empty": empty, "zeros": zeros, **NUMBERS, "ops": SimpleNamespace(**{name: _on_gpu(name) for name in OPS}),
    "share": lambda n, _work, run: run(0, n), "rows": _rows, "panels": _panels, "product": _product,
    "looked_up": _looked_up, "within": _within, "outer": _outer, "put": _put,
}  # fmt: skip
