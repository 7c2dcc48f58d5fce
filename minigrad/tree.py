"""Nests of tuples, lists and dicts: take the leaves out, put them back, name the way to each.

Imports `errors` only.

    leaves, shape = flatten({"h": a, "c": (b, d)})      # [b, d, a] in key order
    unflatten(shape, leaves)                            # the nest again
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Structure = Any  # None for a leaf, else (kind, keys, parts)


def flatten(nest: Any) -> tuple[list[Any], Structure]:
    """Return the leaves, dicts in sorted key order, and the structure that `unflatten` takes. `None` holds no leaf."""
    if nest is None:
        return [], ("none", (), ())
    if isinstance(nest, dict):
        keys = _sorted(nest)
        parts = [nest[k] for k in keys]
    elif isinstance(nest, (tuple, list)):
        keys, parts = tuple(range(len(nest))), list(nest)
    else:
        return [nest], None
    flat = [flatten(part) for part in parts]
    leaves = [leaf for some, _ in flat for leaf in some]
    return leaves, (type(nest), keys, tuple(structure for _, structure in flat))


def _sorted(keys: Iterable[Any]) -> tuple[Any, ...]:
    """Keys in order; those that do not compare, by kind and text."""
    try:
        return tuple(sorted(keys))
    except TypeError:
        return tuple(sorted(keys, key=lambda k: (type(k).__name__, repr(k))))


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """Put leaves back into the structure that `flatten` gave."""
    if structure is None:
        return leaves[0]
    return _build(structure, iter(leaves))


def _build(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is None:
        return next(leaves)
    kind, keys, parts = structure
    if kind == "none":
        return None
    built = [_build(part, leaves) for part in parts]
    if issubclass(kind, dict):
        return dict(zip(keys, built, strict=True))
    return kind(*built) if hasattr(kind, "_fields") else kind(built)


def tree_map(function: Callable[..., Any], nest: Any) -> Any:
    """The same nest with `function` applied to every leaf."""
    leaves, structure = flatten(nest)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def paths(structure: Structure, name: str) -> list[str]:
    """How a user would write each leaf: `carry[0]`, `xs['text']`."""
    if structure is None:
        return [name]
    _, keys, parts = structure
    return [path for key, part in zip(keys, parts, strict=True) for path in paths(part, f"{name}[{key!r}]")]
