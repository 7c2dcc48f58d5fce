"""More programs for both: what a cell gives, what it does, and rows of several lengths."""

from peers.scans import RNN, scan_program

# --- what a cell gives --------------------------------------------------------------------------------------------


@scan_program(RNN)
def no_y(m, h, xs, w, u):
    return m.scan(lambda h, x: (m.tanh(x @ w + h @ u), None), h, xs)


@scan_program(RNN)
def nest_of_ys(m, h, xs, w, u):
    def cell(h, x):
        new = m.tanh(x @ w + h @ u)
        return new, {"new": new, "old": (h, [x]), "none": None, "both": new * h}

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def ys_are_xs(m, h, xs):
    return m.scan(lambda h, x: (m.tanh(h + x), x), h, xs)


@scan_program("BH TBH BH")
def ys_are_a_weight(m, h, xs, w):
    return m.scan(lambda h, x: (m.tanh(h + x), w), h, xs)


@scan_program("BH TBH BH")
def ys_of_weights_alone(m, h, xs, w):
    return m.scan(lambda h, x: (h * x, m.tanh(w) * w), h, xs)


@scan_program("BH TBH")
def y_is_one_number(m, h, xs):
    def cell(h, x):
        h = m.tanh(h * x)
        return h, m.sum(h * h)

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def y_counts(m, h, xs):
    def cell(h, x):
        h = m.tanh(h + x)
        return h, (h > 0, m.argmax(h, axis=1))

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def one_y_twice(m, h, xs):
    def cell(h, x):
        h = m.tanh(h + x)
        return h, (h, h, h * h)

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def carry_stays(m, h, xs):
    return m.scan(lambda h, x: (h, m.tanh(h * x)), h, xs)


@scan_program("BH TBH")
def carry_becomes_x(m, h, xs):
    return m.scan(lambda h, x: (x, m.tanh(h * x)), h, xs)


@scan_program("BH TBH BH")
def carry_becomes_a_weight(m, h, xs, w):
    return m.scan(lambda h, x: (w, m.tanh(h * x) + w), h, xs)


@scan_program("BH BH BH TBH")
def carries_change_places(m, a, b, c, xs):
    return m.scan(lambda k, x: ((k[1], k[2] * x, k[0]), k[0] * k[1]), (a, b, c), xs)


@scan_program("BH TBD HH")
def ignores_x(m, h, xs, u):
    return m.scan(lambda h, _x: (m.tanh(h @ u), h * 2.0), h, xs)


@scan_program("BH TBD DH")
def ignores_its_carry(m, h, xs, w):
    return m.scan(lambda _h, x: (m.tanh(x @ w), x @ w), h, xs)


# --- what a cell does ---------------------------------------------------------------------------------------------


@scan_program("BH TBH HH")
def linear_recurrence(m, h, xs, u):
    return m.scan(lambda h, x: (h @ u + x, h), h, xs)


@scan_program("BH TBH TBH")
def diagonal_recurrence(m, h, xs, gates):
    def cell(h, x):
        a = m.sigmoid(x[1])
        h = a * h + (1 - a) * x[0]
        return h, h

    return m.scan(cell, h, (xs, gates))


@scan_program("BH TBH")
def stopped(m, h, xs):
    return m.scan(lambda h, x: (m.tanh(h * x) + m.stop_gradient(h), h * m.stop_gradient(x)), h, xs)


@scan_program("BH TBH HH")
def chosen(m, h, xs, u):
    def cell(h, x):
        a = h @ u
        h = m.where(x > 0, m.tanh(a), m.maximum(a, x) - m.minimum(h, 0.2))
        return h, m.abs(h)

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def powers_and_roots(m, h, xs):
    def cell(h, x):
        h = m.sqrt(1 + h * h) / (2 + m.cos(x)) + m.square(x) - m.log1p(m.exp(h * x))
        return h, h**3 + m.reciprocal(1 + x * x)

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def running_logsumexp(m, h, xs):
    def cell(h, x):
        h = m.logaddexp(h, x)
        return h, m.logsumexp(h, axis=1)

    return m.scan(cell, h, xs)


