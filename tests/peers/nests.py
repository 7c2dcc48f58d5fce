"""More programs for both: scans one after the other, and within each other's cells."""

from peers.scans import scan_program


def layer(m, w, u):
    def cell(h, x):
        h = m.tanh(x @ w + h @ u)
        return h, h

    return cell


@scan_program("BH BH TBD DH HH HH HH")
def two_layers(m, h, c, xs, w, u, v, k):
    last, ys = m.scan(layer(m, w, u), h, xs)
    return last, m.scan(layer(m, v, k), c, ys)


@scan_program("BH TBH HH HH")
def one_after_the_other(m, h, xs, w, u):
    last, ys = m.scan(layer(m, w, u), h, xs)
    return ys, m.scan(layer(m, u, w), last, xs)


@scan_program("BH TBH HH HH")
def first_carry_of_the_ys(m, h, xs, w, u):
    _, ys = m.scan(layer(m, w, u), h, xs)
    return m.scan(layer(m, w, u), m.sum(ys, axis=0), ys)


@scan_program("BH TBH HH")
def weight_from_a_scan(m, h, xs, u):
    w, _ = m.scan(lambda w, x: (m.tanh(w @ w) + m.sum(x), None), u, xs)
    return m.scan(layer(m, w, u), h, xs)


@scan_program("BH TSBD DH HH")
def inner_scan_of_x(m, h, xs, w, u):
    return m.scan(lambda h, x: (m.scan(layer(m, w, u), h, x)[0], h), h, xs)


@scan_program("BH TSBH HH")
def inner_ys_come_out(m, h, xs, u):
    def cell(h, x):
        h, ys = m.scan(lambda k, z: (m.tanh(k @ u * z), k), h, x)
        return h * 0.5, ys

    return m.scan(cell, h, xs)


@scan_program("BH TBH SHH")
def deep_transition(m, h, xs, weights):
    def cell(h, x):
        h, _ = m.scan(lambda k, w: (m.tanh(k @ w), None), h + x, weights)
        return h, h

    return m.scan(cell, h, xs)


@scan_program("BH TBH SBH")
def inner_scan_of_what_stands_outside(m, h, xs, memory):
    def cell(h, x):
        total, _ = m.scan(lambda s, key: (s + m.tanh(key * h), None), x, memory)
        return m.tanh(total), h * total

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def inner_scan_of_the_outer_xs(m, h, xs):
    def cell(h, x):
        total, _ = m.scan(lambda s, z: (m.tanh(s * z), None), h, xs)
        return total + x, total

    return m.scan(cell, h, xs)


@scan_program("BH BH TSBH")
def inner_nests(m, h, c, xs):
    def inner(carry, x):
        return {"a": m.tanh(carry["b"] * x), "b": carry["a"]}, (x, None)

    def cell(carry, x):
        made, ys = m.scan(inner, {"a": carry[0], "b": carry[1]}, x)
        return (made["b"], made["a"]), ys[0][0]

    return m.scan(cell, (h, c), xs)


@scan_program("BH TDBH")
def one_tensor_twice_within(m, h, xs):
    def cell(h, x):
        made, ys = m.scan(lambda k, z: ((m.tanh(k[0] * z[0]), k[1] * z[1]), k[0]), (h, h), (x, x))
        return made[0] + made[1], ys

    return m.scan(cell, h, xs)


@scan_program("BH TDBH HH")
def three_deep(m, h, xs, u):
    def innermost(h, x):
        return m.tanh(m.sum(m.expand_dims(h, axis=2) * u, axis=1) + x), None

    def inner(h, x):
        return m.scan(innermost, h, m.stack([x, h]))[0], x

    return m.scan(lambda h, x: m.scan(inner, h, x), h, xs)


@scan_program("BH TDBH")
def inner_scan_backwards(m, h, xs):
    def cell(h, x):
        a, ys = m.scan(lambda k, z: (m.tanh(k * z), k), h, x, reverse=True)
        return a, ys

    return m.scan(cell, h, xs)
