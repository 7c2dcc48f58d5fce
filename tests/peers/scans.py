"""Programs of scans, said once: `m` is minigrad or JAX, whose functions have the same names (the array API's).

T steps, B = 2 rows, D = 2 inputs, H = 3 units, S = 4 symbols, C = 9 gates. `@scan_program("BH TBD")` gives a program
arrays of these shapes; `iTB` are integers from 0 to 2, `bTB` booleans.
"""

from collections.abc import Callable
from typing import Any

PROGRAMS: dict[str, tuple[Callable[..., Any], str]] = {}
RNN = "BH TBD DH HH"


def scan_program(shapes: str) -> Callable[..., Any]:
    """Put a program into the table, under its function's name."""

    def enter(program: Callable[..., Any]) -> Callable[..., Any]:
        assert program.__name__ not in PROGRAMS
        PROGRAMS[program.__name__] = program, shapes
        return program

    return enter


# --- what the carry is --------------------------------------------------------------------------------------------


@scan_program(RNN)
def elman(m, h, xs, w, u):
    def cell(h, x):
        h = m.tanh(x @ w + h @ u)
        return h, h

    return m.scan(cell, h, xs)


@scan_program("BH BH TBD DH HH")
def pair(m, h, c, xs, w, u):
    def cell(carry, x):
        h, c = carry
        c = m.sigmoid(h @ u) * c + m.tanh(x @ w)
        return (m.tanh(c), c), h

    return m.scan(cell, (h, c), xs)


@scan_program("BH BH TBD DH HH")
def dictionary(m, h, c, xs, w, u):
    def cell(carry, x):
        c = m.tanh(carry["z"] @ u) + carry["a"] * 0.5
        return {"z": m.sin(x @ w + c), "a": c}, {"y": c, "b": carry["z"]}

    return m.scan(cell, {"z": h, "a": c}, xs)


@scan_program("BH BH BD TBD DH HH")
def nested_carry(m, h, c, d, xs, w, u):
    def cell(carry, x):
        (h,), rest = carry["h"], carry["rest"]
        d = m.tanh(x + rest[0]["d"])
        c = rest[1] * 0.9 + h @ u
        return {"h": (m.tanh(c + d @ w),), "rest": [{"d": d}, c]}, (h, [d])

    return m.scan(cell, {"h": (h,), "rest": [{"d": d}, c]}, xs)


@scan_program("TBD DH")
def no_carry(m, xs, w):
    return m.scan(lambda carry, x: (carry, m.tanh(x @ w)), (), xs)


@scan_program(" T")
def number(m, total, xs):
    return m.scan(lambda c, x: (m.sin(c) + x, c * x), total, xs)


@scan_program("B TB")
def vector(m, total, xs):
    return m.scan(lambda c, x: (m.tanh(c) * x, c + x), total, xs)


@scan_program("BHH TBH")
def matrices(m, s, xs):
    def cell(s, x):
        s = 0.8 * s + m.expand_dims(x, axis=2) * m.expand_dims(m.tanh(x), axis=1)
        return s, m.einsum("bij,bj->bi", s, x)

    return m.scan(cell, s, xs)


@scan_program("BH iB TBD DH")
def counted(m, h, n, xs, w):
    def cell(carry, x):
        h, n = carry
        h = m.tanh(h + x @ w)
        return (h, n + 1), (h, n)

    return m.scan(cell, (h, n), xs)


@scan_program("BH bB TBD DH")
def flagged(m, h, seen, xs, w):
    def cell(carry, x):
        h, seen = carry
        seen = m.logical_or(seen, x[:, 0] > 0.5)
        h = m.where(m.expand_dims(seen, axis=1), m.tanh(h + x @ w), h)
        return (h, seen), seen

    return m.scan(cell, (h, seen), xs)


@scan_program("iB BH TBD DH")
def whole_numbers(m, n, h, xs, w):
    def cell(n, x):
        return n * 2 + 1, x @ w

    return m.scan(cell, n, xs), h * 2


@scan_program("BH BH BD TBD DH HH")
def leaves_of_other_widths(m, h, c, d, xs, w, u):
    def cell(carry, x):
        h, c, d = carry
        return (m.tanh(c @ u), h * 0.5 + d @ w, d * x), d

    return m.scan(cell, (h, c, d), xs)


# --- what xs are --------------------------------------------------------------------------------------------------


@scan_program("BH TBH TBH HH")
def two_xs(m, h, xs, zs, u):
    def cell(h, x):
        a, b = x
        h = m.tanh(h @ u + a) * b
        return h, a - h

    return m.scan(cell, h, (xs, zs))


