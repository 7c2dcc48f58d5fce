"""Numba's only door: which flags a kernel is compiled with, and where its machine code is kept.

Imports `errors` only, and Numba not before a kernel is first called.

    @kernel
    def scale(x, factor, out): ...      # plain loops on arrays; `scale.python` is the function itself
"""

import os
import pickle
import sys
import threading
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

# NaN and infinity must pass through every kernel, so `nnan` and `ninf` are not among the flags.
FASTMATH = {"reassoc", "contract", "arcp", "nsz", "afn"}
_lock = threading.RLock()


def cache_folder() -> Path:
    """The folder of compiled kernels: `MINIGRAD_CACHE_DIR`, else the platform's cache folder."""
    if named := os.environ.get("MINIGRAD_CACHE_DIR"):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("minigrad", appauthor=False)


def announce(name: str) -> None:
    """Say on stderr that a kernel is being compiled; the command's live view puts its own function here."""
    print(f"minigrad: compiling {name} (once)…", file=sys.stderr)


class Kernel:
    """A function that Numba compiles when it is first called; `python` is the same function uncompiled."""

    listener: Callable[[str], None] = staticmethod(announce)

    def __init__(self, python: Callable[..., None]) -> None:
        self.python = python
        self._jitted: Any = None
        update_wrapper(self, python)

    def __call__(self, *args: Any) -> None:
        if self._jitted is None:
            with _lock:
                self._jitted = self._jitted or self._load()
        self._jitted(*args)

    def _load(self) -> Any:
        import numba

        folder = _private_folder(cache_folder() / "kernels")
        settings: Any = numba.config
        before = settings.CACHE_DIR
        try:  # Numba reads the setting when the function is made; a user's own kernels keep theirs
            if folder is not None:
                settings.CACHE_DIR = str(folder)
            jitted = numba.njit(cache=folder is not None, error_model="numpy", fastmath=FASTMATH)(self.python)
        finally:
            settings.CACHE_DIR = before
        self._watch(jitted)
        return jitted

    def _watch(self, jitted: Any) -> None:
        """Announce what must be compiled; treat a cache file that cannot be read as absent."""
        load, compile_ = jitted._cache.load_overload, jitted._compiler.compile

        def load_or_nothing(*args: Any) -> Any:
            try:
                return load(*args)
            except (EOFError, pickle.UnpicklingError, ValueError, AttributeError, ImportError, IndexError):
                jitted._cache.flush()
                return None

        def compile_aloud(*args: Any) -> Any:
            type(self).listener(self.__name__)  # type: ignore[attr-defined]
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


def kernel(python: Callable[..., None]) -> Kernel:
    """Declare a kernel: plain loops, outputs passed in, nothing allocated, nothing checked."""
    return Kernel(python)
