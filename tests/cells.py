"""Cells for tests: each a function `weights -> cell`, with the shapes of its weights and carry. D = 2, H = 3, S = 4."""

import minigrad as mg

D, H, S = 2, 3, 4


def elman(w, u):
    def cell(h, x):
        h = mg.tanh(x @ w + h @ u)
        return h, h

    return cell


def lstm(w, u, b, c):
    def cell(carry, x):
        h, c_ = carry
        i, f, g, o = mg.split(mg.linear(x, w, b) + mg.linear(h, u, c), 4, axis=-1)
        c_ = mg.sigmoid(f) * c_ + mg.sigmoid(i) * mg.tanh(g)
        h = mg.sigmoid(o) * mg.tanh(c_)
        return (h, c_), h

    return cell


def gru(w, u, b, c):
    def cell(h, x):
        xs, hs = mg.linear(x, w, b), mg.linear(h, u, c)
        r, z = mg.sigmoid(xs[..., :H] + hs[..., :H]), mg.sigmoid(xs[:, H : 2 * H] + hs[:, H : 2 * H])
        n = mg.tanh(xs[:, 2 * H :] + r * hs[:, 2 * H :])
        h = (1 - z) * n + z * h
        return h, {"h": h, "r": r}

    return cell


def no_y(w, u):
    return lambda carry, x: ((mg.tanh(carry[0] @ u + carry[1]), carry[1] * 0.5 + x @ w), None)


def dict_carry(w, u):
    def cell(carry, x):
        h, c = carry["h"], carry["c"]
        c = c * 0.9 + mg.sigmoid(x @ w + h @ u)
        return {"h": mg.tanh(c), "c": c}, (h, {"c": c})

    return cell


def ignores_x(w, u):
    return lambda h, x: (mg.tanh(h @ u), h * 2.0)


def weight_twice(w, u):
    def cell(h, x):
        h = mg.tanh((h @ u) @ u + mg.linear(x @ w, u))
        return h, h * h

    return cell


def swapped(w, u):
    """Carries that change places, one that stays, and a y that is a constant."""

    def cell(carry, x):
        a, b, still = carry
        return (b, mg.tanh(a @ u + x @ w), still), (mg.broadcast_to(u[0], a.shape), still[:, 1:2])

    return cell


def layer_norm(w, u, gain):
    def cell(h, x):
        z = x @ w + h @ u
        z = (z - z.mean(axis=-1, keepdims=True)) / mg.sqrt(mg.var(z, axis=-1, keepdims=True) + 1e-5)
        h = mg.tanh(mg.softmax(z) * gain + z)
        return h, mg.log_softmax(h)

    return cell


def attention(w, u, memory):
    """A decoder's cell: scores over a closed-over memory [B, S, H], a masked softmax, a context."""

    def cell(h, x):
        h = mg.tanh(x @ w + h @ u)
        scores = mg.reshape(memory @ mg.expand_dims(h, -1), memory.shape[:2])
        scores = mg.where(scores > 3.0, -1e9, scores)
        weights = mg.softmax(scores)
        context = mg.reshape(mg.expand_dims(weights, 1) @ memory, h.shape)
        return mg.tanh(context + mg.einsum("bsh,bs->bh", memory, weights) + h), weights

    return cell


def additive(w, u, memory, v):
    """Bahdanau's attention: what is made of the memory alone has weights of its own, and so has a constant row."""

    def cell(h, x):
        found = mg.tanh(mg.expand_dims(h @ u, 1) + mg.linear(memory, v))
        context = mg.reshape(mg.expand_dims(mg.softmax(found.sum(axis=-1)), 1) @ memory, h.shape)
        return mg.tanh(context + x @ w + (memory[:, 0] * 0.5) @ u), None

    return cell


def constant_rows(w, u, row, other):
    """Rows that are the same at each step go through products; one of them beside x, with a gradient of both."""

    def cell(h, x):
        h = mg.tanh(mg.linear(row, u) + h @ u + (x + other) @ w)
        return h, row @ u

    return cell


