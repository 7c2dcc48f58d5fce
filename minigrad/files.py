"""Where files go, and writing them so that none is ever seen half. Imports nothing of minigrad."""

import os
import tempfile
from errno import EDQUOT, ENOSPC
from pathlib import Path

FULL = (ENOSPC, EDQUOT)  # errors of a disk that holds no more


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` beside `path`, flush it to the disk, then put it in its place."""
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:  # about the file that was asked for, not the one beside it
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise


def cache_folder() -> Path:
    """The folder of compiled kernels: `MINIGRAD_CACHE_DIR`, else the platform's cache folder."""
    if named := os.environ.get("MINIGRAD_CACHE_DIR"):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("minigrad", appauthor=False)
