"""Cells drawn at random over the whole op table, as text: `python tests/random_cells.py COUNT [FIRST]` runs many.

A drawn cell is Python that calls `xp`, which is minigrad or, in `torch_xp.py`, PyTorch. Values of a step are [B, ...],
floats, integers or booleans; weights have no batch, or a batch of rows. Every op keeps its floats within a few units,
away from kinks, so that seven steps stay finite.
"""

from dataclasses import dataclass, field
from math import prod

import numpy as np

FLOAT, INT, BOOL = "f", "i", "b"
SIZES = (1, 2, 3, 4)


@dataclass(frozen=True)
class V:
    """A value of the text: its name, shape without the batch, kind, and whether it has a batch."""

    name: str
    inner: tuple[int, ...]
    kind: str = FLOAT
    rows: bool = True

    @property
    def ndim(self) -> int:
        return len(self.inner) + self.rows


@dataclass
class Cell:
    """A drawn cell: its text, what it takes, and how its carry and xs are nested."""

    seed: int
    lines: list[str] = field(default_factory=list)
    weights: list[V] = field(default_factory=list)
    carry: list[V] = field(default_factory=list)
    xs: list[V] = field(default_factory=list)
    nests: tuple[str, str] = ("{}", "{}")

    @property
    def text(self) -> str:
        return "\n".join(["def cell(carry, x):", *(f"    {line}" for line in self.lines)])


UNARY = """tanh({0})  sigmoid({0})  sin({0})  cos({0})  exp(-abs({0}))  expm1(tanh({0}))  log1p(square({0}))  log(abs({0})+0.5)
sqrt(abs({0})+0.5)  relu({0})  softplus({0})  gelu({0})  silu({0})  elu({0})  leaky_relu({0})  erf({0})  square({0})*0.3  negative({0})
reciprocal(1+square({0}))  tan(tanh({0})*0.5)  floor({0}*2.0)*0.3  sign({0}+0.1)  stop_gradient({0})  clip({0},-0.4,0.6)  logaddexp({0},0.3)
1-{0}  {0}*0.5  0.7-{0}*{0}  {0}**2*0.4  (abs({0})+0.5)**-1  tanh({0})**3  log_sigmoid({0})""".split()
BINARY = """{0}+{1}  {0}-{1}  {0}*tanh({1})  {0}/(1+square({1}))  maximum({0},{1})  minimum({0},{1})  logaddexp({0},{1})
pow(abs(tanh({0}))+0.5,tanh({1}))  remainder({0},1.5+square({1}))  where({0}>{1},{0},tanh({1}))  {0}*sigmoid({1})
floor_divide({0},1.5+square({1}))*0.3""".split()
COMPARE = ["{0}>{1}", "{0}<={1}", "less({0},{1})", "not_equal({0},{1})", "equal({0},{1})", "greater_equal({0},{1})"]


