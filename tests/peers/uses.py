"""Programs for both, asked in two ways only: what becomes of the results, other sizes, and more functions in a cell.

Z = 0, U = 1, L = 5 rows, W = 17 units.
"""

from typing import Any, NamedTuple

from peers.nests import layer
from peers.scans import scan_program

# --- what becomes of the results ----------------------------------------------------------------------------------


@scan_program("BH TBD DH HH")
def last_carry_alone(m, h, xs, w, u):
    return m.scan(layer(m, w, u), h, xs)[0]


@scan_program("BH TBD DH HH")
def ys_alone(m, h, xs, w, u):
    return m.scan(layer(m, w, u), h, xs)[1]


@scan_program("BH TBD DH HH")
def last_y_alone(m, h, xs, w, u):
    return m.scan(layer(m, w, u), h, xs)[1][-1]


@scan_program("BH TBH")
def one_of_three_ys(m, h, xs):
    def cell(h, x):
        h = m.tanh(h * x)
        return h, {"a": h * 2, "b": m.sin(x), "c": (h * h,)}

    return m.scan(cell, h, xs)[1]["c"][0]


@scan_program("BH BH TBH")
def one_of_two_carries(m, h, c, xs):
    return m.scan(lambda k, x: ((m.tanh(k[0] * x), k[1] + k[0]), None), (h, c), xs)[0][0]


@scan_program("BH TBH")
def result_with_itself(m, h, xs):
    last, ys = m.scan(lambda h, x: (m.tanh(h * x), h + x), h, xs)
    return m.sum(ys * last, axis=0) * m.sum(ys * ys)


@scan_program("TBH HH")
def first_carry_of_a_weight(m, xs, u):
    return m.scan(lambda h, x: (m.tanh(h @ u + x), h), m.sin(u)[:2], xs)


@scan_program("BH iTB SD DH")
def xs_of_a_table(m, h, indices, table, w):
    return m.scan(lambda h, x: (m.tanh(h + x @ w), h), h, m.take(table, indices, axis=0))


@scan_program("BH TBH")
def stopped_before_and_after(m, h, xs):
    last, ys = m.scan(lambda h, x: (m.tanh(h * x), h), m.stop_gradient(h), xs)
    return m.stop_gradient(last) * ys * xs


@scan_program("BH TBH HH")
def cut_in_two(m, h, xs, u):
    cell = lambda h, x: (m.tanh(h @ u + x), h)
    half = len(xs) // 2
    middle, first = m.scan(cell, h, xs[:half])
    last, second = m.scan(cell, m.stop_gradient(middle), xs[half:])
    return last, first, second


@scan_program("BH TBH TBH")
def both_directions(m, h, xs, zs):
    cell = lambda h, x: (m.tanh(h * x[0]) + x[1], h)
    forwards, backwards = m.scan(cell, h, (xs, zs))[1], m.scan(cell, h, (xs, zs), reverse=True)[1]
    return m.concat([forwards, backwards], axis=-1)


# --- nests --------------------------------------------------------------------------------------------------------


class State(NamedTuple):
    h: Any
    c: Any


@scan_program("BH BH TBH")
def named_carry(m, h, c, xs):
    def cell(state, x):
        c = m.tanh(state.h * x) + state.c * 0.5
        return State(m.sin(c), c), State(c, x)

    return m.scan(cell, State(h, c), xs)


@scan_program("BH BH TBH TBH")
def lists(m, h, c, xs, zs):
    return m.scan(lambda k, x: ([k[1] * x[0], m.tanh(k[0]) + x[1]], [k[0]]), [h, c], [xs, zs])


@scan_program("BH iB bB BD TBH")
def carry_of_all_kinds(m, h, n, seen, d, xs):
    def cell(carry, x):
        h, n, seen, d = carry["h"], carry["n"], carry["seen"], carry["d"]
        h = m.where(m.expand_dims(seen, axis=1), h * x, h + x)
        made = {"h": h, "n": n + 1, "seen": m.logical_not(seen), "d": d * m.sum(h, axis=1, keepdims=True)}
        return made, (seen, n)

    return m.scan(cell, {"h": h, "n": n, "seen": seen, "d": d}, xs)


