"""Compiles for a GPU whatever a program launches, on a machine that has none: `python ptx.py` runs every op and a layer of
every cell on arrays that hold nothing, with each launch replaced by compiling the kernel to PTX for its arguments.
Prints one JSON object: the kernels, and the errors by kernel.
"""

import json
import os

os.environ["NUMBA_ENABLE_CUDASIM"] = "0"

import numba.cuda.dispatcher
import numpy as np
from numba import cuda
from numba.core import types
from numba.np.numpy_support import from_dtype

from minigrad import gpu

CAPABILITY = 8, 0
done: dict[str, int] = {}
errors: dict[str, str] = {}
_seen: set = set()


class Device:
    """What Numba asks of a GPU."""

    compute_capability = CAPABILITY
    id = 0


class Nothing:
    """Memory that holds nothing, of a dtype."""

    def __init__(self, size: int, dtype: np.dtype) -> None:
        self.size, self.dtype = size, np.dtype(dtype)

    def view(self, dtype: np.dtype) -> "Nothing":
        return Nothing(self.size, dtype)

    def __getitem__(self, key: slice) -> "Nothing":
        return Nothing(len(range(self.size // self.dtype.itemsize)[key]) * self.dtype.itemsize, self.dtype)

    def copy_to_device(self, _array: np.ndarray) -> None: ...

    def copy_to_host(self) -> np.ndarray:
        return np.zeros(self.size // self.dtype.itemsize, self.dtype)


def kind(x: object) -> types.Type:
    return types.Array(from_dtype(x.dtype), 1, "C") if isinstance(x, Nothing) else from_dtype(np.asarray(x).dtype)


def compile_it(kernel: object, _blocks: int, _threads: int, *arguments: object, shared: int = 0) -> None:
    """In place of a launch."""
    signature = tuple(kind(x) for x in arguments)
    name = kernel.py_func.__name__
    if (kernel.py_func, signature) in _seen:
        return
    _seen.add((kernel.py_func, signature))
    try:
        ptx, _ = cuda.compile_ptx(
            kernel.py_func, signature, cc=CAPABILITY, launch_bounds=gpu.MOST_THREADS
        )  # as `gpu.kernel`
        done[name] = done.get(name, 0) + 1
        folder = os.environ.get("PTX")
        if folder:
            with open(f"{folder}/{name}-{len(_seen)}.ptx", "w") as file:
                file.write(ptx)
    except Exception as error:
        errors[name] = f"{type(error).__name__}: {error}"


def main() -> None:
    numba.cuda.dispatcher.get_current_device = lambda: Device
    gpu._check = lambda cuda: None
    gpu._allocate = lambda size: Nothing(size, np.uint8)
    gpu.launch = compile_it
    gpu.processors.cache_clear()
    gpu.processors = lambda: 4
    gpu.shared_bytes = lambda: 160 << 10
    gpu.allow_shared = lambda kernel: None
    from minigrad.kernels import cuda_products

    cuda_products._by_cublas = lambda *_: None
    import minigrad as mg
    from minigrad.core import OPS

    mg.tensor(0.0)  # fills the table

    class Normed(mg.nn.Cell):
        """A norm across the units, which the threads of a block sum up together."""

        def __init__(self, input_size: int, hidden_size: int) -> None:
            self.w, self.u = mg.nn.Linear(input_size, hidden_size), mg.nn.Linear(hidden_size, hidden_size)
            self.norm = mg.nn.LayerNorm(hidden_size)

        def initial_carry(self, batch: int) -> mg.Tensor:
            return mg.zeros((batch, self.u.out_features))

        def step(self, h: mg.Tensor, x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
            h = mg.tanh(self.norm(self.w(x) + self.u(h)))
            return h, h

    for name, op in OPS.items():
        for inputs, metadata in op.samples(np.random.default_rng(3)):
            for dtype in (np.float32, np.float64, np.int64):
                if dtype == np.int64 and name in (
                    "softmax",
                    "log_softmax",
                    "logsumexp",
                    "standardize",
                    "cross_entropy",
                    "to",
                ):
                    continue
                xs = [np.asarray(x) for x in inputs]
                xs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in xs]
                leaves = [mg.tensor(x, device="cuda", requires_grad=x.dtype.kind == "f") for x in xs]
                outs = op(*leaves, **metadata)
                total = sum((out.sum() for out in outs), mg.zeros((), device="cuda")) if op.multiple else outs.sum()
                if total.requires_grad and dtype == np.float32:
                    total.backward()
    for cell in ("rnn", "lstm", "gru", "jordan", Normed):
        for dtype in (mg.float32, mg.float64) if cell in ("lstm", Normed) else (mg.float32,):
            layer = mg.nn.Recurrent(cell, 3, 8)
            layer.load_state_dict({name: a.astype(dtype) for name, a in layer.state_dict().items()})
            layer.to("cuda")
            xs = mg.tensor(np.zeros((4, 2, 3)), dtype=dtype, device="cuda", requires_grad=True)
            with mg.trace():
                ys, _ = layer(xs, lengths=[4, 2])
                ys.sum().backward()
    weight = mg.nn.Parameter(np.ones(3, np.float32))
    weight.move("cuda")
    (weight * weight).sum().backward()
    mg.optim.Adam([weight]).step()
    print(json.dumps({"done": done, "errors": errors}))


main()
