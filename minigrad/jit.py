"""Numba's only door: which flags a kernel is compiled with, and where its machine code is kept.

Imports `files`. Whoever imports this file imports Numba, so files of kernels are imported when first needed.

    @kernel
    def scale(x, factor, out): ...      # plain loops on arrays; `scale.py_func` is the function itself
"""

import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from minigrad.files import cache_folder

# NaN and infinity must pass through every kernel, so `nnan` and `ninf` are not among the flags.
FASTMATH = {"reassoc", "contract", "arcp", "nsz", "afn"}
_lock = threading.Lock()


def announce(name: str) -> None:
    """Say on stderr that a kernel is being compiled; the command's live view puts its own function here."""
    print(f"minigrad: compiling {name} (once)…", file=sys.stderr)


listener: Callable[[str], None] = announce


def kernel(python: Callable[..., None]) -> Any:
    """Declare a kernel: plain loops, outputs passed in, nothing allocated, nothing checked."""
    folder = _private_folder(cache_folder() / "kernels")
    settings: Any = numba.config
    before = settings.CACHE_DIR
    with _lock:
        try:  # Numba reads the setting when the function is made; a user's own kernels keep theirs
            if folder is not None:
                settings.CACHE_DIR = str(folder)
            jitted = numba.njit(cache=folder is not None, error_model="numpy", fastmath=FASTMATH)(python)
        finally:
            settings.CACHE_DIR = before
    _watch(jitted)
    return jitted


def helper(python: Callable[..., Any]) -> Any:
    """Declare a function of scalars that kernels of the same file use: Numba's cache sees changes in one file only."""
    return numba.njit(inline="always", error_model="numpy", fastmath=FASTMATH)(python)


def _watch(jitted: Any) -> None:
    """Announce what must be compiled; treat a cache file that cannot be read as absent."""
    load, compile_ = jitted._cache.load_overload, jitted._compiler.compile

    def load_or_nothing(*args: Any) -> Any:
        try:
            return load(*args)
        except (EOFError, pickle.UnpicklingError, ValueError, AttributeError, ImportError, IndexError):
            jitted._cache.flush()
            return None

    def compile_aloud(*args: Any) -> Any:
        listener(jitted.py_func.__name__)
        return compile_(*args)

    jitted._cache.load_overload, jitted._compiler.compile = load_or_nothing, compile_aloud


def _private_folder(folder: Path) -> Path | None:
    """Make a folder that only its owner may write to (Numba's cache files are pickles); None if it cannot be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            print(f"minigrad: not using {folder}: others may write to it (chmod 700 mends that).", file=sys.stderr)
            return None
    except OSError as error:
        print(f"minigrad: kernels are compiled anew in each process: {folder}: {error.strerror}.", file=sys.stderr)
        return None
    return folder if os.access(folder, os.W_OK) else None
