"""Halves to text: Python functions that run a program's kernels, straight from line to line with its own names.

Imports the files of its floor before it. T steps, B rows. What is decided here once costs nothing in a call, and to a
small layer calls are all: loops over lists of arrays took twice as long as the arithmetic.

    weights(*consts)      -> what the forward takes of the weights; what the backward asks for
    ahead(...)            -> all that these steps left, the last carry, ys
    weights_back(*values) -> the same for the backward; what `finish` asks for
    back(...)             -> the cotangents of the first carry, those of xs
    finish(...)           -> the gradients of the weights
"""

from collections import Counter
from typing import Any

from minigrad.arraytype import Shape
from minigrad.codegen.half import Half
from minigrad.codegen.host_text import HostText, listed
from minigrad.codegen.places import Array, Place
from minigrad.codegen.plan import VIEWS, identifier
from minigrad.ir.graph import Atom, Equation, Variable
from minigrad.ir.rows import SUMMED, TURNED
from minigrad.values import Tensor


def ahead(half: Half, consts: list[Variable], asked: list[Variable], constants: dict[str, Any]) -> str:
    """`weights` and `ahead`. consts: what a call closes over.  asked: constants that the backward asks for."""
    host = HostText(half, constants)
    for i, (v, array) in enumerate(half.lifted.items()):
        constants[host.names.setdefault(v, f"given_{i}")] = array
    products = [*half.parts.before, *half.parts.after]
    ready = host.weights("weights", consts, products, asked, "What the forward takes; what the backward asks for.")

    host.define(head := "ahead(weights, own, T, reverse, carry, xs)", "What these steps left; the last carry; ys.")
    host.unpack(ready, "weights")
    host.arrays()
    host.given(half.given, "xs")
    host.first(half.carries, "carry", "start")
    host.products(half.parts.before)
    host.loop("forward", "reverse", "False")
    for place, low, high, what in half.checks:
        host.put(f"within({host.at(place)}, {low}, {high}, {what!r})")
    host.products(half.parts.after)
    last = [f"{host.array(a)}[end].copy()" for a in half.carries]
    ys = [_apart(host, place, half.results[:i]) for i, place in enumerate(half.results)]
    host.put(f"return ({listed(map(host.array, half.left))}), ({listed(last)}), ({listed(ys)})")
    host.steps(f"def {head}:")
    return "\n".join(host.lines)


def back(half: Half, asked: dict[Variable, Variable], left: list[Array], shapes: list[Shape],
         constants: dict[str, Any]) -> str:  # fmt: skip
    """`weights_back`, `back` and `finish`. asked: constants that the forward has, by what is asked for.
    left: what its steps left.  shapes: of the gradients.
    """
    host, parts = HostText(half, constants), half.parts
    for v, known in half.graph.consts.items():
        if v not in asked:
            host.names[v] = host.literal(known.numpy() if isinstance(known, Tensor) else known)
    values = list(dict.fromkeys(asked.values()))
    host.names.update({v: host.name(value, identifier(v.name)) for v, value in asked.items()})
    late = [e for e in parts.after if parts.kinds[e.outs[0]] not in (SUMMED, TURNED)]
    at_end = list(dict.fromkeys(a for e in parts.finish for a in e.inputs if a in parts.constant))
    doc = "What the backward takes; what `finish` asks for."
    ready = host.weights("weights_back", values, [*parts.before, *late], at_end, doc)
    added = _steps_back(host, ready, left, late)
    half.added = added
    host.lines += ["", ""]
    _finish(host, at_end, added, shapes)
    return "\n".join(host.lines)