def many_carries(w, u):
    def cell(carry, x):
        last = mg.tanh(x @ w + carry[-1] @ u + carry[0])
        return (*carry[1:], last), last

    return cell


def odd_ops(w, u, row, table):
    """Whatever else keeps rows apart: gates by index, picks, reductions, stacks, a weight by rows, a look-up."""

    def cell(h, x):
        a = mg.einsum("bd,dh->bh", x, w) + mg.maximum(h @ u, row)
        b = mg.stack([a, mg.relu(h), mg.minimum(a, h)], axis=1)
        top = b.max(axis=1) + b[:, 1] * mg.exp(-mg.abs(b[:, 0])) + mg.permute_dims(b, (0, 2, 1))[:, :, 2]
        cut = mg.concat([top[:, :1], mg.concat([h[:, 1:], a], axis=-1)[:, 1:3]], axis=-1)
        h = mg.softplus(cut) * 0.3 + mg.log1p(mg.square(a)) + mg.logsumexp(b, axis=(1, 2))[:, None] * 0.1
        some = mg.logical_and(h > 0.5, mg.logical_not(mg.isnan(a)))
        return mg.where(some, h, mg.sin(a) / (1 + h * h)) + table[1] * mg.all(some, axis=-1, keepdims=True), b

    return cell


def backwards(w, u):
    """Slices from the end, of every second one, and flips: strides below 0 and above 1."""

    def cell(h, x):
        z = mg.tanh(h[:, ::-1] * 0.5 + mg.flip(x @ w, axis=-1) + (h @ u)[:, 2::-1])
        ends = mg.concat([z[:, 2:0:-1], h[:, :1]], axis=-1)
        return ends + mg.flip(mg.stack([z, h], axis=1), axis=(1, 2))[:, 0], mg.stack([z, ends], axis=1)[:, ::-1, ::2]

    return cell


def folded(w, u):
    """Products of [B, S, H], which fold S into the batch."""

    def cell(h, x):
        wide = mg.tanh(mg.linear(h, u) + mg.expand_dims(x @ w, 1)) @ u
        return h * 0.5 + wide, wide.sum(axis=1)

    return cell


SQUARE, GATES = [(D, H), (H, H)], [(4 * H, D), (4 * H, H), (4 * H,), (4 * H,)]
CELLS = {
    "elman": (elman, SQUARE, lambda h: h),
    "lstm": (lstm, GATES, lambda h: (h, h * 0.5)),
    "gru": (gru, [(3 * H, D), (3 * H, H), (3 * H,), (3 * H,)], lambda h: h),
    "no_y": (no_y, SQUARE, lambda h: (h, h * 0.5)),
    "dict_carry": (dict_carry, SQUARE, lambda h: {"h": h, "c": h * 0.5}),
    "ignores_x": (ignores_x, SQUARE, lambda h: h),
    "weight_twice": (weight_twice, SQUARE, lambda h: h),
    "swapped": (swapped, SQUARE, lambda h: (h, h * 0.5, h * 2)),
    "layer_norm": (layer_norm, [*SQUARE, (H,)], lambda h: h),
    "attention": (attention, [*SQUARE, ("B", S, H)], lambda h: h),
    "additive": (additive, [*SQUARE, ("B", S, H), (H, H)], lambda h: h),
    "constant_rows": (constant_rows, [*SQUARE, ("B", H), ("B", D)], lambda h: h),
    "many_carries": (many_carries, SQUARE, lambda h: tuple(h * (0.1 * i) for i in range(20))),
    "odd_ops": (odd_ops, [*SQUARE, ("B", H), (5, H)], lambda h: h),
    "backwards": (backwards, SQUARE, lambda h: h),
    "folded": (folded, SQUARE, lambda h: mg.stack([h, h * 0.5, h * 0.2], axis=1)),
}
