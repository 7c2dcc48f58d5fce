"""How far a gradient goes back: TBPTT(k1, k2) against a sum over exactly the pairs of steps that its definition admits."""

import resource

import numpy as np
import pytest

import minigrad as mg
from minigrad.config import resolve
from minigrad.errors import UsageError
from minigrad.objective import make_loss

T, B, D, H = 7, 3, 2, 4
rng = np.random.default_rng(0)
XS, TARGETS = rng.normal(size=(T, B, D)), rng.normal(size=(T, B))


def unroll(name, **options):
    return mg.registry.load("unrolls", name)(**options)


class Model(mg.nn.Module):
    def __init__(self, cell="rnn", **options):
        self.recurrent = mg.nn.Recurrent(cell, D, H, **options)
        self.readout = mg.nn.Linear(self.recurrent.output_size, 1)

    def forward(self, xs, state=None, lengths=None):
        ys, state = self.recurrent(xs, state, lengths)
        return self.readout(ys), state


def model(cell="rnn", **options):
    mg.seed(0)
    made = Model(cell, **options)
    made.load_state_dict({k: v.astype("f8") for k, v in made.state_dict().items()})
    return made


def gradients(model, name, batch, loss="mse", **options):
    """Loss, outputs and gradients of one run of an unroll."""
    for p in model.parameters():
        p.grad = None
    value, ys, _ = unroll(name, **options).run(model, batch, make_loss(loss), None)
    return value.item(), ys.detach().numpy(), [p.grad.numpy() for p in model.parameters()]