def _steps_back(host: HostText, ready: list[str], left: list[Array], late: list[Equation]) -> list[Variable]:
    """`back`; returns the gradients that it adds up in `totals`."""
    half, parts = host.half, host.half.parts
    host.define(
        head := "back(weights, own, kept, T, reverse, g_carry, g_ys, sums, totals, norms, traced, wanted)",
        "Cotangents of the carry before these steps, and of xs; those of the weights add up in sums and totals.",
    )
    host.unpack(ready, "weights")
    host.arrays()
    for arrays, source in ((left, "kept"), (half.sums, "sums"), ([n[1] for n in half.norms], "norms")):
        host.unpack([host.array(a) for a in arrays], source)
    host.given(half.given, "g_ys")
    host.first(half.carries, "g_carry", "0")
    host.products(parts.before)
    host.loop("backward", "not reverse", "traced")
    places = [(i, r) for i, r in enumerate(half.results[len(half.carries) :], len(half.carries)) if _is_place(r)]
    users = Counter(r.array for _, r in places)
    alone = {r.array: i for i, r in places if users[r.array] == 1}
    read = {a for e in parts.after for a in e.inputs}
    ends = [v for e in late for v in e.outs if v not in read]
    host.products(late, {v: alone[host.place(v).array] for v in ends if host.place(v).array in alone})
    added = _contract(host)
    g_xs = [_apart(host, r, [r for _, r in places[:k]]) for k, (_, r) in enumerate(places)]
    first = [f"{host.array(a)}[T % 2].copy()" for a in half.carries]
    host.put(f"return ({listed(first)}), ({listed(g_xs)})")
    host.steps(f"def {head}:")
    return added


def _finish(host: HostText, at_end: list[Atom], added: list[Variable], shapes: list[Shape]) -> None:
    """`finish`."""
    half, sums = host.half, host.plan.arrays
    host.define("finish(values, sums, totals)", "The gradients of the weights; None for what `back` has told.")
    host.unpack([host.value(a) for a in at_end], "values")
    host.unpack([host.array(a) for a in half.sums], "sums")
    host.unpack([host.value(v) for v in added], "totals")
    for e in half.totals:
        x = e.inputs[0]
        assert isinstance(x, Variable)
        host.put(host.call(e, [f"{host.array(sums['sum', x])}.reshape({x.shape})"]))
    for v in half.summands:
        host.put(f"{host.value(v)} = {host.array(sums['sum', v])}.reshape({v.shape})")
    for e in half.parts.finish:
        host.put(host.call(e, map(host.value, e.inputs)))
    views = {v for e in [*half.totals, *half.parts.finish] if e.op.name in (*VIEWS, "identity") for v in e.outs}
    views.update(half.summands)
    found: list[str] = []
    for result, shape in zip(half.results, shapes, strict=False):
        if result is None or _is_place(result):
            found.append("None")
            continue
        text = f"rows({host.array(result) if isinstance(result, Array) else host.value(result)}, {shape})"
        found.append(text + ".copy()" * (text in found or result in views))
    host.put(f"return ({listed(found)})")


def _contract(host: HostText) -> list[Variable]:
    """Add to the weights' gradients what these steps have for them; returns them in the order of `totals`."""
    turned: dict[Variable, Variable] = {}
    found: list[Variable] = []
    for e in host.half.parts.after:
        out = e.outs[0]
        if e.op.name == "permute_dims":
            turned[out] = e.inputs[0]
        elif e.op.name == "matmul" and e.inputs[0] in turned:
            a, b = (host.matrix(v, out.dtype) for v in (turned[e.inputs[0]], e.inputs[1]))
            host.put(f"totals[{len(found)}] = outer({a}, {b}, totals[{len(found)}], not reverse)")
            found.append(out)
        elif e.op.name == "put":
            g, index = (host.held(v) for v in e.inputs)
            host.put(f"totals[{len(found)}] = put(totals[{len(found)}], {out.shape}, {index}, {g}, not reverse)")
            found.append(out)
    return found


def _apart(host: HostText, place: Place, before: list[Any]) -> str:
    """A result of the loop, which may share memory with no other."""
    alone = place.array in host.half.seen and all(place.array is not other.array for other in before)
    return host.at(place) + ".copy()" * (not alone)


def _is_place(result: Any) -> bool:
    return isinstance(result, Place)
