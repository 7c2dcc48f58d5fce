import numpy as np
from minigrad_mgu import MGU

import minigrad as mg


@mg.check.parametrize_with_checks([MGU])
def test_it_is_a_sound_cell(cell, check):
    check(cell)


def test_a_step_is_the_papers_equations():
    cell, rng = MGU(3, 4), np.random.default_rng(0)
    h, x = rng.normal(size=(2, 4)).astype("f4"), rng.normal(size=(2, 3)).astype("f4")
    w = cell.state_dict()
    f = 1 / (1 + np.exp(-(x @ w["wf.weight"].T + w["wf.bias"] + h @ w["uf.weight"].T)))
    n = np.tanh(x @ w["wh.weight"].T + w["wh.bias"] + (f * h) @ w["uh.weight"].T)
    found, _ = cell.step(mg.tensor(h), mg.tensor(x))
    np.testing.assert_allclose(found.detach().numpy(), (1 - f) * h + f * n, rtol=1e-5)


def test_a_shut_gate_keeps_everything():
    layer = mg.nn.Recurrent("mgu", 3, 4, forget_bias=-100.0)
    h = mg.ones((1, 2, 4))
    _, last = layer(np.ones((5, 2, 3), "f4"), h)
    assert (last.detach().numpy() == 1).all()
