"""Products of arrays: matmul, tensordot, vecdot, einsum.

Imports the ground floor, `core`, and the op files before it. Every product ends in `matmul` or `einsum`.
"""

from collections.abc import Sequence
from functools import partial
from string import ascii_letters
from typing import Any

import numpy as np

from minigrad.arguments import normalize_axis, short, whole
from minigrad.arraytype import ArrayType, broadcast_shapes, promote
from minigrad.core import Op, as_value, declare
from minigrad.errors import ShapeError
from minigrad.ops.elementwise import multiply
from minigrad.ops.index import getitem
from minigrad.ops.reduce import sum as sum_
from minigrad.ops.shape import broadcast_to, expand_dims, moveaxis, permute_dims, reshape


def _matmul_type(x: Any, y: Any) -> ArrayType:
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(
            f"matmul: {ArrayType(x.shape, x.dtype)} @ {ArrayType(y.shape, y.dtype)}: "
            f"the inner sizes {x.shape[-1]} and {y.shape[-2]} must be equal."
        )
    batch = broadcast_shapes("matmul", ArrayType(x.shape[:-2], x.dtype), ArrayType(y.shape[:-2], y.dtype))
    return ArrayType((*batch, x.shape[-2], y.shape[-1]), promote(x, y))


def transpose(x: Any) -> Any:
    """[..., m, n] -> [..., n, m]."""
    return moveaxis(x, -1, -2)


# [.., m, k] @ [.., k, n] -> [.., m, n]
_matmul: Op = declare(
    "matmul",
    forward=np.matmul,
    type_rule=_matmul_type,
    vjp=lambda g, _out, x, y: (lambda: _matmul(g, transpose(y)), lambda: _matmul(transpose(x), g)),
    expand=lambda x, y: sum_(expand_dims(x, -1) * expand_dims(y, -3), axis=-2),
    samples=lambda rng: [
        ((rng.normal(size=(2, 3)), rng.normal(size=(3, 4))), {}),
        ((rng.normal(size=(5, 2, 3)), rng.normal(size=(3, 4))), {}),
    ],
    broadcasts=True,
)


def _linear_type(x: Any, w: Any, *b: Any) -> ArrayType:
    if x.shape[-1] != w.shape[1]:
        given = f"{ArrayType(x.shape, x.dtype)}, a weight {ArrayType(w.shape, w.dtype)}"
        raise ShapeError(f"linear: x {given}: the last sizes {x.shape[-1]} and {w.shape[1]} must be equal.")
    if any(bias.shape != w.shape[:1] for bias in b):
        given = ", ".join(f"{ArrayType(v.shape, v.dtype)}" for v in (x, w, *b))
        raise ShapeError(f"linear: takes x [..., D], a weight [H, D] and a bias [H], not {given}.")
    return ArrayType((x.shape[0], w.shape[0]), promote(x, w, *b))


