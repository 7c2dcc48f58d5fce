"""Every function, module and loss against PyTorch: values, first and second derivatives, in float32 and float64."""

import pytest
from peers import kinks, layers, ops, ops_of_axes
from peers.harness import agree, answers, minigrad, torch, wanted, write

import minigrad as mg
from minigrad import api, core
from minigrad.eager import Eager

assert kinks and ops_of_axes  # they enter their cases
CASES = ops.CASES + layers.CASES


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: CASES[i].name)
def test_it_says_what_torch_says(number: int) -> None:
    case = CASES[number]
    right = wanted(case, "torch", torch)
    for dtype in case.dtypes:
        agree(answers(case, case.ours, minigrad(dtype)), right, dtype, f"{case.name}, {dtype}")


def test_every_op_is_asked_about() -> None:
    class Listener(Eager):
        def run(self, op, inputs, metadata):
            heard.add(op.name)
            return super().run(op, inputs, metadata)

    heard = set()
    with core.interpreting(Listener()):
        for case in CASES:
            case.ours(*(mg.tensor(x) for x in case.inputs))
    slopes = dict.fromkeys("gauss gelu_slope share sigmoid_slope silu_slope tanh_slope".split(), "gradients")
    elsewhere = {**slopes, "identity": "loops of scans", "put": "gradients of indexing", "to": "devices"}
    assert set(core.OPS) - heard == set(elsewhere)


def test_every_public_function_of_arrays_is_asked_about() -> None:
    class Listener:
        def __getattr__(self, name):
            heard.add(name)
            return getattr(mg, name)

    heard = set()
    for case in ops.CASES:
        *given, _ours = case.ours.args
        case.ours.func(*given, Listener(), *(mg.tensor(x) for x in case.inputs))
    others = """Batch MinigradError Tensor bool_ float32 float64 grad int32 int64 load_weights no_grad no_trace save scan
    seed tensor trace value_and_grad"""
    assert set(api.__all__) - heard == set(others.split()) - heard


def make() -> None:
    write("torch", CASES, torch)
