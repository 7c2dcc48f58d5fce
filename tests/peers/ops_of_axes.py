"""The rest of the functions of arrays: products, shapes, picking and putting together, and Python's own operators."""

from functools import partial
from typing import Any

import numpy as np
from peers.ops import ABOVE, WIDE, enter, laid_out

ROWS, COLUMNS = np.array([[0, 2], [2, -1]]), np.array([1, 0])
MASK = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, False]])


def product(how: str, m: Any, x: Any, y: Any) -> Any:
    return (
        m.matmul(laid_out(how, m, x), laid_out(how, m, y))
        if how != "turned"
        else m.matmul(m.permute_dims(y, (1, 0)), m.permute_dims(x, (1, 0)))
    )


# --- products -----------------------------------------------------------------------------------------------------

for left, right in [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 1)), ((4, 1, 2, 3), (5, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)), ((1, 1), (1, 1)),
    ((3,), (2, 3, 2)), ((2, 2, 3), (3,)), ((0, 2, 3), (3, 2)),
]:  # fmt: skip
    enter(f"matmul {left} {right}", partial(product, ""), (left, *WIDE), (right, *WIDE))
for how in ("flipped", "turned"):
    enter(
        f"matmul {how}",
        partial(product, how),
        ((2, 3) if how == "turned" else (3, 3), *WIDE),
        ((3, 4) if how == "turned" else (3, 3), *WIDE),
    )
for axis in (0, 1, -1):
    enter(
        f"vecdot along {axis}",
        lambda m, x, y, a=axis: m.vecdot(x, y, **({"dim": a} if hasattr(m, "reduced") else {"axis": a})),
        ((2, 3), *WIDE),
        ((2, 3), *WIDE),
    )
for axes in (0, 1, 2, ([1, 2], [2, 0]), ([-1], [1])):
    enter(f"tensordot {axes}", lambda m, x, y, a=axes: m.tensordot(x, y, a), ((2, 2, 2), *WIDE), ((2, 2, 2), *WIDE))
SIZES = {"i": 3, "j": 3, "k": 2, "b": 2, ".": 2, "z": 0}
for subscripts in [
    "ij,jk->ik", "bij,bjk->bik", "ii->i", "ii", "i,j", "...i,i", "ij->", "iij,j->i", "ij->ji", "ij,ij->ij", "ij,j->i",
    "i,i->", "bi,ij,bj->b", "...ij,...jk->...ik", "zi,ij->zj", "iz,zj->ij", "ij,k->kji", "bij->b", "b,bij,bi->j",
]:  # fmt: skip
    terms = subscripts.split("->", maxsplit=1)[0].split(",")
    spans = [([SIZES[c] for c in term.replace("...", ".")], *WIDE) for term in terms]
    enter(f"einsum {subscripts}", lambda m, *xs, s=subscripts: m.einsum(s, *xs), *spans)
for shape in [(3,), (2, 3), (2, 2, 3), (0, 3), (1, 3), (2, 0, 3)]:
    enter(f"linear {shape}", lambda m, x, w: m.linear(x, w), (shape, *WIDE), ((4, 3), *WIDE))
    enter(
        f"linear {shape} with bias",
        lambda m, x, w, b: m.linear(x, w, b),
        (shape, *WIDE),
        ((4, 3), *WIDE),
        ((4,), *WIDE),
    )

# --- shapes -------------------------------------------------------------------------------------------------------

