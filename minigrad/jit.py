"""Numba's only door: which flags a kernel is compiled with, where its machine code is kept, and loading generated text.

Imports `files`. Whoever imports this file imports Numba, so files of kernels are imported when first needed.

    @kernel
    def scale(x, factor, out): ...      # plain loops on arrays; `scale.py_func` is the function itself
"""

import hashlib
import importlib.util
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.core import imputils
from numba.extending import intrinsic as _intrinsic

from minigrad.errors import DefectError
from minigrad.files import cache_folder, write_atomically

cgutils: Any = _cgutils  # Numba's own files have no types
intrinsic: Callable[[Callable[..., Any]], Any] = _intrinsic
returned: Any = imputils.impl_ret_borrowed
__all__ = ["cgutils", "function", "helper", "host_features", "intrinsic", "ir", "kernel", "load", "returned", "types"]

# NaN and infinity must pass through every kernel, so `nnan` and `ninf` are not among the flags.
FASTMATH = {"reassoc", "contract", "arcp", "nsz", "afn"}
_lock = threading.Lock()


def announce(name: str) -> None:
    """Say on stderr that a kernel is being compiled; the command's live view puts its own function here."""
    print(f"minigrad: compiling {name} (once)…", file=sys.stderr)


listener: Callable[[str], None] = announce
_purpose = ""
_announced: set[str] = set()


class compiling_for:  # noqa: N801
    """Say of all that must be compiled within the block that it is for that."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        global _purpose
        self.before, _purpose = _purpose, self.name

    def __exit__(self, *_: Any) -> None:
        global _purpose
        _purpose = self.before


def kernel(python: Callable[..., None]) -> Any:
    """Declare a kernel: plain loops, outputs passed in, nothing allocated or checked; it lets other threads run."""
    cached = kernel_folder("cpu") is not None
    with in_folder(numba.config, "cpu"):
        jitted = numba.njit(cache=cached, nogil=True, error_model="numpy", fastmath=FASTMATH)(python)
    _watch(jitted)
    return jitted


@contextmanager
def in_folder(settings: Any, device: str) -> Iterator[None]:
    """Let functions that are made within the block keep their machine code in minigrad's folder.

    Numba reads the setting when a function is made; a user's own kernels keep theirs.
    """
    folder, before = kernel_folder(device), settings.CACHE_DIR
    with _lock:
        try:
            if folder is not None:
                settings.CACHE_DIR = str(folder)
            yield
        finally:
            settings.CACHE_DIR = before


def helper(python: Callable[..., Any]) -> Any:
    """Declare a small function that becomes a part of each kernel that calls it."""
    return numba.njit(forceinline=True, error_model="numpy", fastmath=FASTMATH)(python)


def function(python: Callable[..., Any]) -> Any:
    """Declare a helper on numbers that is computed in the order written: what makes up for rounding must stay."""
    return numba.njit(forceinline=True, error_model="numpy", fastmath={"contract"})(python)


@cache
def host_features() -> dict[str, bool]:
    """What this machine's processor can do, by LLVM's names."""
    return dict(binding.get_host_cpu_features())


def _watch(jitted: Any) -> None:
    """Announce what must be compiled; treat a cache file that cannot be read as absent."""
    load_overload, compile_ = jitted._cache.load_overload, jitted._compiler.compile

    def load_or_nothing(*args: Any) -> Any:
        try:
            return load_overload(*args)
        except (EOFError, pickle.UnpicklingError, ValueError, AttributeError, ImportError, IndexError):
            jitted._cache.flush()
            return None

    def compile_aloud(*args: Any) -> Any:
        name = _purpose or jitted.py_func.__name__
        if name not in _announced:
            _announced.add(name)
            listener(name)
        try:
            return compile_(*args)
        except numba.core.errors.NumbaError as error:
            raise DefectError(
                f"the kernel {jitted.py_func.__name__} could not be compiled for {name}: {error}. This is a fault of "
                "minigrad: please report it. With compiled=False a cell runs step by step."
            ) from error

    jitted._cache.load_overload, jitted._compiler.compile = load_or_nothing, compile_aloud


# --- where machine code is kept -----------------------------------------------------------------------------------


@cache
def kernel_folder(device: str) -> Path | None:
    """Where this version of minigrad, on this version of Numba, keeps kernels; None if it cannot be written to.

    The folder is named after the text of every file whose functions become part of a kernel: Numba looks at one only.
    """
    here, needs = Path(__file__).parent, ("numba", "llvmlite", "numpy") + ("numba-cuda",) * (device == "cuda")
    stamp = hashlib.sha256(" ".join(map(version, needs)).encode())
    kernels = [file for file in (here / "kernels").glob("*.py") if device == "cuda" or not file.name.startswith("cuda")]
    for file in [here / "jit.py", here / ("gpu.py" if device == "cuda" else "llvm.py"), *sorted(kernels)]:
        stamp.update(file.read_bytes())
    top = _private(cache_folder() / "kernels")
    return top and _private(top / stamp.hexdigest()[:12])


def _private(folder: Path) -> Path | None:
    """Make a folder that only its owner may write to (Numba's cache files are pickles); None if it cannot be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            print(f"minigrad: not using {folder}: others may write to it (chmod 700 mends that).", file=sys.stderr)
            return None
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "it cannot be written to")
    except OSError as error:
        print(f"minigrad: kernels are compiled anew in each process: {folder}: {error.strerror}.", file=sys.stderr)
        return None
    return folder


# --- generated text -----------------------------------------------------------------------------------------------


@cache
def _scratch_folder() -> Path:
    """For a process that may not keep its kernels: a module must be a file for Numba and for tracebacks."""
    folder = tempfile.TemporaryDirectory(prefix="minigrad-")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[Any] = []


def load(text: str) -> ModuleType:
    """Write a generated module to `<cache>/kernels/<stamp>/<hash>.py` and import it from there, so that Numba's cache,
    tracebacks and `inspect.getsource` work. A file that is there and differs is replaced.
    """
    if text in _loaded:
        return _loaded[text]
    name = f"minigrad_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = (kernel_folder("cpu") or _scratch_folder()) / f"{name}.py"
    if not path.is_file() or path.read_bytes() != text.encode():
        write_atomically(path, text.encode())
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with _lock:
        return _loaded.setdefault(text, sys.modules.setdefault(name, module))


_loaded: dict[str, ModuleType] = {}
