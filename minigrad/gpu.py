"""numba.cuda's only door: finding the GPU or the simulator, compiling kernels for it, and its memory.

Imports `errors` and `jit`. Whoever imports this file has asked for CUDA. numba.cuda lives in the package numba-cuda,
which is pinned in pyproject.toml: its announced successor has no simulator. With `NUMBA_ENABLE_CUDASIM=1` kernels run
as plain Python, thread by thread: for tests, not for work.
"""

import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from minigrad import jit
from minigrad.errors import DeviceError

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
THREADS = 2 if SIMULATED else 256  # of a block; a simulated thread is a thread of Python's
MOST_THREADS = 512  # of any block, so that a thread may have 128 registers
LIMIT = 1 << 30  # bytes that may lie idle
OUT_OF_MEMORY = 2  # cuMemAlloc's code
cuda: Any  # numba.cuda, for files of kernels; see `__getattr__`


@cache
def door() -> Any:
    """numba.cuda, with a GPU behind it or the simulator.

    Raises:
        DeviceError: with the reason and the remedy, if there is none.
    """
    if find_spec("numba_cuda") is None:
        raise DeviceError("device 'cuda' needs the package numba-cuda: pip install 'minigrad[cuda]'.")
    from numba import cuda

    if not SIMULATED:
        _check(cuda)
    return cuda


def __getattr__(name: str) -> Any:
    """`from minigrad.gpu import cuda` opens the door."""
    if name == "cuda":
        return door()
    raise AttributeError(name)


def _check(cuda: Any) -> None:
    """Raise DeviceError unless there is a GPU with a driver that is new enough."""
    simulator = "To try kernels without a GPU, set NUMBA_ENABLE_CUDASIM=1."
    try:
        have = cuda.cudadrv.driver.driver.get_version()
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(":. ")
        raise DeviceError(f"device 'cuda': no NVIDIA driver was found ({reason}). {simulator}") from None
    need = _toolkit()
    if tuple(have) < need:
        raise DeviceError(
            f"device 'cuda': the NVIDIA driver knows CUDA {have[0]}.{have[1]}, and the installed packages need "
            f"{need[0]}.{need[1]}. Update the driver."
        )
    try:
        cuda.current_context()
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(":. ")
        raise DeviceError(f"device 'cuda': there is no GPU that can be used ({reason}). {simulator}") from None


def _toolkit() -> tuple[int, int]:
    """The oldest CUDA that the installed packages run on: within a major version drivers are compatible."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return int(version("nvidia-cuda-nvrtc").split(".")[0]), 0
    except PackageNotFoundError:
        return 12, 0


def description() -> str:
    """What there is, in a few words.

    Raises:
        DeviceError: if there is nothing.
    """
    cuda = door()
    if SIMULATED:
        return "simulated (NUMBA_ENABLE_CUDASIM)"
    name = cuda.get_current_device().name
    return f"{name if isinstance(name, str) else name.decode()}, {memory_bytes() / 2**30:.0f} GiB"


# --- kernels ------------------------------------------------------------------------------------------------------


def kernel(python: Callable[..., None]) -> Any:
    """Declare a kernel for the GPU: outputs passed in, nothing allocated or checked. Call `launch` with it."""
    if SIMULATED:
        return door().jit(python)
    with jit.in_folder(door().core.config, "cuda"):
        made = door().jit(python, launch_bounds=MOST_THREADS, cache=jit.kernel_folder("cuda") is not None)
    load = made._cache.load_overload

    def load_or_say(*arguments: Any) -> Any:
        found = load(*arguments)
        if found is None:
            _announce(f"{jit._purpose or 'operations'} for the GPU")
        return found

    made._cache.load_overload = load_or_say
    return made


@cache
def _announce(name: str) -> None:
    """Say that something is being compiled, once."""
    jit.listener(name)


def device_function(python: Callable[..., Any]) -> Any:
    """Declare a small function that becomes a part of each kernel that calls it."""
    return python if SIMULATED else door().jit(device=True)(python)


def launch(kernel: Any, blocks: int, threads: int, *arguments: Any, shared: int = 0) -> None:
    """Run a kernel; returns before it is done."""
    if SIMULATED:
        _simulate(kernel, min(blocks, 3), threads, shared, arguments)
        return
    try:
        _configured(kernel, blocks, threads, shared)(*arguments)
    except Exception as error:
        raise _told(error, 0) from error


@lru_cache(4096)
def _configured(kernel: Any, blocks: int, threads: int, shared: int) -> Any:
    """A kernel and how it is launched, kept: Numba takes microseconds for it, and warns of grids that are small."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kernel[blocks, threads, 0, shared]


