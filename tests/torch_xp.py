"""PyTorch under minigrad's names, as far as drawn cells use them, and their loop over time: an independent definition."""

import torch

from minigrad.tree import flatten, unflatten

INTS = {"int64": torch.int64, "int32": torch.int32}


class TorchXP:
    """`xp` for a drawn cell."""

    def __init__(self, dtype):
        self.float = {"f4": torch.float32, "f8": torch.float64}[dtype]

    def __getattr__(self, name):
        return getattr(torch, name)

    def astype(self, x, kind):
        return x.to(INTS.get(kind, self.float))

    def ints(self, values):
        return torch.tensor(values)

    def one_hot(self, x, n):
        return torch.nn.functional.one_hot(x, n)

    def log_sigmoid(self, x):
        return torch.nn.functional.logsigmoid(x)

    def relu(self, x):
        return torch.relu(x)

    def softplus(self, x):
        return torch.nn.functional.softplus(x)

    def gelu(self, x):
        return torch.nn.functional.gelu(x)

    def silu(self, x):
        return torch.nn.functional.silu(x)

    def elu(self, x):
        return torch.nn.functional.elu(x)

    def leaky_relu(self, x):
        return torch.nn.functional.leaky_relu(x)

    def stop_gradient(self, x):
        return x.detach()

    def clip(self, x, low, high):
        return torch.clamp(x, low, high)

    def maximum(self, x, y):
        return torch.maximum(x, y)

    def logaddexp(self, x, y):
        return torch.logaddexp(x, torch.as_tensor(y, dtype=x.dtype))

    def floor_divide(self, x, y):
        return torch.floor_divide(x.detach(), y.detach() if isinstance(y, torch.Tensor) else y)

    def equal(self, x, y):
        return torch.eq(x, y)

    def not_equal(self, x, y):
        return torch.ne(x, y)

    def where(self, condition, x, y):
        return torch.where(condition, x, y)

    def linear(self, x, w, b=None):
        return torch.nn.functional.linear(x, w, b)

    def softmax(self, x, axis):
        return torch.softmax(x, axis)

    def log_softmax(self, x, axis):
        return torch.log_softmax(x, axis)

    def cumulative_sum(self, x, axis):
        return torch.cumsum(x, axis)

    def argmax(self, x, axis):
        return torch.argmax(x, axis)

    def argmin(self, x, axis):
        return torch.argmin(x, axis)

    def sum(self, x, axis, keepdims):
        return torch.sum(x, axis, keepdim=keepdims)

    def mean(self, x, axis, keepdims=False):
        return torch.mean(x, axis, keepdim=keepdims)

    def max(self, x, axis, keepdims):
        return torch.amax(x, axis, keepdim=keepdims)

    def min(self, x, axis, keepdims):
        return torch.amin(x, axis, keepdim=keepdims)

    def var(self, x, axis, keepdims):
        return torch.var(x, axis, correction=0, keepdim=keepdims)

    def prod(self, x, axis, keepdims):
        for a in sorted([axis] if isinstance(axis, int) else axis, reverse=True):
            x = torch.prod(x, a, keepdim=keepdims)
        return x

    def all(self, x, axis, keepdims):
        return torch.all(x, axis, keepdim=keepdims)

    def any(self, x, axis, keepdims):
        return torch.any(x, axis, keepdim=keepdims)

    def logsumexp(self, x, axis, keepdims):
        return torch.logsumexp(x, axis, keepdim=keepdims)

    def permute_dims(self, x, axes):
        return torch.permute(x, axes)

    def expand_dims(self, x, axis):
        return torch.unsqueeze(x, axis)

    def flip(self, x, axis):
        return torch.flip(x, [axis])

    def roll(self, x, shift, axis):
        return torch.roll(x, shift, axis)

    def stack(self, xs, axis):
        return torch.stack(xs, axis)

    def concat(self, xs, axis):
        return torch.cat(xs, axis)

    def split(self, x, marks, axis):
        return torch.tensor_split(x, marks, dim=axis)

    def unstack(self, x, axis):
        return torch.unbind(x, axis)

    def repeat(self, x, n, axis):
        return torch.repeat_interleave(x, n, dim=axis)

    def take(self, x, indices, axis):
        rows = torch.index_select(x, axis, indices.reshape(-1))
        at = axis % x.ndim
        return rows.reshape(*x.shape[:at], *indices.shape, *x.shape[at + 1 :])

    def take_along_axis(self, x, indices, axis):
        return torch.take_along_dim(x, indices, axis)

    def full(self, shape, value):
        return torch.full(shape, value, dtype=torch.float32)

    def scan(self, cell, carry, xs):
        return loop(cell, carry, xs, None, False, len(xs))


def loop(cell, carry, xs, lengths, reverse, length):
    """The recurrence, step by step, on nests of torch's tensors."""
    leaves, structure = flatten(carry)
    x_leaves, x_structure = flatten(xs)
    ys, y_structure = [None] * length, None
    for t in reversed(range(length)) if reverse else range(length):
        made, y = cell(unflatten(structure, leaves), unflatten(x_structure, [x[t] for x in x_leaves]))
        made, (y, y_structure) = flatten(made)[0], flatten(y)
        if lengths is not None:
            runs = torch.as_tensor(lengths) > t
            choose = lambda new, old: torch.where(runs.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            made = [choose(new, old) for new, old in zip(made, leaves, strict=True)]
            y = [choose(leaf, torch.zeros_like(leaf)) for leaf in y]
        leaves, ys[t] = made, y
    return unflatten(structure, leaves), unflatten(y_structure, [torch.stack(some) for some in zip(*ys, strict=True)])


def outcome(cell, nests, carry, xs, weights, lengths, reverse, dtype, cotangents):
    """Values and gradients of a drawn cell, `cell` a function of (xp, weights), from arrays."""
    wrap = lambda a: torch.tensor(a, requires_grad=a.dtype.kind == "f")
    carry, xs, weights = ([wrap(a) for a in some] for some in (carry, xs, weights))
    last, ys = loop(cell(TorchXP(dtype), weights), nests[0](carry), nests[1](xs), lengths, reverse, len(xs[0]))
    outs = flatten(last)[0] + flatten(ys)[0]
    terms = [(out * torch.tensor(g)).sum() for out, g in zip(outs, cotangents(outs), strict=True) if g is not None]
    total = sum(terms)
    if isinstance(total, torch.Tensor) and total.requires_grad:
        total.backward()
    leaves = [x for x in (*carry, *xs, *weights) if x.requires_grad]
    return {
        "value": [out.detach().numpy() for out in outs],
        "gradient": [(torch.zeros_like(x) if x.grad is None else x.grad).numpy() for x in leaves],
    }
