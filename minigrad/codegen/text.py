"""Lines of Python, names that do not clash, and how arrays and sizes are written.

Imports `places`, `plan` and the floors below.
"""

from collections import Counter
from textwrap import wrap
from typing import Any

from minigrad.codegen.places import Array, Place, Sizes
from minigrad.codegen.plan import RESERVED, Plan
from minigrad.ir.graph import Variable


class Names:
    """Names for what a text mentions, none twice; `taken` are those that mean something already."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.names: dict[Any, str] = {}

    def name(self, key: Any, wish: str) -> str:
        """The name for a value or view: the wish, or that with a number."""
        if key not in self.names:
            name, n = wish, 2
            while name in self.taken:
                name, n = f"{wish}{n}", n + 1
            self.taken.add(name)
            self.names[key] = name
        return self.names[key]


class Text(Names):
    """The body of one generated function."""

    def __init__(self, plan: Plan, size: Sizes) -> None:
        self.plan, self.size = plan, size
        self.lines: list[str] = []
        self.depth = 1
        super().__init__({*RESERVED, *(a.name for a in plan.arrays.values())})
        self.uses = Counter(v for s in plan.statements for v in s.operands if isinstance(v, Variable))

    def put(self, *lines: str) -> None:
        """Lines at the present depth."""
        self.lines += ["    " * self.depth + line for line in lines]

    def block(self, place: Place) -> str:
        """All rows of an array, at a step: `h[old]`."""
        return f"{place.array.name}[{place.at}]" if place.at else place.array.name

    def row(self, place: Place, inside: str = "") -> str:
        """One row, or a part of it: `h[old, b, 0:H]`."""
        index = [part for part in (place.at, "" if place.array.kind == "shared" else "b", inside) if part]
        return f"{place.array.name}[{', '.join(index)}]" if index else place.array.name

    def total(self, *terms: tuple[int, str]) -> str:
        """A sum of products `n letter` as text."""
        fixed = sum(n for n, letter in terms if not letter)
        parts = [self.size(fixed)] if fixed else []
        for n, letter in terms:
            size = self.size(n)
            if n and letter:
                parts.append(letter if n == 1 else f"{letter} * {f'({size})' if '*' in size else size}")
        return " + ".join(parts) or "0"


def legend(arrays: list[Array]) -> list[str]:
    """The docstring of a kernel: which arrays have which shape."""
    shapes = {
        "carry": "around each step  [T + 1, B, ·]",
        "swap": "from step to step [2, B, ·]    ",
        "time": "of each step      [T, B, ·]    ",
        "row": "of one step       [B, ·]       ",
        "sum": "summed over steps [B, ·]       ",
        "shared": "of all rows       [·]          ",
        "weight": "panels of         [·, ·]       ",
    }
    lines = []
    for kind, shape in shapes.items():
        names = ", ".join(a.name for a in arrays if a.kind == kind)
        if names:
            lines += wrap(names, 119, initial_indent=f"    {shape} ", subsequent_indent=" " * 36)
    return ['    """' + lines[0].strip(), *lines[1:], '    """'] if lines else []


def signature(name: str, arguments: list[str]) -> str:
    """The head of a function, in lines that are not too long."""
    lines, line = [], f"def {name}("
    for i, argument in enumerate(arguments):
        piece = argument + (", " if i < len(arguments) - 1 else "):")
        if len(line) + len(piece) > 119:
            lines.append(line.rstrip())
            line = " " * len(f"def {name}(")
        line += piece
    return "\n".join([*lines, line])
