"""What can go wrong, one family. Imports nothing of minigrad.

A message has three parts: where, what against what, what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

HERE = Path(__file__).parent


class MinigradError(Exception):
    """Something a user can cause and can mend; `exit_code` is what the command ends with, `is_placed` whether it says
    in which line of theirs.
    """

    exit_code = 1
    is_placed = False


class ShapeError(MinigradError, ValueError, IndexError):
    """Shapes, axes or indices that do not fit together."""


class DtypeError(MinigradError, TypeError):
    """A data type that minigrad does not compute with, or not here."""


class GradientError(MinigradError, RuntimeError):
    """A gradient that cannot be had: no graph, a used graph, a missing cotangent."""


class MutationError(GradientError):
    """An array that a pending backward needs was changed."""


class ScanError(MinigradError, ValueError):
    """A cell, a carry or a sequence that a scan cannot run."""


class TraceError(MinigradError, TypeError):
    """Something in a cell that a trace cannot follow."""


class DeviceError(MinigradError, RuntimeError):
    """A device that is not there, or values on different devices."""


class WeightsError(MinigradError, ValueError):
    """A file or mapping of weights that does not fit the module."""


class UsageError(MinigradError, ValueError):
    """A wrong option, configuration or name."""

    exit_code = 2


class CheckError(MinigradError, AssertionError):
    """A plugin that does not do what is expected of it."""


class DivergedError(MinigradError, ArithmeticError):
    """A loss, gradient or norm that is not finite."""

    exit_code = 3


class PluginError(MinigradError, RuntimeError):
    """A plugin that is missing, broken or claimed twice."""

    exit_code = 4


class DefectError(RuntimeError):
    """A fault of minigrad's own, which no user can mend; not one of the family above."""


def placed(error: MinigradError, when: str) -> MinigradError:
    """The same error, saying first in which line and expression of the user's own code it arose.

    cell.py, line 12, step 0, `h @ W`: matmul: …
    """
    import linecache
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if HERE not in Path(frame.filename).parents]
    if not theirs or error.is_placed:
        return error
    frame = theirs[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).rstrip()
    start, end = frame.colno, frame.end_colno
    code = line.encode()[start:end].decode() if frame.end_lineno == frame.lineno and end else line.strip()
    found = type(error)(f"{Path(frame.filename).name}, line {frame.lineno}, {when}, `{code}`: {error}")
    found.is_placed = True
    return found.with_traceback(error.__traceback__)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ` Did you mean 'lstm'?` for the nearest of `names`, or an empty string."""
    near = get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