def by_pairs(model, window, stride):
    """The gradient of W, U, b, c by the definition: each step has its own copy of the weights, each loss its own walk."""
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    cell = model.recurrent.cells[0]
    weights = [mg.tensor(np.stack([getattr(cell, n).numpy()] * T)) for n in names]

    def loss_at(t):
        def f(w, u, b, c):
            h = mg.zeros((B, H), dtype="f8")
            for s in range(t + 1):
                h = mg.tanh(mg.linear(mg.tensor(XS[s]), w[s], b[s]) + mg.linear(h, u[s], c[s]))
            return mg.square(model.readout(h)[:, 0] - TARGETS[t]).sum() / (T * B)

        return f

    total = [np.zeros(w.shape[1:]) for w in weights]
    for t in range(T):
        end = -(-(t + 1) // stride) * stride if window < T else window
        found = mg.grad(loss_at(t), argnums=(0, 1, 2, 3))(*weights)
        for s in range(max(0, end - window), t + 1):
            for sum_, g in zip(total, found, strict=True):
                sum_ += g.numpy()[s]
    return total


@pytest.mark.parametrize(("window", "stride"), [(1, 0), (2, 0), (3, 0), (3, 1), (4, 2), (5, 3), (6, 1), (9, 3), (7, 7)])
def test_tbptt_is_the_sum_over_the_pairs_it_admits(window: int, stride: int) -> None:
    ours = model()
    _, _, found = gradients(ours, "tbptt", mg.Batch(XS, TARGETS), window=window, stride=stride)
    for g, want in zip(found, by_pairs(ours, window, stride or window), strict=False):
        np.testing.assert_allclose(g, want, atol=1e-12)


@pytest.mark.parametrize("options", [{"window": 7}, {"window": 100, "stride": 2}, {"window": 7, "stride": 3}])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_window_of_the_whole_sequence_is_full_backpropagation(cell: str, options) -> None:
    ours, batch = model(cell, num_layers=2), mg.Batch(XS, TARGETS, lengths=np.array([7, 2, 5]))
    whole, cut = gradients(ours, "full", batch), gradients(ours, "tbptt", batch, **options)
    assert whole[0] == pytest.approx(cut[0], rel=1e-12)
    for one, other in zip([whole[1], *whole[2]], [cut[1], *cut[2]], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


class EveryStep(mg.nn.Cell):
    """A cell whose carry is not used: there is nothing to cut."""

    def __init__(self, input_size, hidden_size):
        self.w = mg.nn.Linear(input_size, hidden_size)

    def initial_carry(self, batch):
        return mg.zeros((batch, 1))

    def step(self, carry, x):
        return carry * 0.0, mg.tanh(self.w(x))


@pytest.mark.parametrize("loss", ["mse", lambda ys, batch: mg.sqrt(mg.mean(mg.square(ys)) + 1.0)])
@pytest.mark.parametrize("targets", [TARGETS, TARGETS[0]])
def test_without_a_memory_nothing_is_cut_whatever_the_loss(loss, targets) -> None:
    ours, batch = model(EveryStep), mg.Batch(XS, targets, lengths=np.array([7, 2, 5]))
    for one, other in zip(gradients(ours, "full", batch, loss)[2], gradients(ours, "tbptt", batch, loss, window=2)[2], strict=True):  # fmt: skip
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_masks_are_the_same_when_a_piece_runs_again() -> None:
    ours = model("lstm", num_layers=2, dropout=0.5, zoneout=0.3, recurrent_dropout=0.4)
    mg.seed(3)
    _, ys, _ = gradients(ours, "tbptt", mg.Batch(XS, TARGETS), window=2)
    again = []

    def spy(ys, batch):  # with k1 = k2 every step runs twice; what it gave must be what it gives
        again.append(ys.detach().numpy())
        return make_loss("mse")(ys, batch)

    fed = []
    batch = mg.Batch(XS, TARGETS)
    feed = mg.Batch.feed
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(mg.Batch, "feed", lambda self, *a: fed.append(feed(self, *a)) or fed[-1])
        mg.seed(3)
        unroll("tbptt", window=2).run(ours, batch, spy, None)
    pieces = [(0, 2), (2, 4), (4, 6), (6, 7)]
    for (a, b), (y, _) in zip(pieces * 2, fed, strict=True):
        np.testing.assert_array_equal(y.detach().numpy(), again[0][a:b])
    np.testing.assert_array_equal(ys, again[0])


def test_the_trace_shows_the_cut() -> None:
    ours = model("rnn")
    with mg.trace() as trace:
        gradients(ours, "tbptt", mg.Batch(XS, np.full(B, 1.0)), window=3)  # the loss at the last step alone
    norms = np.concatenate([s.carry_grad_norm[0] for s in trace.scans])[:, 0]
    assert len(norms) == T
    assert norms[6] > 0
    assert not norms[:6].any()  # 7 steps by 3: the last window is one step long


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(UsageError, match="--unroll full"):
        gradients(model("rnn", bidirectional=True), "tbptt", mg.Batch(XS, TARGETS), window=2)
    with pytest.raises(UsageError, match="window must be"):
        unroll("tbptt", window=2, stride=3)
    with pytest.raises(UsageError, match="the unroll 'full' has no option 'window'"):
        resolve("rnn", "copy", options={"unroll.window": 3})
    assert resolve("rnn", "copy", options={"unroll": "tbptt", "unroll.window": 3})["unroll"]["window"] == 3


def test_rows_are_reset_one_by_one() -> None:
    layer = mg.nn.Recurrent("lstm", D, H, num_layers=2)
    _, state = layer(XS)
    fresh = layer.reset(state, [True, False, True])
    for before, after in zip(state, fresh, strict=True):
        assert not after.numpy()[:, [0, 2]].any()
        np.testing.assert_array_equal(after.numpy()[:, 1], before.numpy()[:, 1])


def test_a_stream_of_a_million_steps_in_constant_memory() -> None:
    """1000 windows of 1000 steps, the carry going on from one to the next."""
    ours, full, loss = Model(), unroll("full"), make_loss("mse")
    xs, targets = np.ones((1000, 1, D), "f4"), np.zeros((1000, 1), "f4")
    state, peaks = None, []
    for i in range(1000):
        _, _, state = full.run(ours, mg.Batch(xs, targets), loss, state)
        state = state.detach()
        if i % 100 == 99:
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[-1] - peaks[0] < 4096  # KiB