MOVES = {
    "permute_dims": lambda m, x: m.permute_dims(x, (2, 0, 1)),
    "moveaxis": lambda m, x: m.moveaxis(x, 0, -1),
    "expand_dims": lambda m, x: (m.expand_dims(x, 1), m.expand_dims(x, -1)),
    "flip": lambda m, x: (m.flip(x, axis=1), m.flip(x, axis=(0, -1)), m.flip(x)),
    "roll": lambda m, x: (m.roll(x, 2, 2), m.roll(x, -3), m.roll(x, -1, 0)),
    "repeat": lambda m, x: m.repeat(x, 2, 1),
    "reshape": lambda m, x: (m.reshape(x, (-1,)), m.reshape(m.permute_dims(x, (2, 1, 0)), (-1,))),
    "broadcast_to": lambda m, x: m.broadcast_to(m.expand_dims(x, 0), (3, *x.shape)),
    "concat": lambda m, x: m.concat([x, x * 2, m.flip(x)], axis=1),
    "stack": lambda m, x: m.stack([x, x * x], axis=-1),
    "split at": lambda m, x: m.split(x, [1, 3], -1) if not hasattr(m, "reduced") else m.split(x, [1, 3], dim=-1),
    "split in": lambda m, x: m.split(x, 2, 0),
    "unstack": lambda m, x: m.unstack(x, 1),
    "squeeze": lambda m, x: m.squeeze(x),
    "tril": lambda m, x: (m.tril(x), m.tril(x, 1), m.tril(x, -1)),
    "triu": lambda m, x: (m.triu(x), m.triu(x, 1), m.triu(x, -1)),
}
for name, program in MOVES.items():
    for shape, how in [
        ((2, 3, 4), ""),
        ((2, 1, 4), ""),
        ((4, 3, 2), "turned"),
        ((2, 2, 4), "flipped"),
        ((2, 0, 4), ""),
    ]:
        enter(f"{name} {shape} {how}", lambda m, x, f=program, h=how: f(m, laid_out(h, m, x)), (shape, *WIDE))
enter("squeeze one axis", lambda m, x: m.squeeze(x, 1), ((2, 1, 1), *WIDE))
enter("reshape to no dimensions", lambda m, x: m.reshape(x, ()), ((1, 1), *WIDE))
enter("broadcast of no dimensions", lambda m, x: m.broadcast_to(x, (2, 3)), ((), *WIDE))
enter("concat of an empty one", lambda m, x, y: m.concat([x, y], axis=0), ((0, 3), *WIDE), ((2, 3), *WIDE))
enter("split off nothing", lambda m, x: m.split(x, [0, 2]), ((4, 2), *WIDE))

# --- picking ------------------------------------------------------------------------------------------------------

PICKS = {
    "[1]": lambda x, i, j, b: x[1], "[-1, 2]": lambda x, i, j, b: x[-1, 2], "[::2, 1:]": lambda x, i, j, b: x[::2, 1:],
    "[..., None]": lambda x, i, j, b: x[..., None], "[None, :, 1]": lambda x, i, j, b: x[None, :, 1],
    "[1:1]": lambda x, i, j, b: x[1:1], "[i]": lambda x, i, j, b: x[i], "[:, i]": lambda x, i, j, b: x[:, i],
    "[i, j]": lambda x, i, j, b: x[i, j], "[j, :, 0]": lambda x, i, j, b: x[j, :, 0], "[mask]": lambda x, i, j, b: x[b],
    "[0, i]": lambda x, i, j, b: x[0, i], "[:, j, 1:]": lambda x, i, j, b: x[:, j, 1:],
    "[..., j]": lambda x, i, j, b: x[..., j], "[x > 0]": lambda x, i, j, b: x[x > 0], "[mask, 0]": lambda x, i, j, b: x[b, 0],
    "[i, None, j]": lambda x, i, j, b: x[i, None, j]
}  # fmt: skip
for name, pick in PICKS.items():
    enter(f"x{name}", lambda m, x, i, j, b, f=pick: f(x, i, j, b) * 2, ((3, 4, 2), *WIDE), ROWS, COLUMNS, MASK)
    enter(
        f"x{name} turned",
        lambda m, x, i, j, b, f=pick: f(laid_out("turned", m, x), i, j, b),
        ((2, 4, 3), *WIDE),
        ROWS,
        COLUMNS,
        MASK,
    )
