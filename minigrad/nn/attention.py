"""Attention: a mean of values, weighted by how well each key answers a query. B rows, S keys, T queries.

Imports `layers`, `module` and the floors below. A `mask` is true where a key may be looked at, as a batch's is true
where steps count; `MultiHeadAttention` alone takes PyTorch's masks, which are true where it may not. A mask of floats
is added to the scores, and its -inf hides a key. A query all of whose keys are masked gives zeros, and a gradient of
zero. What a masked key or value holds, NaN included, reaches no query that may not look at it.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from math import sqrt
from operator import and_
from typing import Any, NamedTuple

import numpy as np

from minigrad.arraytype import show
from minigrad.core import as_value
from minigrad.errors import DtypeError, ShapeError, UsageError
from minigrad.nn.layers import Dropout, Linear, check_sizes, is_integer, one_value, uniform
from minigrad.nn.module import Module, Parameter
from minigrad.ops.elementwise import (
    astype,
    cos,
    isfinite,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
    sin,
    where,
)
from minigrad.ops.linalg import linear, matmul
from minigrad.ops.reduce import all as all_
from minigrad.ops.reduce import any as any_
from minigrad.ops.reduce import mean
from minigrad.ops.reduce import sum as sum_
from minigrad.ops.shape import concat, expand_dims, permute_dims, reshape, split
from minigrad.ops.smooth import tanh
from minigrad.ops.softmax import softmax


class Mask(NamedTuple):
    """Where a key may be looked at, and what is added to the scores there (None: nothing)."""

    allowed: Any
    added: Any

    def at(self, change: Callable[[Any], Any]) -> "Mask":
        """The same mask with its axes changed."""
        return Mask(change(self.allowed), None if self.added is None else change(self.added))

    def __and__(self, other: "Mask") -> "Mask":
        """What both allow, with the sum of what they add."""
        added = [added for added in (self.added, other.added) if added is not None]
        return Mask(logical_and(self.allowed, other.allowed), sum(added[1:], start=added[0]) if added else None)


def read_mask(name: str, mask: Any, shapes: Sequence[tuple[int, ...]], *, hides: bool) -> Mask:
    """A user's mask of one of some shapes: of booleans, true where a key is hidden if `hides`, or of floats to add.

    Raises:
        ShapeError: if it has none of these shapes.
        DtypeError: if it holds neither booleans nor floats.
    """
    mask = as_value(mask)
    if mask.shape not in shapes:
        wanted = " or ".join(str(list(shape)) for shape in shapes)
        raise ShapeError(f"attention: {name} must be {wanted}, not {show(mask)}.")
    if mask.dtype.kind == "b":
        return Mask(logical_not(mask) if hides else mask, None)
    if mask.dtype.kind != "f":
        raise DtypeError(
            f"attention: {name} must hold booleans, or floats to add to the scores, not {mask.dtype}. Use "
            ".astype(mg.bool_) or .astype(mg.float32)."
        )
    allowed = not_equal(mask, -np.inf)
    return Mask(allowed, where(allowed, mask, 0.0))


def masked_softmax(scores: Any, mask: Mask | None) -> Any:
    """Softmax over the last axis of the places that the mask, which broadcasts, allows; zeros where it allows none."""
    if mask is None:
        return softmax(scores)
    low = float(np.finfo(scores.dtype).min) / 2  # finite, and below any score
    scores = scores if mask.added is None else scores + astype(mask.added, scores.dtype)
    return softmax(where(mask.allowed, scores, low)) * astype(mask.allowed, scores.dtype)


def _bent(query: Any, keys: Any, score: Any) -> Any:
    """query [B, H], keys [B, S, H], score [H] -> vᵀ tanh(q + k), [B, S]."""
    return sum_(tanh(expand_dims(query, 1) + keys) * score, axis=-1)


def weighted(weights: Any, values: Any) -> Any:
    """weights [B, S], values [B, S, V] -> their mean [B, V]."""
    return sum_(expand_dims(weights, -1) * values, axis=1)


class _OneQuery(Module):
    """Attention of one query a row; a subclass says how well a key answers it."""

    query_size: int
    key_size: int

    def _score(self, query: Any, keys: Any) -> Any:
        """query [B, Q], keys [B, S, K] -> [B, S]."""
        raise NotImplementedError

    def forward(self, query: Any, keys: Any, values: Any = None, mask: Any = None) -> tuple[Any, Any]:
        """query [B, Q], keys [B, S, K], values [B, S, V] (else the keys), mask [B, S] -> (context [B, V], weights).

        Raises:
            ShapeError: if these do not fit together.
            DtypeError: for a mask that holds neither booleans nor floats.
        """
        name = type(self).__name__
        query, keys = one_value(name, query), one_value(name, keys)
        values = keys if values is None else one_value(name, values)
        fits = query.ndim == 2 and keys.ndim == 3 and values.ndim == 3 and values.shape[:2] == keys.shape[:2]
        if not fits or (query.shape[0], query.shape[1], keys.shape[2]) != (
            keys.shape[0],
            self.query_size,
            self.key_size,
        ):
            raise ShapeError(
                f"{name} takes query [B, {self.query_size}], keys [B, S, {self.key_size}] and values [B, S, V], not "
                f"{show(query)}, {show(keys)} and {show(values)}."
            )
        found: Mask | None = None
        if mask is not None:
            found = read_mask("mask", mask, [keys.shape[:2]], hides=False)
            there = expand_dims(found.allowed, -1)
            shared = values is keys
            keys = where(there, keys, 0.0)
            values = keys if shared else where(there, values, 0.0)
        weights = masked_softmax(self._score(query, keys), found)
        return weighted(weights, values), weights


class AdditiveAttention(_OneQuery):
    """score = vᵀ tanh(W q + U k + b)  (Bahdanau et al. 2015);  W [H, Q], U [H, K], v, b [H]."""

    def __init__(self, query_size: int, key_size: int, hidden_size: int) -> None:
        check_sizes("AdditiveAttention", query_size=query_size, key_size=key_size, hidden_size=hidden_size)
        self.query_size, self.key_size = query_size, key_size
        self.query, self.key = Linear(query_size, hidden_size), Linear(key_size, hidden_size, bias=False)
        self.score = uniform((hidden_size,), 1 / sqrt(hidden_size))

    def _score(self, query: Any, keys: Any) -> Any:
        return _bent(self.query(query), self.key(keys), self.score)


class DotAttention(_OneQuery):
    """Luong et al. 2015: "dot" is q · k, "general" is qᵀ W k, "concat" is vᵀ tanh(W [q; k])."""

    def __init__(self, query_size: int, key_size: int | None = None, kind: str = "dot") -> None:
        keys = query_size if key_size is None else key_size
        check_sizes("DotAttention", query_size=query_size, key_size=keys)
        if kind not in ("dot", "general", "concat"):
            raise UsageError(f"DotAttention: kind is dot, general or concat, not {kind!r}.")
        if kind == "dot" and keys != query_size:
            raise UsageError(f'DotAttention("dot") wants keys of the query\'s size {query_size}, not {keys}.')
        self.kind, self.query_size, self.key_size = kind, query_size, keys
        if kind == "general":
            self.weight = Linear(query_size, keys, bias=False)
        if kind == "concat":
            self.query, self.key = Linear(query_size, query_size, bias=False), Linear(keys, query_size, bias=False)
            self.score = uniform((query_size,), 1 / sqrt(query_size))

    def _score(self, query: Any, keys: Any) -> Any:
        if self.kind == "concat":
            return _bent(self.query(query), self.key(keys), self.score)
        query = self.weight(query) if self.kind == "general" else query
        return sum_(expand_dims(query, 1) * keys, axis=-1)


def _apart(query: Any, key: Any, value: Any, allowed: Any) -> tuple[Any, Any, Any, Any]:
    """Let what is not finite reach those queries only that look at it, and a key that nobody looks at reach nobody.

    query [T, B, E], key and value [S, B, E], allowed [1 or B, 1 or heads, T, S] -> the three with zeros in the place of
    such steps, and which queries look at what is not finite, [B, T].
    """

    def lost(*xs: Any) -> Any:
        """[N, B, E] each -> [B, N]: whether some number of a step is not finite."""
        found = [logical_not(all_(isfinite(x), axis=-1)) for x in xs]
        return permute_dims(reduce(logical_or, found), (1, 0))

    of_query, of_key = lost(query), lost(key) if value is key else lost(key, value)
    looks = any_(logical_and(any_(allowed, axis=1), expand_dims(of_key, 1)), axis=-1)
    left_out = logical_or(of_key, logical_not(any_(allowed, axis=(1, 2))))  # a large number overflows on its way too
    q, k, v = (
        where(expand_dims(permute_dims(there, (1, 0)), -1), 0.0, x)
        for x, there in ((query, of_query), (key, left_out), (value, left_out))
    )
    return q, k, v, logical_or(of_query, looks)


def sinusoidal(steps: int, size: int) -> Any:
    """[T, size]: sin and cos of t / 10000^(2i / size), in turn (Vaswani et al. 2017)."""
    check_sizes("sinusoidal", size=size)
    if not is_integer(steps) or steps < 0:
        raise UsageError(f"sinusoidal: steps must be an integer from 0 on, not {steps!r}.")
    angles = np.arange(steps)[:, None] / 10000 ** (np.arange(0, size, 2) / size)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(steps, -1)[:, :size].astype(np.float32)


def rotate(x: Any) -> Any:
    """Rotary positions (Su et al. 2021): the pair (i, i + E/2) of step t turned by t / 10000^(2i/E);  x [..., T, E]."""
    x = as_value(x)
    if x.ndim < 2:
        raise ShapeError(f"rotate takes x [..., T, E], not {show(x)}.")
    steps, size = x.shape[-2:]
    if size % 2:
        raise UsageError(f"rotary positions turn pairs; {size} features a head is odd.")
    angles = np.arange(steps)[:, None] / 10000 ** (np.arange(0, size, 2) / size)
    c, s = (as_value(f(as_value(angles)).astype(x.dtype)) for f in (cos, sin))
    a, b = split(x, 2, axis=-1)
    return concat([a * c - b * s, a * s + b * c], axis=-1)


class MultiHeadAttention(Module):
    """softmax(Q Kᵀ / √d) V in several heads (Vaswani et al. 2017), with PyTorch's weights, names and masks.

    Args:
        embed_dim: E, of queries, keys and values.
        num_heads: E is divided among them.
        dropout: share of weights dropped in training.
        rotary: turn queries and keys by their positions.
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, rotary: bool = False) -> None:
        check_sizes("MultiHeadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise UsageError(f"MultiHeadAttention: embed_dim {embed_dim} must be a multiple of num_heads {num_heads}.")
        self.embed_dim, self.num_heads, self.rotary = embed_dim, num_heads, rotary
        self.in_proj_weight = uniform((3 * embed_dim, embed_dim), sqrt(6 / (4 * embed_dim)))
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, np.float32))
        self.out_proj = Linear(embed_dim, embed_dim)
        self.dropout = Dropout(dropout)

    def forward(self, query: Any, key: Any = None, value: Any = None, *, key_padding_mask: Any = None,
                attn_mask: Any = None, is_causal: bool = False) -> tuple[Any, Any]:  # fmt: skip
        """query [T, B, E], key and value [S, B, E] (else the query) -> (out [T, B, E], mean weights [B, T, S]).

        All of it may come without B, and is returned without it.

        Args:
            key_padding_mask: [B, S], true where a key is padding; or floats, added to the scores.
            attn_mask: [T, S] or [B * heads, T, S], true where a query may not look at a key; or floats, added.
            is_causal: a query looks at no key that comes later.

        Raises:
            ShapeError: if these do not fit together.
            DtypeError: for a mask that holds neither booleans nor floats.
        """
        query = one_value("MultiHeadAttention", query)
        key = query if key is None else one_value("MultiHeadAttention", key)
        value = key if value is None else one_value("MultiHeadAttention", value)
        if (
            query.ndim not in (2, 3)
            or query.shape[-1] != self.embed_dim
            or key.shape != value.shape
            or key.ndim != query.ndim
            or key.shape[1:] != query.shape[1:]
        ):
            raise ShapeError(
                f"MultiHeadAttention takes [T, B, E], or [T, E] without a batch, with E = {self.embed_dim}: query "
                f"{show(query)}, key {show(key)}, value {show(value)}."
            )
        if query.ndim == 2:
            padding = None if key_padding_mask is None else expand_dims(as_value(key_padding_mask), 0)
            of_key = None if key is query else expand_dims(key, 1)
            of_value = None if value is key else expand_dims(value, 1)
            out, weights = self.forward(expand_dims(query, 1), of_key, of_value, key_padding_mask=padding,
                                        attn_mask=attn_mask, is_causal=is_causal)  # fmt: skip
            return out[:, 0], weights[0]
        steps, keys = query.shape[0], key.shape[0]
        mask = self._mask(query, keys, key_padding_mask, attn_mask, is_causal)
        lost: Any = None
        if mask is not None:
            query, key, value, lost = _apart(query, key, value, mask.allowed)
        weights, biases = split(self.in_proj_weight, 3), split(self.in_proj_bias, 3)
        parts = zip((query, key, value), weights, biases, strict=True)
        q, k, v = (self._heads(linear(x, w, b)) for x, w, b in parts)
        if self.rotary:
            q, k = rotate(q), rotate(k)
        found = masked_softmax(matmul(q, permute_dims(k, (0, 1, 3, 2))) * (1 / sqrt(q.shape[-1])), mask)
        out = permute_dims(matmul(self.dropout(found), v), (2, 0, 1, 3))
        out, found = self.out_proj(reshape(out, (steps, out.shape[1], self.embed_dim))), mean(found, axis=1)
        if lost is None:
            return out, found
        nan = as_value(np.array(np.nan, out.dtype))
        return where(expand_dims(permute_dims(lost, (1, 0)), -1), nan, out), where(expand_dims(lost, -1), nan, found)

    def _mask(self, query: Any, keys: int, padding: Any, pairs: Any, is_causal: bool) -> Mask | None:
        """All masks as one that broadcasts to [B, heads, T, S]."""
        (steps, batch, _), heads = query.shape, self.num_heads
        found = []
        if pairs is not None:
            mask = read_mask("attn_mask", pairs, [(steps, keys), (batch * heads, steps, keys)], hides=True)
            each = (-1, heads, steps, keys) if mask.allowed.ndim == 3 else (1, 1, steps, keys)
            found.append(mask.at(lambda x: reshape(x, each)))
        if padding is not None:
            mask = read_mask("key_padding_mask", padding, [(batch, keys)], hides=True)
            found.append(mask.at(lambda x: reshape(x, (batch, 1, 1, keys))))
        if is_causal:
            found.append(Mask(as_value(np.tril(np.ones((1, 1, steps, keys), bool))), None))
        return reduce(and_, found) if found else None

    def _heads(self, x: Any) -> Any:
        """[T, B, E] -> [B, heads, T, E / heads]."""
        x = reshape(x, (*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads))
        return permute_dims(x, (1, 2, 0, 3))
