"""Modules: which weights are found and what they are called, how they are loaded, and whose the attributes are."""

import copy
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import check
from minigrad.config import resolve
from minigrad.errors import UsageError, WeightsError
from minigrad.nn.cell import mask_seeds
from minigrad.train import Run


def weight(*shape):
    return mg.nn.Parameter(np.ones(shape or (2,), "f4"))


class Holds(mg.nn.Module):
    """Whatever is given, as attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def names(module):
    return [name for name, _ in module.named_parameters()]


# --- found -------------------------------------------------------------------------------------------------------


def test_weights_in_nests_of_nests_are_found_and_named_by_the_way_to_them() -> None:
    net = Holds(
        ws=[weight(), (weight(), {"b": weight()})],
        blocks={"a": [mg.nn.Dropout(), mg.nn.Linear(1, 2)], 3: (Holds(deep=[[weight()]]),)},
        w=weight(),
        other=[1, "text", None, np.ones(2), mg.ones(2)],
    )
    assert names(net) == [
        "ws.0", "ws.1.0", "ws.1.1.b", "w", "blocks.a.1.weight", "blocks.a.1.bias", "blocks.3.0.deep.0.0",
    ]  # fmt: skip
    twin = copy.deepcopy(net)
    twin.load_state_dict({name: 2 * array for name, array in net.state_dict().items()})
    assert all((p.numpy() == 2 * q.numpy()).all() for p, q in zip(twin.parameters(), net.parameters(), strict=True))
    assert [name for name, _ in net.children()] == ["blocks.a.0", "blocks.a.1", "blocks.3.0"]
    net.eval()
    assert not net.blocks["a"][0].training
    assert len(list(net.modules())) == 4


def test_weights_in_a_list_are_trained_saved_and_named_in_messages(tmp_path) -> None:
    net = Holds(ws=[weight(), weight()])
    rule = mg.optim.SGD(net.parameters(), lr=0.5)
    (net.ws[0] * net.ws[1]).sum().backward()
    rule.step()
    assert all((p.numpy() == 0.5).all() for p in net.ws)
    mg.save(tmp_path / "w", net)
    twin = Holds(ws=[weight(), weight()])
    mg.load_weights(tmp_path / "w", twin)
    assert all((p.numpy() == 0.5).all() for p in twin.ws)
    assert net.ws[1].name == "ws.1"


def test_weights_of_a_subclass_of_a_layer_are_found_beside_its_own() -> None:
    class Begins(mg.nn.Recurrent):
        def __init__(self):
            super().__init__("rnn", 2, 3, bidirectional=True)
            self.first = weight(2, 1, 3)
            self.extra = mg.nn.Linear(1, 1)

    class Scaled(mg.nn.Sequential):
        def __init__(self):
            super().__init__(mg.nn.Linear(1, 1), mg.nn.Linear(1, 1))
            self.scale = weight()

    assert names(Begins()) == [
        "first", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse",
        "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse", "extra.weight", "extra.bias",
    ]  # fmt: skip
    assert names(Scaled()) == ["scale", "0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_circle_of_modules_ends_and_each_weight_comes_once() -> None:
    child = Holds(w=weight())
    net = Holds(child=child, w=weight())
    child.parent = net
    nest: list = [child]
    nest.append(nest)
    net.nest = nest
    assert names(net) == ["w", "child.w"]
    assert len(list(net.modules())) == 2
    assert not net.reads_ahead
    assert not net.eval().child.training
    net.load_state_dict(net.state_dict())
    crowd = [Holds(w=weight()) for _ in range(12)]
    for one in crowd:
        one.others = crowd
    assert len(names(crowd[0])) == 12


def test_weights_in_a_set_are_refused_since_they_have_no_names() -> None:
    with pytest.raises(UsageError, match="the weights in ws have no names, since a set has no order"):
        Holds(ws={weight()}).parameters()
    assert names(Holds(ws={1, 2}, w=weight())) == ["w"]


def test_two_weights_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"two weights are called 'ws\.1', float32\[2\] and float32\[3\]"):
        Holds(ws={1: weight(2), "1": weight(3)}).state_dict()


def test_a_model_reads_ahead_where_a_module_inside_says_so() -> None:
    both = mg.nn.Recurrent("rnn", 2, 3, bidirectional=True)
    assert Holds(nest=[{"a": Holds(layer=both)}]).reads_ahead
    assert not Holds(nest=[{"a": Holds(layer=mg.nn.Recurrent("rnn", 2, 3))}]).reads_ahead


# --- loaded ------------------------------------------------------------------------------------------------------


def tied():
    first, last = mg.nn.Embedding(4, 3), mg.nn.Linear(3, 4, bias=False)
    last.weight = first.weight
    return Holds(first=first, last=last)


def test_tied_weights_come_under_any_of_their_names() -> None:
    net = tied()
    assert names(net) == ["first.weight"]
    array = np.arange(12, dtype="f4").reshape(4, 3)
    for given in ({"first.weight": array, "last.weight": array}, {"first.weight": array}, {"last.weight": array}):
        net.load_state_dict(net.state_dict() | {"first.weight": np.zeros((4, 3))})
        net.load_state_dict(given)
        np.testing.assert_array_equal(net.first.weight.numpy(), array)
        assert net.last.weight is net.first.weight
    with pytest.raises(WeightsError, match=r"last\.weight differs from another name's values"):
        net.load_state_dict({"first.weight": array, "last.weight": array + 1})
    np.testing.assert_array_equal(net.first.weight.numpy(), array)


@pytest.mark.parametrize(
    ("bad", "words"),
    [(np.zeros(2, np.float16), "float16 is too narrow"), (np.zeros(2, complex), "complex128"), (np.array(["a", "b"]), "<U1"),
     (np.zeros(2, np.longdouble), "not with"), (None, "object"), ([[1.0], [2.0, 3.0]], "bias: "), (np.zeros(3), r"bias has shape \[3\], the module \[2\]"),
     (mg.tensor([1.0, 2.0], requires_grad=True), "detach"), ("text", "<U4"), (np.zeros(2, "M8[s]"), "datetime64")],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_a_load_takes_all_weights_or_none(bad, words: str, first: bool) -> None:
    layer = mg.nn.Linear(2, 2)
    before = layer.state_dict()
    good = {"weight": np.ones((2, 2), "f8")}
    given = {"bias": bad, **good} if first else {**good, "bias": bad}
    for strict in (True, False):
        with pytest.raises(WeightsError, match=words):
            layer.load_state_dict(given, strict=strict)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
        assert array.dtype == np.float32


def test_a_load_that_is_not_strict_returns_what_it_left_alone() -> None:
    layer = mg.nn.Linear(2, 2)
    bias = layer.bias.numpy().copy()
    found = layer.load_state_dict({"weight": np.ones((2, 2)), "scale": np.ones(3), 7: None}, strict=False)
    assert found.missing_keys == ["bias"]
    assert found.unexpected_keys == ["scale", 7]
    assert (layer.weight.numpy() == 1).all()
    np.testing.assert_array_equal(layer.bias.numpy(), bias)
    assert layer.load_state_dict(layer.state_dict()) == ([], [])
    with pytest.raises(WeightsError, match=r"(?s)bias is missing.*7 is unknown"):
        layer.load_state_dict({"weight": np.ones((2, 2)), 7: None})
    with pytest.raises(WeightsError, match="takes a mapping from names to arrays, not list"):
        layer.load_state_dict([np.ones((2, 2))])


def test_integers_take_the_weights_dtype_and_floats_give_theirs() -> None:
    layer = mg.nn.Linear(2, 2)
    layer.load_state_dict({"weight": np.array([[1, 2], [3, 4]]), "bias": np.array([True, False])})
    assert {p.dtype for p in layer.parameters()} == {np.dtype("f4")}
    layer.load_state_dict({"weight": np.ones((2, 2), ">f8"), "bias": np.ones(2)})
    assert {p.dtype for p in layer.parameters()} == {np.dtype("f8")}


# --- whose attributes --------------------------------------------------------------------------------------------

OWN = ["mask", "mask_seed", "begin", "children", "modules", "parameters", "named_parameters", "training", "state_dict", "train",
       "eval", "drop", "keep", "to", "name", "seen", "layers", "cells", "carry", "noise", "inside"]  # fmt: skip


def cell_with(**own):
    class Own(mg.nn.Cell):
        def __init__(self, input_size, hidden_size):
            vars(self).update(own)
            self.w = mg.nn.Linear(input_size, hidden_size)

        def initial_carry(self, batch):
            return mg.zeros((batch, self.w.out_features))

        def step(self, h, x):
            h = mg.tanh(self.w(x) + 0.5 * h)
            return h, h

    return Own


@pytest.mark.parametrize("value", [3, 0.5, [1, 2], "text", {"a": 1}, np.ones(3), lambda: 1])
def test_an_authors_attribute_of_any_name_changes_nothing(value) -> None:
    layer = mg.nn.Recurrent(cell_with(**dict.fromkeys(OWN, value)), 2, 3, num_layers=2)
    net = mg.nn.Sequential(mg.nn.Linear(2, 2), layer)
    assert names(net)[2:] == ["1.w.weight_l0", "1.w.bias_l0", "1.w.weight_l1", "1.w.bias_l1"]
    net.eval().train()
    net.load_state_dict(net.state_dict())
    assert not net.reads_ahead
    ys, state = net(np.ones((4, 1, 2), "f4"))
    ys.sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    for cell in layer.cells:
        assert all(vars(cell)[name] is value for name in OWN)
    assert layer.reset(state, [0]).shape == (2, 1, 3)


def test_an_attribute_called_training_is_the_mode_only_if_it_is_a_boolean() -> None:
    layer = mg.nn.Dropout(0.5)
    layer.training = False
    assert layer(mg.ones(9)).numpy().all()
    assert layer.training is False
    layer.training = ["my", "data"]
    assert layer.training == ["my", "data"]
    assert not layer.train()(mg.ones(99)).numpy().all()
    assert layer.training == ["my", "data"]


def test_going_on_from_a_checkpoint_leaves_an_authors_mask_alone(in_folder) -> None:
    options = {"length": 3, "hidden": 4, "batch": 2, "steps": 3}
    config = resolve("rnn", "copy", settings={"recurrent_dropout": 0.5}, options=options)
    (in_folder / "run").mkdir()
    own, cells, seeds = np.eye(4, dtype="f4"), [], []
    for _ in range(2):
        run = Run(config, in_folder / "run")
        cells.append(run.model.recurrent.cells[0])
        cells[-1].mask, cells[-1].mask_seed = own, "mine"
        if not run.restore():
            list(run.records())
        seeds.append(mask_seeds(run.model))
        assert cells[-1].mask is own
        assert cells[-1].mask_seed == "mine"
    assert seeds[0] == seeds[1] != [0]
    np.testing.assert_array_equal(*(cell.drop(mg.ones((2, 4))).numpy() for cell in cells))


def test_a_cells_check_looks_at_weights_in_nests_too() -> None:
    class Flat(cell_with()):
        def __init__(self, input_size, hidden_size):
            self.w, self.gain = mg.nn.Linear(input_size, hidden_size), weight(1)

        def weights(self):
            return self.w, self.gain

        def initial_carry(self, batch):
            return mg.zeros((batch, self.weights()[0].out_features))

        def step(self, h, x):
            w, gain = self.weights()
            h = mg.tanh(w(x) + gain * h)
            return h, h

    class Nested(Flat):
        def __init__(self, input_size, hidden_size):
            self.nest = {"layer": [mg.nn.Linear(input_size, hidden_size), (weight(1),)]}

        def weights(self):
            return self.nest["layer"][0], self.nest["layer"][1][0]

    found = [check.check_cell(cell).results["gradients_hold"] for cell in (Flat, Nested)]
    assert re.search(r"passed: \d+ partial derivatives", found[0])
    assert found[0] == found[1]
