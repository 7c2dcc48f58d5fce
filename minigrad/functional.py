"""Gradients as functions: `grad` and `value_and_grad`, nestable to any order.

Imports `eager`, `tape` and `tree`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.arguments import short, whole
from minigrad.arraytype import ArrayType, show
from minigrad.device import put
from minigrad.eager import tensor
from minigrad.errors import DtypeError, GradientError, UsageError
from minigrad.mode import recording
from minigrad.tape import Edge, Entry, sources, walk_back
from minigrad.tree import flatten, unflatten
from minigrad.values import Tensor


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., tuple[Any, Any]]:
    """Return a function that gives `f(*args)` and its gradient for the arguments named by `argnums`.

    An argument may be a nest of tensors; its gradient is the same nest. `f` returns a single number.

    >>> value_and_grad(lambda x: (x * x).sum())(tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))

    Raises:
        GradientError: if `f` does not return a Tensor of one element.
        DtypeError: if an argument to differentiate is not of floats.
        UsageError: if `argnums` names no argument.
    """
    if not callable(f):
        raise UsageError(f"mg.grad takes a function, not {short(f)}. For a value there is .backward().")
    is_one = not isinstance(argnums, (tuple, list))
    numbers = [whole("mg.grad", "argnums", n) for n in ([argnums] if is_one else argnums)]  # type: ignore[union-attr]

    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if wrong := [n for n in numbers if not -len(args) <= n < len(args)]:
            raise UsageError(f"mg.grad: argnums names argument {wrong[0]}, and {len(args)} were given by position.")
        args_in, inner, structures = list(args), [], []
        for n in numbers:
            leaves, structure = flatten(args[n])
            fresh = [_entry(leaf, n) for leaf in leaves]
            args_in[n] = unflatten(structure, fresh)
            inner.append(fresh)
            structures.append(structure)
        with recording(True):
            value = f(*args_in, **kwargs)
        if not isinstance(value, Tensor) or value.size != 1:
            what = show(value) if isinstance(value, Tensor) else type(value).__name__
            raise GradientError(f"mg.grad needs a function that returns one number as a Tensor, not {what}. Sum it.")
        value, found = _gradients(value, [x for fresh in inner for x in fresh])
        gradients = iter(found)
        nests = [unflatten(s, [next(gradients) for _ in fresh]) for s, fresh in zip(structures, inner, strict=True)]
        return value, nests[0] if is_one else tuple(nests)

    return value_and_gradient


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that gives the gradient of `f`; see `value_and_grad`.

    >>> grad(grad(lambda x: x**3))(tensor(2.0))
    tensor(12.)
    """
    both = value_and_grad(f, argnums)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def _entry(x: Any, n: int) -> Tensor:
    """The same value behind a node of its own, so that the walk back knows where to stop."""
    x = x if isinstance(x, Tensor) else tensor(x)
    if x.dtype.kind != "f":
        raise DtypeError(f"mg.grad: argument {n} is {show(x)}; only floats have gradients.")
    return Tensor(x._data, (Entry((ArrayType(x.shape, x.dtype),), (x.edge,)), 0), x.version)


def _gradients(value: Tensor, inner: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The value and the gradients; on the tape only if something outside can still ask for their gradient."""
    ends: list[Edge] = [x.edge for x in inner if x.edge is not None]
    stop = frozenset(ends)
    outside = any(node.edges and node.edges[0] is not None for node, _ in ends)
    found: dict[Edge, Any] = {}
    if value.edge is not None:
        outside = outside or any(edge not in stop for edge in sources([value.edge], stop.__contains__))
        with recording(outside):
            one = Tensor(put(np.ones(value.shape, value.dtype), value.device))
            found = walk_back([(value.edge, one)], stop=stop, keep=True)
    zero = {e: np.zeros(x.shape, x.dtype) for e, x in zip(ends, inner, strict=True) if e not in found}
    given = [found[e] if e in found else Tensor(put(zero[e], x.device)) for e, x in zip(ends, inner, strict=True)]
    return value if outside else value.detach(), given