@scan_program("BH TBH TBD TB DH")
def nested_xs(m, h, xs, zs, gains, w):
    def cell(h, x):
        h = m.tanh(h + x["a"][0]) * m.expand_dims(x["gain"], axis=1) + x["a"][1]["d"] @ w
        return h, h

    return m.scan(cell, h, {"gain": gains, "a": (xs, [{"d": zs}][0])})


@scan_program("BH iTB SH HH")
def looked_up(m, h, indices, table, u):
    def cell(h, i):
        h = m.tanh(m.take(table, i, axis=0) + h @ u)
        return h, h

    return m.scan(cell, h, indices)


@scan_program("BH bTB TBH")
def resets(m, h, begins, xs):
    def cell(h, x):
        begin, x = x
        h = m.tanh(m.where(m.expand_dims(begin, axis=1), 0.0, h) + x)
        return h, h

    return m.scan(cell, h, (begins, xs))


@scan_program("BH T HH")
def numbers(m, h, xs, u):
    def cell(h, x):
        h = m.tanh(h @ u) * x
        return h, h

    return m.scan(cell, h, xs)


@scan_program("BH TH HH")
def rows_without_batch(m, h, xs, u):
    return m.scan(lambda h, x: (m.tanh(h @ u + x), h * x), h, xs)


@scan_program("BH TBHH")
def a_matrix_a_step(m, h, xs):
    def cell(h, x):
        h = m.tanh(m.einsum("bi,bij->bj", h, x))
        return h, h

    return m.scan(cell, h, xs)


@scan_program("BH iTB TBH")
def integers_beside(m, h, n, xs):
    def cell(h, x):
        n, x = x
        h = m.where(m.expand_dims(n, axis=1) > 0, h * x, h + x)
        return h, (h, n * 2)

    return m.scan(cell, h, (n, xs))


# --- one tensor in several places ---------------------------------------------------------------------------------


@scan_program("BH TBH")
def twice_as_xs(m, h, xs):
    return m.scan(lambda h, x: (m.tanh(h * x[0] + x[1]), h), h, (xs, xs))


@scan_program("BH TBH")
def three_times_as_xs(m, h, xs):
    return m.scan(lambda h, x: (m.tanh(h * x[0] + x[1]) * x[2], h), h, (xs, xs, xs))


@scan_program("BH TBH")
def twice_as_carry(m, h, xs):
    def cell(carry, x):
        a, b = carry
        return (m.tanh(a * x), m.sin(b + a)), a * b

    return m.scan(cell, (h, h), xs)


@scan_program("BB TBB")
def weight_is_carry(m, w, xs):
    return m.scan(lambda h, x: (m.tanh(h @ w + x), h * h), w, xs)


@scan_program("TBB")
def weight_and_carry_are_one_x(m, xs):
    w = m.sum(xs, axis=0)
    return m.scan(lambda h, x: (m.tanh(h @ w + x), h * h), w, xs)


@scan_program("BH TBH")
def weight_is_xs(m, h, xs):
    return m.scan(lambda h, x: (m.tanh(h * m.sum(xs, axis=0) + x), h), h, xs)


@scan_program("BH TBH HH")
def carry_is_closed_over(m, h, xs, u):
    return m.scan(lambda c, x: (m.tanh(c @ u + x) + h, c * h), h, xs)


@scan_program("BH TBH")
def carry_twice_and_closed_over(m, h, xs):
    return m.scan(lambda c, x: ((m.tanh(c[0] * x), c[1] * h + x), c[0] + h), (h, h), xs)


@scan_program("BH TBH HH")
def weight_twice(m, h, xs, u):
    return m.scan(lambda h, x: (m.tanh((h @ u) @ u + x), h), h, xs)


@scan_program("BH TBH HH")
def weight_turned(m, h, xs, u):
    return m.scan(lambda h, x: (m.tanh(h @ u + x @ m.permute_dims(u, (1, 0))), h), h, xs)


@scan_program("BH TBH")
def xs_and_a_part_of_them(m, h, xs):
    return m.scan(lambda h, x: (m.tanh(h * x[0]) + x[1], h), h, (xs, xs * 2.0))


@scan_program("BH TBH")
def xs_and_their_reverse(m, h, xs):
    return m.scan(lambda h, x: (m.tanh(h * x[0]) + x[1], h), h, (xs, m.flip(xs, axis=0)))


@scan_program("BH TBH")
def returns_one_twice(m, h, xs):
    def cell(carry, x):
        h = m.tanh(carry[0] * x + carry[1])
        return (h, h), (h, h)

    return m.scan(cell, (h, h * 0.5), xs)


@scan_program("BH TBH HH")
def two_scans_of_one(m, h, xs, u):
    def cell(h, x):
        h = m.tanh(h @ u + x)
        return h, h

    a, b = m.scan(cell, h, xs), m.scan(cell, h * 0.5, xs)
    return a, b, a[0] * b[0]