def _simulate(kernel: Any, blocks: int, threads: int, shared: int, arguments: tuple[Any, ...]) -> None:
    """Run a kernel as threads of Python, which take turns more often than Python would let them.

    Shared memory must be asked for with the launch: the simulator's `shared.array` of a fixed size, when two threads
    come at once, gives each its own.
    """
    patience = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with warnings.catch_warnings():  # of overflow and the like, which a GPU computes without a word
            warnings.simplefilter("ignore")
            kernel[blocks, threads, 0, shared](*arguments)
    finally:
        sys.setswitchinterval(patience)


def grid(elements: int) -> tuple[int, int]:
    """Blocks and threads for so many elements."""
    if SIMULATED:
        return 1, THREADS
    return max(1, min(-(-elements // THREADS), 8 * processors())), THREADS


@cache
def processors() -> int:
    """How many multiprocessors there are."""
    return 1 if SIMULATED else int(door().get_current_device().MULTIPROCESSOR_COUNT)


def shared_bytes() -> int:
    """How much shared memory a block may have."""
    return 48 << 10 if SIMULATED else int(door().get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)


def allow_shared(kernel: Any) -> None:
    """Let a compiled kernel have all the shared memory there is; without it, every GPU gives 48 KiB."""
    if SIMULATED:
        return
    from cuda.bindings.driver import CUfunction_attribute

    driver = door().cudadrv.driver.driver
    attribute = CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    for compiled in kernel.overloads.values():
        function = compiled._codelibrary.get_cufunc()
        driver.cuKernelSetAttribute(attribute, shared_bytes(), function.handle, function.device.id)


# --- memory -------------------------------------------------------------------------------------------------------

_idle: dict[int, list[dict[np.dtype[Any], Any]]] = defaultdict(
    list
)  # pieces by size, each by the dtypes it was seen as
_lies = 0


class Memory:
    """Bytes on the device, which go back to those that lie idle when nobody holds them any more.

    A fresh piece costs a call of the driver that waits for the device; all work is in one stream, so that one that was
    let go can be used at once. `base` is memory of the same size that nobody reads or writes: NumPy's views of it say
    where views of this one lie. `span`: between which integers all of it lies, as long as that is known.
    """

    def __init__(self, count: int, dtype: np.dtype[Any]) -> None:
        global _lies
        self.bytes = 1 << max(9, (count * dtype.itemsize - 1).bit_length())
        try:
            self.views = _idle[self.bytes].pop()
            _lies -= self.bytes
        except IndexError:  # none lies idle, or another thread was quicker
            self.views = {np.dtype(np.uint8): _allocate(self.bytes)}
        if dtype not in self.views:  # kept, since Numba takes tens of microseconds for one
            self.views[dtype] = self.views[np.dtype(np.uint8)].view(dtype)
        self.numbers = self.views[dtype]
        self.base = np.empty(count, dtype)
        self.span: tuple[int, int] | None = None

    def read(self, start: int, count: int) -> np.ndarray[Any, Any]:
        """Some of the numbers, once they are computed."""
        try:
            return np.asarray(self.numbers[start : start + count].copy_to_host())
        except Exception as error:  # of a kernel before, which is told only now
            raise _told(error, 0) from error

    def write(self, numbers: np.ndarray[Any, Any]) -> None:
        """Bring numbers there, from the first place on."""
        self.numbers[: numbers.size].copy_to_device(np.ascontiguousarray(numbers).reshape(-1))

    def __del__(self) -> None:
        global _lies
        ends = sys is None or sys.is_finalizing()  # the interpreter takes its modules apart
        if hasattr(self, "views") and not ends and _lies + self.bytes <= LIMIT:
            _lies += self.bytes
            _idle[self.bytes].append(self.views)


def _allocate(size: int) -> Any:
    try:
        return door().device_array(size, np.uint8)
    except DeviceError:
        raise
    except Exception as error:
        forget_idle()
        try:
            return door().device_array(size, np.uint8)
        except Exception:
            raise _told(error, size) from None


def memory_bytes() -> int:
    """How much memory the GPU has; in the simulator that of this machine."""
    if SIMULATED:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(door().current_context().get_memory_info().total)


def forget_idle() -> None:
    """Give idle memory back to the driver."""
    global _lies
    _idle.clear()
    _lies = 0


def _told(error: Exception, size: int) -> Exception:
    """What the driver says, as a sentence; an error that is not the driver's as it is."""
    if getattr(error, "code", None) == OUT_OF_MEMORY or "OUT_OF_MEMORY" in str(error):
        asked = f" {size / 2**20:.0f} MiB were asked for" if size else " a kernel could not be started"
        return DeviceError(
            f"device 'cuda' is out of memory:{asked}{_free()}. Make --batch, --length or --hidden smaller, or use "
            "checkpoint='sqrt'."
        )
    if "CUDA_ERROR" in str(error):
        return DeviceError(f"device 'cuda': {' '.join(str(error).split())}. The process must be started again.")
    return error


def _free() -> str:
    """How much is free, if the driver still says so."""
    try:
        free, total = door().current_context().get_memory_info()
    except Exception:
        return ""
    return f", {free / 2**20:.0f} of {total / 2**20:.0f} are free"