for axis in (0, 1, -1):
    enter(f"take along {axis}", lambda m, x, i, a=axis: m.take(x, i, axis=a), ((3, 4, 3), *WIDE), ROWS)
    enter(
        f"take nothing along {axis}", lambda m, x, i, a=axis: m.take(x, i, axis=a), ((3, 4, 3), *WIDE), np.zeros(0, int)
    )
for axis, index in [(0, [[1, 0, 1]]), (1, [[2, 0], [1, 1]]), (-1, [[0], [2]])]:
    enter(
        f"take_along_axis {axis}", lambda m, x, i, a=axis: m.take_along_axis(x, i, a), ((2, 3), *WIDE), np.array(index)
    )
enter("one_hot", lambda m, x, i: m.one_hot(i, 4) * x, ((4,), *WIDE), np.array([[3, 0], [1, 1]]))
enter("one_hot of nothing", lambda m, x, i: m.one_hot(i, 4) * x, ((4,), *WIDE), np.zeros((0, 2), int))

# --- choice, casts, Python's operators ----------------------------------------------------------------------------

for shapes in [((2, 3),) * 3, ((3,), (2, 1), ()), ((0, 1), (3,), (1,))]:
    enter(f"where {shapes}", lambda m, c, x, y: m.where(c > 0, x, y * x), *((s, *WIDE) for s in shapes))
for low, high in [(-1.0, 1.0), (None, 0.5), (0.0, None)]:
    enter(f"clip {low} {high}", lambda m, x, a=low, b=high: m.clip(x, a, b), ((3, 4), *WIDE))
enter(
    "cast there and back", lambda m, x: m.astype(m.astype(x, m.float32) * x, m.float64), ((2, 3), *WIDE), dtypes=("f8",)
)
enter("cast to integers", lambda m, x: m.astype(x, m.int64), ((2, 3), *WIDE), dtypes=("f8",))
WRITTEN = {
    "x + 1": lambda x: x + 1, "1 - x": lambda x: 1 - x, "x * 2.5": lambda x: x * 2.5, "2 / x": lambda x: 2 / x, "x / 3": lambda x: x / 3,
    "x**3": lambda x: x**3, "2**x": lambda x: 2**x, "x**0.5": lambda x: x**0.5, "x % 0.7": lambda x: x % 0.7, "x // 0.7": lambda x: x // 0.7,
    "-x": lambda x: -x, "abs": lambda x: abs(x - 1), "x @ x.T": lambda x: x @ x.T, "x < 1": lambda x: x < 1,
    "x == 2 * x": lambda x: x == 2 * x, "x != 1": lambda x: x != 1, "~(x > 1) & (x < 2) | (x == 3)": lambda x: ~(x > 1) & (x < 2) | (x == 3),
    "sum of two uses": lambda x: x * x + x, "chain": lambda x: (x * x).sum(0) / x.max() - x.mean(1).sum(), "iteration": lambda x: sum(row * i for i, row in enumerate(x)),
}  # fmt: skip
for name, written in WRITTEN.items():
    enter(name, lambda m, x, f=written: f(x), ((2, 3), *ABOVE), order=0 if "//" in name else 2)

# --- from nothing -------------------------------------------------------------------------------------------------

MADE = {
    "arange": lambda m: (m.arange(5), m.arange(1, 7, 2), m.arange(3, 0, -1)), "ones": lambda m: (m.ones((2, 0)), m.ones((2, 3))),
    "zeros": lambda m: m.zeros((1, 2)), "full": lambda m: m.full((2, 2), 2.5), "linspace": lambda m: m.linspace(0.0, 1.0, 5),
    "eye": lambda m: (m.eye(3), m.eye(2, 4)),
}  # fmt: skip
for name, make in MADE.items():
    enter(name, lambda m, f=make: f(m), dtypes=("f4",))
for name in ("zeros_like", "ones_like"):
    enter(name, lambda m, x, n=name: getattr(m, n)(x), ((2, 3), *WIDE))
enter("full_like", lambda m, x: m.full_like(x, 3.0), ((2, 3), *WIDE))
