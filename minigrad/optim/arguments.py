"""What optimisers, clipping and schedules are given: weights to move, and numbers within a range.

Imports `nn.module` and the floors below.
"""

from collections.abc import Callable, Iterable, Mapping
from math import inf
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from minigrad.arraytype import is_floating, show
from minigrad.errors import UsageError
from minigrad.nn.module import Module
from minigrad.tape import Leaf
from minigrad.values import Tensor


class Range(NamedTuple):
    """Which numbers an option may have, and how a message says so."""

    words: str
    holds: Callable[[float], bool]


POSITIVE = Range("a number above 0", lambda x: 0 < x < inf)
LIMIT = Range("a number above 0, or inf", lambda x: x > 0)
NOT_NEGATIVE = Range("a number of 0 or more", lambda x: 0 <= x < inf)
SHARE = Range("a number from 0 to 1", lambda x: 0 <= x <= 1)
SHARE_ABOVE_0 = Range("a number above 0, up to 1", lambda x: 0 < x <= 1)
BELOW_1 = Range("a number from 0 up to, not including, 1", lambda x: 0 <= x < 1)


def number(where: str, name: str, value: Any, allowed: Range) -> float:
    """The value of an option as a float, whichever real type it has, NumPy's included.

    Raises:
        UsageError: for anything else, and for a number that is not allowed.
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            found = float(value)
        except OverflowError:  # of an integer
            found = inf
        if allowed.holds(found):
            return found
    raise UsageError(f"{where}: {name} must be {allowed.words}, not {value!r}.")


def count(where: str, name: str, value: Any, least: int) -> int:
    """The value of an option as an integer of `least` or more.

    Raises:
        UsageError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise UsageError(f"{where}: {name} must be an integer of {least} or more, not {value!r}.")
    return int(value)


def called(i: int, p: Tensor) -> str:
    """What a message calls a weight: its name, or its place, and its type."""
    return f"{p.name or f'parameter {i}'} ({show(p)})"


def listed(where: str, params: Any) -> list[Any]:
    """What is given in an order, as a list.

    Raises:
        UsageError: for one thing, and for a set, whose order is chance.
    """
    if isinstance(params, Module):
        raise UsageError(f"{where}: takes parameters, not a {type(params).__name__}. Write .parameters() behind it.")
    if isinstance(params, (set, frozenset, Mapping, str, bytes, np.ndarray)) or not isinstance(params, Iterable):
        raise UsageError(f"{where}: takes a list of parameters, not {type(params).__name__}. Write [...] around it.")
    return list(params)


def leaves(where: str, params: Any) -> list[Any]:
    """The weights as a list, from one of them or from any number.

    Raises:
        UsageError: for what is no weight, computed values and weights that are there twice included.
    """
    found, seen = [params] if isinstance(params, Tensor) else listed(where, params), set()
    for i, p in enumerate(found):
        if not isinstance(p, Tensor):
            raise UsageError(
                f"{where}: parameter {i} is of type {type(p).__name__}, not a tensor. "
                "Give a list of tensors made with requires_grad=True, such as module.parameters()."
            )
        if p.edge is not None and not isinstance(p.edge[0], Leaf):
            raise UsageError(
                f"{where}: {called(i, p)} was computed and keeps no gradient. Give the leaf that it was made from."
            )
        if not is_floating(p.dtype):
            raise UsageError(f"{where}: {called(i, p)} has no gradient, only floats have. Leave it out.")
        if id(p) in seen:
            raise UsageError(f"{where}: {called(i, p)} is there twice, and would be changed twice. Give it once.")
        seen.add(id(p))
    return found