# x [R, D], w [H, D], b [H] -> [R, H]: a layer's product, with the weight as PyTorch keeps it
_linear = declare(
    "linear",
    forward=lambda x, w, *b: x @ w.T + b[0] if b else x @ w.T,
    type_rule=_linear_type,
    vjp=lambda g, _out, x, w, *_b: (
        lambda: _matmul(g, w),
        lambda: _matmul(transpose(g), x),
        *(sum_(g, axis=0) for _ in _b),
    ),
    samples=lambda rng: [
        ((rng.normal(size=(2, 3)), rng.normal(size=(4, 3))), {}),
        ((rng.normal(size=(2, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)), {}),
    ],
)


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """[..., D], [H, D], [H] -> [..., H]: `x @ weight.T + bias` as one op."""
    x, weight = as_value(x), as_value(weight)
    if not x.ndim or weight.ndim != 2:
        raise ShapeError(f"linear: needs x [..., D] and a weight [H, D], not {list(x.shape)} and {list(weight.shape)}.")
    b = () if bias is None else (as_value(bias),)
    if x.ndim == 2:
        return _linear(x, weight, *b)
    rows = int(np.prod(x.shape[:-1], dtype=np.int64))
    return reshape(_linear(reshape(x, (rows, x.shape[-1])), weight, *b), (*x.shape[:-1], weight.shape[0]))


def matmul(x: Any, y: Any) -> Any:
    """`x @ y` by NumPy's rule: vectors are lent an axis, leading axes broadcast."""
    x, y = as_value(x), as_value(y)
    if not x.ndim or not y.ndim:
        raise ShapeError("matmul: needs one dimension or more on both sides; use * for scalars.")
    if x.ndim == 1 or y.ndim == 1:
        wide = matmul(reshape(x, (1, -1)) if x.ndim == 1 else x, reshape(y, (-1, 1)) if y.ndim == 1 else y)
        shape = list(wide.shape)
        if y.ndim == 1:
            del shape[-1]
        if x.ndim == 1:
            del shape[-1 if y.ndim == 1 else -2]
        return reshape(wide, tuple(shape))
    if x.ndim > 2 and y.ndim == 2 and x.shape[-1] == y.shape[0]:  # one large product, not one a leading index
        rows = int(np.prod(x.shape[:-1], dtype=np.int64))
        return reshape(_matmul(reshape(x, (rows, x.shape[-1])), y), (*x.shape[:-1], y.shape[-1]))
    return _matmul(x, y)


def vecdot(x: Any, y: Any, axis: int = -1) -> Any:
    """Sum of products along an axis, in the dtype of the products; other axes broadcast."""
    axis = whole("vecdot", "axis", axis)
    x, y = (moveaxis(v, axis, -1) if axis != -1 or not v.ndim else v for v in (as_value(x), as_value(y)))
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(f"vecdot: sizes {x.shape[-1]} and {y.shape[-1]} along axis {axis} must be equal.")
    return sum_(multiply(x, y), axis=-1, dtype=promote(x, y))


def tensordot(x: Any, y: Any, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Any:
    """Sum of products over pairs of axes: the last n of `x` with the first n of `y`, or the pairs named."""
    x, y = as_value(x), as_value(y)
    if isinstance(axes, (tuple, list)):
        if len(axes) != 2:
            raise ShapeError(f"tensordot: axes must be a number, or the axes of x and those of y, not {short(axes)}.")
        named: list[Any] = [a if isinstance(a, (tuple, list)) else [a] for a in axes]
    else:
        n = whole("tensordot", "axes", axes, 0)
        if n > min(x.ndim, y.ndim):
            raise ShapeError(f"tensordot: {short(n)} axes of shapes {list(x.shape)} and {list(y.shape)}.")
        named = [list(range(x.ndim - n, x.ndim)), list(range(n))]
    of_x, of_y = ([normalize_axis("tensordot", a, v.ndim) for a in some] for v, some in zip((x, y), named, strict=True))
    if [x.shape[a] for a in of_x] != [y.shape[a] for a in of_y] or len({*of_x}) + len({*of_y}) < 2 * len(of_x):
        raise ShapeError(
            f"tensordot: axes {of_x} of shape {list(x.shape)} against axes {of_y} of {list(y.shape)}: name "
            "each once, in pairs of one size."
        )
    free_x = [a for a in range(x.ndim) if a not in of_x]
    free_y = [a for a in range(y.ndim) if a not in of_y]
    inner = int(np.prod([x.shape[a] for a in of_x], dtype=np.int64))
    outer_x, outer_y = [x.shape[a] for a in free_x], [y.shape[a] for a in free_y]
    left = reshape(permute_dims(x, free_x + of_x), (int(np.prod(outer_x, dtype=np.int64)), inner))
    right = reshape(permute_dims(y, of_y + free_y), (inner, int(np.prod(outer_y, dtype=np.int64))))
    return reshape(_matmul(left, right), (*outer_x, *outer_y))


def _einsum_type(*xs: Any, terms: tuple[str, ...], to: str) -> ArrayType:
    sizes: dict[str, int] = {}
    for term, x in zip(terms, xs, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(
                    f"einsum: index {letter!r} has size {sizes[letter]} in one operand and {n} in another."
                )
    return ArrayType(tuple(sizes[letter] for letter in to), promote(*xs))


def _einsum_vjp(g: Any, _out: Any, *xs: Any, terms: tuple[str, ...], to: str) -> tuple[Any, ...]:
    return tuple(partial(_einsum_gradient, i, g, xs, terms, to) for i in range(len(xs)))


def _einsum_gradient(i: int, g: Any, xs: tuple[Any, ...], terms: tuple[str, ...], to: str) -> Any:
    """The same product with `g` in the place of operand i; an index only operand i has is repeated over its size."""
    others = [(x, t) for j, (x, t) in enumerate(zip(xs, terms, strict=True)) if j != i]
    known = set(to).union(*(t for _, t in others))
    kept = "".join(letter for letter in terms[i] if letter in known)
    part = _einsum(g, *(x for x, _ in others), terms=(to, *(t for _, t in others)), to=kept)
    shape = tuple(n if letter in known else 1 for letter, n in zip(terms[i], xs[i].shape, strict=True))
    return broadcast_to(reshape(part, shape), xs[i].shape)


def _einsum_expand(*xs: Any, terms: tuple[str, ...], to: str) -> Any:
    """The product of all operands over all letters, summed over those that the result does not name."""
    letters = to + "".join(sorted(set("".join(terms)) - set(to)))
    product: Any = None
    for x, term in zip(xs, terms, strict=True):
        x = permute_dims(x, sorted(range(len(term)), key=lambda a: letters.index(term[a])))
        sizes = iter(x.shape)
        x = reshape(x, tuple(next(sizes) if letter in term else 1 for letter in letters))
        product = x if product is None else product * x
    return sum_(product, axis=tuple(range(len(to), len(letters))))


_einsum = declare(
    "einsum",
    forward=lambda *xs, terms, to: np.asarray(np.einsum(f"{','.join(terms)}->{to}", *xs, optimize=len(xs) > 1)),
    type_rule=_einsum_type,
    vjp=_einsum_vjp,
    expand=_einsum_expand,
    samples=lambda rng: [
        ((rng.normal(size=(2, 3)), rng.normal(size=(3, 4))), {"terms": ("ij", "jk"), "to": "ki"}),
        ((rng.normal(size=(2, 3)), rng.normal(size=(2,))), {"terms": ("ij", "i"), "to": ""}),
        ((rng.normal(size=(2, 3)),), {"terms": ("ij",), "to": "ji"}),
    ],
)


def einsum(subscripts: str, *operands: Any) -> Any:
    """Einstein's summation as `numpy.einsum`: `"bij,bjk->bik"`, `"ii->i"`, `"...i,i"`."""
    xs = [as_value(x) for x in operands]
    if not isinstance(subscripts, str):
        raise ShapeError(f'einsum: begins with subscripts as "ij,jk->ik", not with {short(subscripts)}.')
    left, arrow, to = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(xs):
        raise ShapeError(f"einsum: {subscripts!r} names {len(terms)} operands, {len(xs)} were given.")
    spare = [letter for letter in ascii_letters if letter not in subscripts]
    widest = max((x.ndim - len(t) + 3 for t, x in zip(terms, xs, strict=True) if "..." in t), default=0)
    dots = "".join(spare[: max(widest, 0)])
    for k, (term, x) in enumerate(zip(terms, xs, strict=True)):
        if "..." in term:
            term = term.replace("...", dots[len(dots) - (x.ndim - len(term) + 3) :])
        if len(term) != x.ndim or not set(term) <= set(ascii_letters):
            raise ShapeError(f"einsum: {terms[k]!r} in {subscripts!r} does not fit shape {list(x.shape)}.")
        xs[k], terms[k] = _diagonal(x, term)
    xs, terms = _without_ones(xs, terms)
    letters = "".join(terms)
    if not arrow:
        to = "..." * ("..." in left) + "".join(sorted(c for c in set(letters) if c not in dots and left.count(c) == 1))
    to = to.replace("...", dots)
    if len(set(to)) != len(to) or not set(to) <= set(letters):
        raise ShapeError(f"einsum: the result {to!r} in {subscripts!r} must name indices of the operands, each once.")
    return _einsum(*xs, terms=tuple(terms), to=to)


def _without_ones(xs: list[Any], terms: list[str]) -> tuple[list[Any], list[str]]:
    """Operands without their axes of size 1 that broadcast to another size."""
    wide = {c for term, x in zip(terms, xs, strict=True) for c, n in zip(term, x.shape, strict=True) if n != 1}
    for k, (term, x) in enumerate(zip(terms, xs, strict=True)):
        kept = [a for a, c in enumerate(term) if x.shape[a] != 1 or c not in wide]
        if len(kept) < len(term):
            xs[k], terms[k] = reshape(x, tuple(x.shape[a] for a in kept)), "".join(term[a] for a in kept)
    return xs, terms


def _diagonal(x: Any, term: str) -> tuple[Any, str]:
    """An operand with a repeated index, as its diagonal with the index once."""
    for letter in term:
        while term.count(letter) > 1:
            a, b = term.index(letter), term.rindex(letter)
            if x.shape[a] != x.shape[b]:
                raise ShapeError(f"einsum: index {letter!r} has sizes {x.shape[a]} and {x.shape[b]} in one operand.")
            x = moveaxis(moveaxis(x, b, 0), a + 1, 1)
            x = moveaxis(getitem(x, (np.arange(x.shape[0]),) * 2), 0, a)
            term = term[:b] + term[b + 1 :]
    return x, term