class Drawing:
    """One cell in the making."""

    def __init__(self, seed: int) -> None:
        self.rng, self.cell = np.random.default_rng(seed), Cell(seed)
        self.pool: list[V] = []
        self.count = 0

    # --- choosing ---

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def value(self, kind: str = FLOAT, least: int = 0, most: int = 3) -> V | None:
        """A value that is there, the newest ones more often."""
        some = [v for v in self.pool if v.kind == kind and v.rows and least <= len(v.inner) <= most]
        return some[-1 - int(len(some) * self.rng.random() ** 1.6)] if some else None

    def shape(self, least: int = 1, most: int = 3) -> tuple[int, ...]:
        return tuple(self.pick(SIZES) for _ in range(int(self.rng.integers(least, most + 1))))

    def weight(self, inner: tuple[int, ...], rows: bool = False) -> V:
        """A weight of that shape, an old one if there is one."""
        old = [w for w in self.cell.weights if w.inner == inner and w.rows == rows]
        if old and self.chance(0.6):
            return self.pick(old)
        made = V(f"w{len(self.cell.weights)}", inner, FLOAT, rows)
        self.cell.weights.append(made)
        return made

    def derived(self, inner: tuple[int, ...], rows: bool = False) -> V:
        """A weight, or what a few ops make of one."""
        w = self.weight(inner, rows)
        if not inner or self.chance(0.7):
            return w
        text = self.pick(
            ["xp.tanh({0})", "{0} * 0.5 + 0.1", "xp.softmax({0}, axis=-1)", "xp.flip({0}, axis=-1)", "xp.roll({0}, 1, axis=-1)",
             f"xp.concat([{{0}}, {{0}}], axis=-1)[..., :{inner[-1]}]", "xp.where({0} > 0.1, {0}, 0.1)",
             "xp.broadcast_to(xp.max({0}, axis=-1, keepdims=True), {0}.shape)", "{0} - xp.mean({0}, axis=-1, keepdims=True)"]
        )  # fmt: skip
        made = V(f"c{self.count}", inner, FLOAT, rows)
        self.count += 1
        self.cell.lines.append(f"{made.name} = {text.format(w.name)}")
        return made

    def put(self, text: str, inner: tuple[int, ...], kind: str = FLOAT) -> V:
        """A line that makes a value."""
        if prod(inner) > 200:
            return self.pool[-1]
        made = V(f"v{self.count}", tuple(inner), kind)
        self.count += 1
        self.cell.lines.append(f"{made.name} = {text}")
        self.pool.append(made)
        return made

    def call(self, template: str, *inputs: V) -> str:
        """The template with `xp.` before each function."""
        import re

        text = re.sub(r"\b([a-z_0-9]+)\(", r"xp.\1(", template)
        return text.format(*(v.name for v in inputs))

    def axis(self, v: V) -> tuple[int, int]:
        """An axis within a row: as a call names it, and within `inner`."""
        a = int(self.rng.integers(len(v.inner)))
        return (a + 1 if self.chance(0.5) else a - len(v.inner)), a

    # --- one line each ---

    def unary(self) -> None:
        if v := self.value():
            self.put(self.call(self.pick(UNARY), v), v.inner)

    def beside(self, v: V) -> V:
        """Something that broadcasts against a value: another of its shape or of ones, or a weight."""
        same = [u for u in self.pool if u.kind == FLOAT and u.inner == v.inner]
        ways = self.rng.random()
        if ways < 0.45:
            return self.pick(same)
        if ways < 0.6:
            thin = [u for u in self.pool if u.kind == FLOAT and len(u.inner) == len(v.inner)
                    and all(a in (1, b) for a, b in zip(u.inner, v.inner, strict=True))]  # fmt: skip
            return self.pick(thin)
        if ways < 0.75:
            return self.derived(tuple(n if self.chance(0.8) else 1 for n in v.inner), rows=True)
        start = int(self.rng.integers(len(v.inner) + 1))
        return self.derived(tuple(n if self.chance(0.8) else 1 for n in v.inner[start:]))

    def binary(self) -> None:
        if v := self.value():
            pair = [v, self.beside(v)]
            if self.chance(0.3):
                pair.reverse()
            self.put(self.call(self.pick(BINARY), *pair), v.inner)

    def compare(self) -> None:
        if v := self.value():
            other = self.beside(v)
            made = self.put(self.call(self.pick(COMPARE), v, other), v.inner, BOOL)
            if self.chance(0.6) and made.kind == BOOL:
                self.put(f"xp.where({made.name}, {v.name}, {self.pick([other.name, '0.25', '-1.0'])})", v.inner)

    def logical(self) -> None:
        if v := self.value(BOOL):
            other = self.pick([u for u in self.pool if u.kind == BOOL and u.inner == v.inner])
            text = self.pick(["logical_and({0},{1})", "logical_or({0},{1})", "logical_not({0})", "{0}&{1}", "~{0}"])
            self.put(self.call(text, v, other), v.inner, BOOL)

    def cast(self) -> None:
        kind = self.pick([FLOAT, INT, BOOL])
        if v := self.value(kind):
            if kind == FLOAT:
                self.put(f"xp.astype(xp.tanh({v.name}) * 3.0, 'int64')", v.inner, INT)
            elif self.chance(0.7):
                self.put(f"xp.astype({v.name}, 'float') * 0.2", v.inner)
            elif kind == BOOL:
                self.put(f"xp.astype({v.name}, 'int64')", v.inner, INT)

    def integers(self) -> None:
        if v := self.value(INT):
            other = self.pick([u for u in self.pool if u.kind == INT and u.inner == v.inner])
            text = self.pick(
                ["({0} + {1}) % 5", "{0} * 2 - {1}", "({0} - 1) // 2", "-{0} % 7", "xp.where({0} > {1}, {0}, 1)"]
            )
            self.put(f"({text.format(v.name, other.name)}) % 9", v.inner, INT)

    def reduction(self) -> None:
        if v := self.value(self.pick([FLOAT, FLOAT, FLOAT, INT, BOOL]), least=1):
            said, a = self.axis(v)
            keep = self.chance(0.5)
            inner = tuple(1 if i == a and keep else n for i, n in enumerate(v.inner) if i != a or keep)
            several = len(v.inner) > 1 and self.chance(0.25)
            if several:
                said, inner = tuple(range(1, v.ndim)), (1,) * len(v.inner) if keep else ()
            if v.kind == BOOL:
                self.put(f"xp.{self.pick(['all', 'any'])}({v.name}, axis={said}, keepdims={keep})", inner, BOOL)
            elif v.kind == INT:
                self.put(f"xp.sum({v.name}, axis={said}, keepdims={keep}) % 5", inner, INT)
            else:
                name = self.pick(["sum", "mean", "max", "min", "var", "prod", "logsumexp"])
                x = f"xp.tanh({v.name})" if name in ("sum", "prod", "logsumexp") else v.name
                self.put(f"xp.{name}({x}, axis={said}, keepdims={keep})", inner)

    def along(self) -> None:
        if v := self.value(least=1):
            said, a = self.axis(v)
            way = self.rng.random()
            if way < 0.6:
                self.put(f"xp.{self.pick(['softmax', 'log_softmax'])}({v.name}, axis={said}) * 0.5", v.inner)
            elif way < 0.8:
                self.put(f"xp.cumulative_sum({v.name}, axis={said}) * 0.4", v.inner)
            else:
                inner = tuple(n for i, n in enumerate(v.inner) if i != a)
                self.put(f"xp.{self.pick(['argmax', 'argmin'])}({v.name}, axis={said})", inner, INT)

    def product(self) -> None:
        if v := self.value(least=1):
            n, m = v.inner[-1], self.pick(SIZES)
            m = n if self.chance(0.3) else m  # so that one weight serves as it is and turned
            way = self.rng.random()
            inner = (*v.inner[:-1], m)
            if way < 0.4:
                self.put(f"xp.tanh({v.name} @ {self.derived((n, m)).name})", inner)
            elif way < 0.7:
                bias = f", {self.weight((m,)).name}" if self.chance(0.5) else ""
                self.put(f"xp.linear({v.name}, {self.derived((m, n)).name}{bias}) * 0.6", inner)
            elif way < 0.8:
                letters = "bstij"[: v.ndim - 1] + "k"
                self.put(
                    f"xp.einsum('{letters},kz->{letters[:-1]}z', {v.name}, {self.weight((n, m)).name}) * 0.6", inner
                )
            elif way < 0.9:
                same = self.pick([u for u in self.pool if u.kind == FLOAT and u.inner == v.inner])
                letters = "bsti"[: v.ndim - 1] + "k"
                self.put(
                    f"xp.tanh(xp.einsum('{letters},{letters}->{letters[:-1]}', {v.name}, {same.name}))", v.inner[:-1]
                )
            elif len(v.inner) == 2:
                self.put(f"xp.tanh({v.name} @ xp.permute_dims({v.name}, (0, 2, 1)))", (v.inner[0], v.inner[0]))

    def shaped(self) -> None:
        if not (v := self.value(self.pick([FLOAT, FLOAT, FLOAT, INT]), least=1)):
            return
        x, inner, kind = v.name, v.inner, v.kind
        said, a = self.axis(v)
        way = self.pick(
            "reshape permute expand broadcast flip roll stack concat split unstack batch triangle repeat".split()
        )
        if way == "reshape":
            other = self.pick([(prod(inner),), (1, *inner), (*inner, 1), (inner[0], prod(inner[1:]))])
            self.put(f"xp.reshape({x}, (-1, {', '.join(map(str, other))}))" if self.chance(0.3) and prod(other)
                     else f"xp.reshape({x}, ({x}.shape[0], {', '.join(map(str, other))}))", other, kind)  # fmt: skip
        elif way == "permute":
            order = [int(i) for i in self.rng.permutation(len(inner))]
            self.put(f"xp.permute_dims({x}, {(0, *(i + 1 for i in order))})", tuple(inner[i] for i in order), kind)
        elif way == "expand" and len(inner) < 3:
            self.put(f"xp.expand_dims({x}, {a + 1})", (*inner[:a], 1, *inner[a:]), kind)
        elif way == "broadcast" and len(inner) < 3:
            n = self.pick(SIZES)
            self.put(
                f"xp.broadcast_to(xp.expand_dims({x}, 1), ({x}.shape[0], {n}, {', '.join(map(str, inner))}))",
                (n, *inner),
                kind,
            )
        elif way == "flip":
            self.put(f"xp.flip({x}, axis={said})", inner, kind)
        elif way == "roll":
            self.put(f"xp.roll({x}, {int(self.rng.integers(-2, 3))}, axis={said})", inner, kind)
        elif way == "stack" and len(inner) < 3:
            other = self.pick([u for u in self.pool if u.kind == kind and u.inner == inner])
            self.put(f"xp.stack([{x}, {other.name}], axis={a + 1})", (*inner[:a], 2, *inner[a:]), kind)
        elif way == "concat":
            some = [u for u in self.pool if u.kind == kind and len(u.inner) == len(inner)
                    and all(m == n or i == a for i, (m, n) in enumerate(zip(u.inner, inner, strict=True)))]  # fmt: skip
            other = self.pick(some)
            self.put(
                f"xp.concat([{x}, {other.name}], axis={said})",
                (*inner[:a], inner[a] + other.inner[a], *inner[a + 1 :]),
                kind,
            )
        elif way == "split" and inner[a] > 1:
            cut = int(self.rng.integers(1, inner[a]))
            k = self.pick((0, 1))
            size = cut if k == 0 else inner[a] - cut
            self.put(f"xp.split({x}, [{cut}], axis={said})[{k}]", (*inner[:a], size, *inner[a + 1 :]), kind)
        elif way == "unstack":
            self.put(f"xp.unstack({x}, axis={said})[{self.pick((0, -1))}]", (*inner[:a], *inner[a + 1 :]), kind)
        elif way == "batch" and kind == FLOAT:
            there = tuple(range(1, v.ndim))
            self.put(
                f"xp.permute_dims(xp.tanh(xp.permute_dims({x}, {(*there, 0)})), {(v.ndim - 1, *range(v.ndim - 1))})",
                inner,
            )
        elif way == "triangle" and len(inner) > 1 and kind == FLOAT:
            self.put(f"xp.{self.pick(['tril', 'triu'])}({x}, {self.pick((-1, 0, 1))})", inner)
        elif way == "repeat":
            self.put(f"xp.repeat({x}, 2, axis={said})", (*inner[:a], 2 * inner[a], *inner[a + 1 :]), kind)

    def index(self) -> None:
        if not (v := self.value(self.pick([FLOAT, FLOAT, FLOAT, INT, BOOL]), least=1)):
            return
        x, inner, kind, n = v.name, v.inner, v.kind, v.inner[-1]
        first = inner[0]
        way = self.pick(range(9))
        if way == 0 and n > 1:
            self.put(f"{x}[..., 1:]", (*inner[:-1], n - 1), kind)
        elif way == 1:
            self.put(f"{x}[:, ::2]", ((first + 1) // 2, *inner[1:]), kind)
        elif way == 2:
            self.put(f"xp.flip({x}, axis=1)[:, :{first}]", inner, kind)
        elif way == 3:
            self.put(f"{x}[..., {self.pick((0, -1))}]", inner[:-1], kind)
        elif way == 4 and len(inner) < 3:
            self.put(f"{x}[:, None]", (1, *inner), kind)
        elif way == 5:
            self.put(f"{x}[:, {self.pick((0, -1))}]", inner[1:], kind)
        elif way == 6:
            picked = [int(i) for i in self.rng.integers(0, n, 3)]
            self.put(f"xp.take({x}, xp.ints({picked}), axis=-1)", (*inner[:-1], 3), kind)
        elif way == 7 and n > 1:
            self.put(
                f"{x}[..., 0:{n}:{n - 1 or 1}]" if n > 2 else f"{x}[..., :-1]",
                (*inner[:-1], 2 if n > 2 else n - 1),
                kind,
            )
        elif way == 8 and kind == FLOAT:
            lead = ", ".join([":"] + [str(self.pick((0, -1)))] * (len(inner) - 1))
            self.put(f"{x}[{lead}, :]" if len(inner) > 1 else f"{x}[:, :]", inner[-1:], kind)

    def lookup(self) -> None:
        if v := self.value(INT, most=2):
            rows, width = self.pick((5, 9)), self.pick(SIZES)
            way = self.rng.random()
            if way < 0.1 and len(v.inner) < 2:
                table = self.weight((rows, width, self.pick(SIZES)))
                self.put(f"{table.name}[{v.name} % {rows}]", (*v.inner, *table.inner[1:]))
            elif way < 0.5:
                table = self.weight((rows, width))
                self.put(f"{table.name}[{v.name} % {rows}]" if self.chance(0.5) else f"xp.take({table.name}, {v.name} % {rows}, axis=0)",
                         (*v.inner, width))  # fmt: skip
            elif way < 0.75:
                self.put(f"xp.one_hot({v.name} % {width}, {width})", (*v.inner, width), "o")
                self.pool.pop()
                self.put(f"xp.astype(v{self.count - 1}, 'float') * 0.5", (*v.inner, width))
            elif len(v.inner) == 1:
                source = [u for u in self.pool if u.kind == FLOAT and len(u.inner) == 1]
                if source:
                    u = self.pick(source)
                    self.put(f"xp.take_along_axis({u.name}, {v.name} % {u.inner[0]}, axis=1)", v.inner)

    def fresh(self) -> None:
        """An array that the step makes itself, beside a value."""
        if v := self.value(least=1):
            sizes = ", ".join(map(str, v.inner))
            text = self.pick(
                ["xp.ones(({0}.shape[0], {1}))", "xp.full(({0}.shape[0], {1}), 0.3)", "xp.zeros_like({0})"]
            )
            self.put(f"{v.name} * 0.8 - xp.astype({text.format(v.name, sizes)}, 'float')", v.inner)

    def nested(self) -> None:
        if v := self.value(least=2, most=2):
            steps, n = v.inner
            h = self.weight((n,), rows=True)
            w = self.weight((n, n))
            inner = f"lambda h, z: (xp.tanh(h @ {w.name} + z), h * z)"
            self.cell.lines.append(f"last, some = xp.scan({inner}, {h.name}, xp.permute_dims({v.name}, (1, 0, 2)))")
            self.put("last", (n,))
            if self.chance(0.5):
                self.put("xp.permute_dims(some, (1, 0, 2))", (steps, n))

    # --- all of it ---

    def leaf(self, i: int, of: str) -> V:
        kind = FLOAT if i == 0 or self.chance(0.75) else self.pick([INT, BOOL])
        return V(f"{of}{i}", self.shape(0 if i and self.chance(0.2) else 1), kind)

    def draw(self) -> Cell:
        cell = self.cell
        cell.carry = [self.leaf(i, "h") for i in range(int(self.rng.integers(1, 4)))]
        cell.xs = [self.leaf(i, "x") for i in range(int(self.rng.integers(1, 4)))]
        cell.nests = self.nest(len(cell.carry)), self.nest(len(cell.xs))
        for nest, leaves, name in zip(cell.nests, (cell.carry, cell.xs), ("carry", "x"), strict=True):
            cell.lines.append(f"{nest.format(*(v.name for v in leaves))} = {name}" if "{{" not in nest else
                              f"{', '.join(v.name for v in leaves)}, = {', '.join(f'{name}[{k!r}]' for k in 'abc'[: len(leaves)])},")  # fmt: skip
        self.pool = [*cell.carry, *cell.xs]
        ways = [self.unary] * 4 + [self.binary] * 5 + [self.product] * 3 + [self.shaped] * 3 + [self.index] * 3
        ways += [
            self.compare,
            self.logical,
            self.cast,
            self.integers,
            self.reduction,
            self.reduction,
            self.fresh,
            self.along,
            self.lookup,
        ]
        for _ in range(int(self.rng.integers(2, 16))):
            self.pick(ways)()
            if self.chance(0.01):
                self.nested()
        body = "\n".join(cell.lines)
        ends = [
            v for v in self.pool if body.count(v.name + " ") + body.count(v.name + ",") + body.count(v.name + ")") < 2
        ]
        made = [self.fitting(v, ends) for v in cell.carry]
        ys = [
            self.pick(ends if ends and self.chance(0.8) else self.pool).name
            for _ in range(int(self.rng.integers(0, 4)))
        ]
        if self.chance(0.1):
            ys.append(self.weight(self.shape(), rows=True).name)
        y = "None" if not ys else ys[0] if len(ys) == 1 and self.chance(0.5) else f"({', '.join(ys)},)"
        nest = cell.nests[0]
        carry = nest.format(*made)
        cell.lines.append(f"return {carry}, {y}")
        return cell

    def nest(self, n: int) -> str:
        way = self.rng.random()
        if n == 1 and way < 0.6:
            return "{}"
        if way < 0.3:
            return "{{" + ", ".join(f"'{k}': {{}}" for k in "abc"[:n]) + "}}"
        if n > 1 and way < 0.6:
            return "({}, (" + "{}, " * (n - 1) + "))"
        return "(" + "{}, " * n + ")"

    def fitting(self, v: V, ends: list[V]) -> str:
        """What goes to the next step in a leaf's place: a value of its type, often with something of another one."""
        far = [u for u in ends if u.kind == FLOAT and u.inner]
        if v.kind == FLOAT and far and self.chance(0.5):
            u = self.pick(far)
            part = f"xp.mean({u.name}, axis={tuple(range(1, u.ndim))})"
            part = f"xp.reshape({part}, ({u.name}.shape[0], {', '.join('1' for _ in v.inner)}))" if v.inner else part
            return f"xp.tanh({v.name} * 0.7 + {part})"
        same = [u for u in self.pool[::-1] if u.kind == v.kind and u.inner == v.inner]
        found = self.pick(same[: 1 + len(same) // 2])
        if v.kind != FLOAT or found in self.cell.carry:
            return found.name
        if self.chance(0.5):
            return f"xp.tanh({found.name})"
        return f"{v.name} * 0.5 + xp.tanh({found.name})" if self.chance(0.7) else f"xp.sin({found.name} + {v.name})"


def draw(seed: int) -> Cell:
    """The cell of a seed."""
    return Drawing(seed).draw()