@scan_program("BH TBH HH")
def softmax_rows(m, h, xs, u):
    def cell(h, x):
        h = m.softmax(h @ u + x, axis=-1)
        return h, m.log_softmax(h, axis=-1)

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def normed(m, h, xs):
    def cell(h, x):
        z = h + x
        z = z - m.mean(z, axis=1, keepdims=True)
        h = z / m.sqrt(m.mean(z * z, axis=1, keepdims=True) + 0.1)
        return h, m.max(h, axis=1)

    return m.scan(cell, h, xs)


@scan_program("BH TBH")
def cut_and_joined(m, h, xs):
    def cell(h, x):
        a, b = h[:, :1], h[:, 1:]
        h = m.concat([m.tanh(b), a * x[:, ::2][:, :1]], axis=1)
        return h, m.stack([h, x], axis=1)[:, ::-1]

    return m.scan(cell, h, xs)


@scan_program("BH TBH SH")
def index_of_the_carry(m, h, xs, table):
    def cell(h, x):
        h = m.tanh(m.take(table, m.argmax(h, axis=1), axis=0) * h + x)
        return h, h

    return m.scan(cell, h, xs)


@scan_program("BH TBH BSH")
def attends(m, h, xs, memory):
    def cell(h, x):
        weights = m.softmax(m.einsum("bsh,bh->bs", memory, h), axis=-1)
        h = m.tanh(m.einsum("bsh,bs->bh", memory, weights) + x)
        return h, weights

    return m.scan(cell, h, xs)


@scan_program("B TB")
def newton(m, root, xs):
    return m.scan(lambda r, x: (0.5 * (r + (1 + x * x) / (1 + r * r)), r), root, xs)


@scan_program("BH TBH HH")
def runge_kutta(m, h, xs, u):
    def cell(h, x):
        f = lambda h: m.tanh(h @ u) + x
        a = f(h)
        b = f(h + 0.05 * a)
        return h + 0.1 * (a + b) / 2, a - b

    return m.scan(cell, h, xs)


@scan_program("BH BH TBH")
def momentum(m, w, v, xs):
    def cell(carry, x):
        w, v = carry
        v = 0.9 * v - 0.1 * (w - x) * x
        return (w + v, v), m.sum((w - x) * (w - x), axis=1)

    return m.scan(cell, (w, v), xs)


@scan_program("BH TBD CD CH C")
def gru(m, h, xs, w, u, b):
    def cell(h, x):
        of_x = m.split(x @ m.permute_dims(w, (1, 0)) + b, 3, axis=1)
        of_h = m.split(h @ m.permute_dims(u, (1, 0)), 3, axis=1)
        r, z = m.sigmoid(of_x[0] + of_h[0]), m.sigmoid(of_x[1] + of_h[1])
        h = (1 - z) * m.tanh(of_x[2] + r * of_h[2]) + z * h
        return h, h

    return m.scan(cell, h, xs)


# --- rows of several lengths --------------------------------------------------------------------------------------


@scan_program(RNN)
def of_several_lengths(m, h, xs, w, u):
    def cell(h, x):
        h = m.tanh(x @ w + h @ u)
        return h, h

    return m.scan(cell, h, xs, lengths=[len(xs), len(xs) // 2])


@scan_program("BH iB TBH")
def nests_of_several_lengths(m, h, n, xs):
    def cell(carry, x):
        h = m.tanh(carry[0] * x[0]) + x[1]
        return (h, carry[1] + 1), {"h": h, "n": carry[1], "x": x[0]}

    return m.scan(cell, (h, n), (xs, xs), lengths=[len(xs) // 2, len(xs)])


@scan_program("BH TBH")
def of_no_length(m, h, xs):
    return m.scan(lambda h, x: (m.tanh(h * x), h), h, xs, lengths=[0, 0])