# --- sizes --------------------------------------------------------------------------------------------------------


@scan_program("ZH TZD DH HH")
def no_rows(m, h, xs, w, u):
    return m.scan(layer(m, w, u), h, xs)


@scan_program("UH TUD DH HH")
def one_row(m, h, xs, w, u):
    return m.scan(layer(m, w, u), h, xs)


@scan_program("BU TBU UU UU")
def one_unit(m, h, xs, w, u):
    return m.scan(layer(m, w, u), h, xs)


@scan_program("LW TLU UW WW")
def wide(m, h, xs, w, u):
    return m.scan(layer(m, w, u), h, xs)


@scan_program("BZ BH TBH")
def a_leaf_of_no_size(m, empty, h, xs):
    return m.scan(lambda k, x: ((k[0], m.tanh(k[1] * x)), k[0]), (empty, h), xs)


# --- more functions -----------------------------------------------------------------------------------------------


@scan_program("BH TBH")
def reductions(m, h, xs):
    def cell(h, x):
        z = m.stack([h, x, h * x], axis=1)
        h = m.max(z, axis=1) + m.min(z, axis=1) * m.mean(z, axis=1) + m.var(z, axis=1) + m.std(z, axis=1)
        return m.tanh(h), (m.prod(h, axis=1), m.any(z > 1, axis=1), m.all(z < 2, axis=(1, 2)))

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def moves(m, h, xs):
    def cell(h, x):
        z = m.roll(h, 1, axis=1) * m.flip(x, axis=1) + m.cumulative_sum(x, axis=1)
        h = m.tanh(m.reshape(m.permute_dims(m.reshape(z, (-1, 1, 3)), (0, 2, 1)), (-1, 3)))
        return h, (m.broadcast_to(h[:, :1], h.shape), m.repeat(h, 2, axis=1), m.squeeze(h[:, :1], axis=1))

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def picks(m, h, xs):
    def cell(h, x):
        order = m.expand_dims(m.argmin(h, axis=1), axis=1)
        return m.tanh(h * x[:, [2, 0, 1]]), m.take_along_axis(x, order, axis=1) * h[:, 2:0:-1]

    return m.scan(cell, h, xs)


@scan_program("BHH TBH HH")
def products(m, s, xs, u):
    def cell(s, x):
        s = m.tanh(m.matmul(s, u) + m.expand_dims(x, axis=1))
        return s, (m.vecdot(s[:, 0], x), m.tensordot(s, u, 1), m.einsum("bij,bkj->bik", s, s))

    return m.scan(cell, s, xs)


@scan_program("BH TBH")
def across_the_batch(m, h, xs):
    def cell(h, x):
        z = h * x
        h = m.tanh(z - m.mean(z, axis=0, keepdims=True))
        return h, m.flip(h, axis=0)

    return m.scan(cell, h, xs)


@scan_program("BH iTB SH")
def arithmetic_on_indices(m, h, n, table):
    def cell(h, i):
        h = m.tanh(h * m.take(table, (i * 3 + 1) % 4, axis=0))
        return h, m.where(i == 1, i, -i)

    return m.scan(cell, h, n)


@scan_program("BH TBH")
def a_gradient_within(m, h, xs):
    def cell(w, x):
        slope = m.grad(lambda v: m.sum(m.sin(v * x) * v))(w)
        return w - 0.1 * slope, slope

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def gradient_of_a_scan(m, h, xs):
    return m.grad(lambda k: m.sum(m.scan(lambda k, x: (m.tanh(k * x), None), k, xs)[0] ** 2))(h)


@scan_program("BH TSBH")
def gradient_of_a_scan_within(m, h, xs):
    def cell(h, x):
        loss = lambda k: m.sum(m.scan(lambda k, z: (m.tanh(k * z), None), k, x)[0] ** 2)
        return h - 0.1 * m.grad(loss)(h), h

    return m.scan(cell, h, xs)
