"""What can go wrong, one family. Imports nothing of minigrad.

A message has three parts: where, what against what, what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class MinigradError(Exception):
    """Something a user can cause and can mend; `exit_code` is what the command ends with."""

    exit_code = 1


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


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ` Did you mean 'lstm'?` for the nearest of `names`, or an empty string."""
    near = get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
