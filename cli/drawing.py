"""A recurrence drawn with lines: rolled up, with the arrow of its carry, and some steps of it laid out.

Pure functions from names and equations to lines of text.
"""

from collections.abc import Sequence

LEAST = 12  # characters of an equation that must be seen
MOST, FEW = 16, 8  # characters of names beside an arrow, and in a narrow terminal
NARROW = 60


def rolled(lines: Sequence[str], xs: str, carry: Sequence[str], made: Sequence[str], ys: str, width: int) -> list[str]:
    """The step in a frame, T times, and the way of what it hands on.

    x ─▶ ┌──────────────────┐ ─▶ y
         │ h' = tanh(W x)   │
    h ─▶ └──────────────────┘ ─▶ h'
    ▲             × T            │
    └────────────────────────────┘
    """
    most = MOST if width >= NARROW else FEW
    old, new = short(carry, "carry", most), short(made, "carry'", most)
    left, right = max(len(xs), len(old)), max(len(ys), len(new))
    room = max(min(max(map(len, lines)), width - left - right - 14), LEAST)
    inside = [line if len(line) <= room else f"{line[: room - 1]}…" for line in lines]
    margin = " " * (left + 4)
    drawn = [f"{xs.rjust(left)} ─▶ ┌{'─' * (room + 2)}┐" + (f" ─▶ {ys}" if ys else "")]
    drawn += [f"{margin}│ {line.ljust(room)} │" for line in inside]
    drawn += [f"{old.rjust(left)} ─▶ └{'─' * (room + 2)}┘ ─▶ {new}"]
    at, end = left - 1 - len(old) // 2, left + room + 12 + len(new) // 2
    middle = (at + end) // 2 - 1
    drawn += [f"{' ' * at}▲{'× T'.center(2 * (middle - at)):{end - at - 1}}│"]
    drawn += [f"{' ' * at}└{'─' * (end - at - 1)}┘"]
    return drawn


def unrolled(name: str, xs: str, carry: Sequence[str], ys: str, width: int) -> list[str]:
    """As many of three steps as there is room for, side by side, and the gradient's way back under them."""
    handed = short(carry, "carry", MOST if width >= NARROW else FEW)
    cell, arrow = f"[{name}]", f" ─ {handed} ─▶ "
    start = f"{handed} ─▶ "
    steps = min(3, max(1, (width - len(start) - len(arrow)) // (len(cell) + len(arrow))))
    middle = [len(start) + i * (len(cell) + len(arrow)) + len(cell) // 2 for i in range(steps)]

    def marks(texts: Sequence[str]) -> str:
        line = ""
        for at, text in zip(middle, texts, strict=True):
            line = line.ljust(at - len(text) // 2) + text
        return line

    lines = [marks([f"{ys}_{i + 1}" for i in range(steps)]), marks(["▲"] * steps)] if ys else []
    lines.append(start + (cell + arrow) * steps + "…")
    lines += [marks(["▲"] * steps), marks([f"{xs}_{i + 1}" for i in range(steps)])]
    back = f"◀{'─' * (len(start) - 2)}".ljust(len(start) + (len(cell) + len(arrow)) * steps, "─")
    return [*lines, f"{back} dL/d({handed})" if len(back) + len(handed) + 7 <= width else back]


def tree(modules: Sequence[tuple[int, str, Sequence[tuple[str, Sequence[int]]]]]) -> list[str]:
    """Modules as (depth, title, own weights with their shapes), indented by their depth."""
    lines = []
    for depth, title, weights in modules:
        lines.append("  " * depth + title)
        lines += [f"{'  ' * depth}    {name} {list(shape)}" for name, shape in weights]
    return lines


def short(names: Sequence[str], instead: str, most: int = MOST) -> str:
    """The names in one line; of many, the word for all of them."""
    text = ", ".join(names)
    return text if len(text) <= most else instead
