"""A step's graph as the equations that a paper would print.

Imports `graph` and the floors below. A value that the cell gives no name and uses once stands within its reader; the
notation of an op is its loop expression.

    gates = weight_ih x + bias_ih + weight_hh h + bias_hh
    i, f, g, o = split(gates)
    c' = σ(f) · c + σ(i) · tanh(g)
"""

from collections import Counter

from minigrad.ir.graph import Atom, Equation, Graph, Variable, atom_name

WHOLE, PRODUCT, SUM, REST = 3, 2, 1, 0  # how tightly a notation holds together
WORDS = {"sigmoid": "σ", "np.": "", " * ": " · "}


def equations(graph: Graph) -> list[str]:
    """One line for each value that has a name, is used more than once, or is a result."""
    uses = Counter(a for e in graph.equations for a in e.inputs if isinstance(a, Variable))
    results = {a for a in graph.outs if isinstance(a, Variable)}
    inside: dict[Variable, tuple[str, int]] = {}
    lines = []
    for e in graph.equations:
        text, level = _written(e, inside)
        out = e.outs[0]
        if len(e.outs) == 1 and uses[out] == 1 and not out.is_named and out not in results:
            inside[out] = text, level
        else:
            lines.append(f"{', '.join(v.name for v in e.outs)} = {text}")
    for name, atom in zip(graph.results, graph.outs, strict=True):
        if atom_name(atom) != name:
            lines.append(f"{name} = {atom_name(atom)}")
    return lines


def _written(e: Equation, inside: dict[Variable, tuple[str, int]]) -> tuple[str, int]:
    """The right-hand side, and how tightly it holds together."""

    def part(atom: Atom, least: int) -> str:
        text, level = inside.get(atom, (atom.name, WHOLE)) if isinstance(atom, Variable) else (repr(atom), WHOLE)
        return text if level >= least else f"({text})"

    if e.op.name == "linear":
        product = f"{part(e.inputs[1], WHOLE)} {part(e.inputs[0], WHOLE)}"
        return (f"{product} + {part(e.inputs[2], SUM)}", SUM) if len(e.inputs) > 2 else (product, PRODUCT)
    if e.op.name == "matmul":
        return f"{part(e.inputs[0], PRODUCT)} @ {part(e.inputs[1], WHOLE)}", PRODUCT
    if not e.op.loop:
        inputs = ", ".join(part(a, REST) for a in e.inputs)
        return f"{e.op.name}({inputs})", WHOLE
    template = e.op.loop
    for word, sign in WORDS.items():
        template = template.replace(word, sign)
    infix = {" + ": SUM, " - ": SUM, " · ": PRODUCT, " / ": PRODUCT, "-{0}": PRODUCT}
    level = next((level for sign, level in infix.items() if sign in template), WHOLE if "(" in template else REST)
    if template == "{0}":
        return inside.get(e.inputs[0], (atom_name(e.inputs[0]), WHOLE))
    strict = {" - ": SUM + 1, " / ": PRODUCT + 1}  # a - (b - c)
    least = [level if level in (SUM, PRODUCT) else REST] * len(e.inputs)
    if len(least) > 1:
        least[1] = next((n for sign, n in strict.items() if sign in template), least[1])
    return template.format(*map(part, e.inputs, least), t="", f=""), level
