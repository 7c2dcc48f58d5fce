"""Whose fault an unexpected error is: the innermost line of a plugin's file that it passed through."""

import sys
import traceback
from pathlib import Path

from minigrad import registry


def blame(error: BaseException) -> str | None:
    """`the cells 'mine' of my-package 1.0 (mine.py:12, step)`, or None if no plugin of a stranger was running."""
    homes = {}
    for kind in registry.KINDS:
        for entry in registry.entries(kind):
            module = sys.modules.get(entry.target.partition(":")[0])
            file = getattr(module, "__file__", None)
            if file and entry.distribution != registry.OURS:
                homes[Path(file)] = entry
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        for file, entry in homes.items():
            # A package's other files are its own too, a bare module's neighbours are not.
            if path == file or (file.name == "__init__.py" and file.parent in path.parents):
                where = f" failed in {path}, line {frame.lineno}, {frame.name}"
                return entry.called + where * (not getattr(error, "is_placed", False))  # which says where by itself
    return None
