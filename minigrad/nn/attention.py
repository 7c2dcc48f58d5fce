"""Attention: a mean of values, weighted by how well each key answers a query. B rows, S keys, T queries.

Imports `layers`, `module` and the floors below. A `mask` is true where a key may be looked at, as a batch's is true
where steps count; `MultiHeadAttention` alone takes PyTorch's masks, which are true where it may not. A query all of
whose keys are masked gives zeros, and a gradient of zero.
"""

from math import sqrt
from typing import Any

import numpy as np

from minigrad.arraytype import show
from minigrad.core import as_value
from minigrad.errors import DtypeError, ShapeError, UsageError
from minigrad.nn.layers import Dropout, Linear, check_sizes, uniform
from minigrad.nn.module import Module, Parameter
from minigrad.ops.elementwise import astype, cos, logical_and, logical_not, sin, where
from minigrad.ops.linalg import linear, matmul
from minigrad.ops.reduce import mean, softmax
from minigrad.ops.reduce import sum as sum_
from minigrad.ops.shape import concat, expand_dims, permute_dims, reshape, split
from minigrad.ops.smooth import tanh


def masked_softmax(scores: Any, mask: Any = None) -> Any:
    """Softmax over the last axis of the places where `mask`, which broadcasts, is true; zeros where none is."""
    scores = as_value(scores)
    if mask is None:
        return softmax(scores)
    mask = boolean("mask", mask)
    low = float(np.finfo(scores.dtype).min) / 2  # finite, and below any score
    return softmax(where(mask, scores, low)) * astype(mask, scores.dtype)


def boolean(name: str, mask: Any) -> Any:
    """The mask as a value; DtypeError unless it is true or false everywhere."""
    mask = as_value(mask)
    if mask.dtype.kind != "b":
        raise DtypeError(f"attention: {name} must be true or false, not {mask.dtype}.")
    return mask


def _bent(query: Any, keys: Any, score: Any) -> Any:
    """query [B, H], keys [B, S, H], score [H] -> vᵀ tanh(q + k), [B, S]."""
    return sum_(tanh(expand_dims(query, 1) + keys) * score, axis=-1)


def weighted(weights: Any, values: Any) -> Any:
    """weights [B, S], values [B, S, V] -> their mean [B, V]."""
    return sum_(expand_dims(weights, -1) * values, axis=1)


class AdditiveAttention(Module):
    """score = vᵀ tanh(W q + U k + b)  (Bahdanau et al. 2015);  W [H, Q], U [H, K], v, b [H]."""

    def __init__(self, query_size: int, key_size: int, hidden_size: int) -> None:
        check_sizes("AdditiveAttention", query_size=query_size, key_size=key_size, hidden_size=hidden_size)
        self.query, self.key = Linear(query_size, hidden_size), Linear(key_size, hidden_size, bias=False)
        self.score = uniform((hidden_size,), 1 / sqrt(hidden_size))

    def forward(self, query: Any, keys: Any, values: Any = None, mask: Any = None) -> tuple[Any, Any]:
        """query [B, Q], keys [B, S, K], values [B, S, V] (else the keys), mask [B, S] -> (context [B, V], weights)."""
        weights = masked_softmax(_bent(self.query(query), self.key(keys), self.score), mask)
        return weighted(weights, keys if values is None else values), weights


class DotAttention(Module):
    """Luong et al. 2015: "dot" is q · k, "general" is qᵀ W k, "concat" is vᵀ tanh(W [q; k])."""

    def __init__(self, query_size: int, key_size: int | None = None, kind: str = "dot") -> None:
        keys = query_size if key_size is None else key_size
        check_sizes("DotAttention", query_size=query_size, key_size=keys)
        if kind not in ("dot", "general", "concat"):
            raise UsageError(f"DotAttention: kind is dot, general or concat, not {kind!r}.")
        if kind == "dot" and keys != query_size:
            raise UsageError(f'DotAttention("dot") wants keys of the query\'s size {query_size}, not {keys}.')
        self.kind = kind
        if kind == "general":
            self.weight = Linear(query_size, keys, bias=False)
        if kind == "concat":
            self.query, self.key = Linear(query_size, query_size, bias=False), Linear(keys, query_size, bias=False)
            self.score = uniform((query_size,), 1 / sqrt(query_size))

    def forward(self, query: Any, keys: Any, values: Any = None, mask: Any = None) -> tuple[Any, Any]:
        """query [B, Q], keys [B, S, K], values [B, S, V] (else the keys), mask [B, S] -> (context [B, V], weights)."""
        if self.kind == "concat":
            scores = _bent(self.query(query), self.key(keys), self.score)
        else:
            query = self.weight(query) if self.kind == "general" else query
            scores = sum_(expand_dims(query, 1) * keys, axis=-1)
        weights = masked_softmax(scores, mask)
        return weighted(weights, keys if values is None else values), weights


def sinusoidal(steps: int, size: int) -> Any:
    """[T, size]: sin and cos of t / 10000^(2i / size), in turn (Vaswani et al. 2017)."""
    angles = np.arange(steps)[:, None] / 10000 ** (np.arange(0, size, 2) / size)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(steps, -1)[:, :size].astype(np.float32)


def rotate(x: Any) -> Any:
    """Rotary positions (Su et al. 2021): the pair (i, i + E/2) of step t turned by t / 10000^(2i/E);  x [..., T, E]."""
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

        Args:
            key_padding_mask: [B, S], true where a key is padding.
            attn_mask: [T, S], true where a query may not look at a key.
            is_causal: a query looks at no key that comes later.
        """
        query = as_value(query)
        key = query if key is None else as_value(key)
        value = key if value is None else as_value(value)
        if query.ndim != 3 or query.shape[2] != self.embed_dim or key.shape != value.shape or key.ndim != 3:
            raise ShapeError(
                f"MultiHeadAttention takes [T, B, E] with E = {self.embed_dim}: query {show(query)}, key {show(key)}, "
                f"value {show(value)}."
            )
        steps, keys = query.shape[0], key.shape[0]
        weights, biases = split(self.in_proj_weight, 3), split(self.in_proj_bias, 3)
        parts = zip((query, key, value), weights, biases, strict=True)
        q, k, v = (self._heads(linear(x, w, b)) for x, w, b in parts)
        if self.rotary:
            q, k = rotate(q), rotate(k)
        scores = matmul(q, permute_dims(k, (0, 1, 3, 2))) * (1 / sqrt(q.shape[-1]))
        mask: Any = None
        if attn_mask is not None:
            mask = logical_not(boolean("attn_mask", attn_mask))
        if is_causal:
            past = np.tril(np.ones((steps, keys), bool))
            mask = past if mask is None else logical_and(mask, past)
        if key_padding_mask is not None:
            there = expand_dims(expand_dims(logical_not(boolean("key_padding_mask", key_padding_mask)), 1), 1)
            mask = there if mask is None else logical_and(mask, there)
        found = masked_softmax(scores, mask)
        out = permute_dims(matmul(self.dropout(found), v), (2, 0, 1, 3))
        return self.out_proj(reshape(out, (steps, out.shape[1], self.embed_dim))), mean(found, axis=1)

    def _heads(self, x: Any) -> Any:
        """[T, B, E] -> [B, heads, T, E / heads]."""
        x = reshape(x, (*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads))
        return permute_dims(x, (1, 2, 0, 3))
