"""minigrad: reverse-mode automatic differentiation, made for recurrence.

`import minigrad as mg` costs nothing; NumPy is loaded with the first name that needs it, so that a command which only
lists plugins stays quick. Submodules are `mg.nn mg.optim mg.registry mg.check`.
"""

import importlib
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigrad import check as check
    from minigrad import errors as errors
    from minigrad import nn as nn
    from minigrad import optim as optim
    from minigrad import random as random
    from minigrad import registry as registry
    from minigrad import tree as tree
    from minigrad.api import *  # noqa: F403

__version__ = "0.1.0"
RENAMED: dict[str, str] = {}  # old names, which go on working for a release, and what they are called now


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in RENAMED:
        warnings.warn(f"mg.{name} is now mg.{RENAMED[name]}", DeprecationWarning, stacklevel=2)
        return __getattr__(RENAMED[name])
    if find_spec(f"minigrad.{name}"):  # a file; none has the name of a function
        return importlib.import_module(f"minigrad.{name}")
    api = importlib.import_module("minigrad.api")
    if name not in api.__all__:
        from minigrad.errors import did_you_mean

        raise AttributeError(f"minigrad has no {name!r}.{did_you_mean(name, api.__all__)}")
    globals().update({public: getattr(api, public) for public in api.__all__})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("minigrad.api").__all__})
