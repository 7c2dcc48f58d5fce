"""A grid of several blocks that run at once and wait for each other, which CUDA's simulator does not have."""

import threading
from types import SimpleNamespace

import numpy as np
from numba.np.numpy_support import as_dtype


class Grid(threading.local):
    """What a kernel knows as `cuda`: each thread sees its own place."""

    def place(self, block, thread, blocks, threads, shared, barriers):
        self.blockIdx, self.threadIdx = SimpleNamespace(x=block), SimpleNamespace(x=thread)
        self.gridDim, self.blockDim = SimpleNamespace(x=blocks), SimpleNamespace(x=threads)
        everywhere, here = barriers
        self.syncthreads = here[block].wait
        self.cg = SimpleNamespace(this_grid=lambda: SimpleNamespace(sync=everywhere.wait))
        self.shared = SimpleNamespace(array=lambda _size, type_: shared[block].view(as_dtype(type_)))


def launch(kernel, blocks, threads, *arguments, shared=0, waits=True):
    """Run a kernel in as many threads of Python as it has of its own; with `waits=False` no block waits for the others."""
    from minigrad.kernels import cuda_scan

    cuda, function = Grid(), kernel.py_func
    arrays = [getattr(x, "_ary", x) for x in arguments]
    memory, everywhere = [np.zeros(shared, np.uint8) for _ in range(blocks)], threading.Barrier(blocks * threads)
    here = [threading.Barrier(threads) for _ in range(blocks)]
    everywhere = everywhere if waits else threading.Barrier(1)
    errors = []

    def run(block, thread):
        cuda.place(block, thread, blocks, threads, memory, (everywhere, here))
        try:
            with np.errstate(all="ignore"):
                function(*arrays)
        except Exception as error:
            errors.append(error)
            everywhere.abort()

    spaces = [function.__globals__, vars(cuda_scan)]
    before = [space.get("cuda") for space in spaces]
    for space in spaces:
        space["cuda"] = cuda
    try:
        runs = [threading.Thread(target=run, args=(b, t)) for b in range(blocks) for t in range(threads)]
        for thread in runs:
            thread.start()
        for thread in runs:
            thread.join()
    finally:
        for space, name in zip(spaces, before, strict=True):
            space["cuda"] = name
    if errors:
        raise errors[0]
