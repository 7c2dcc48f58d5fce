"""Attention, CTC, and the models built of them."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad import check
from minigrad.config import resolve
from minigrad.errors import DtypeError, ShapeError, UsageError
from minigrad.models import build_model
from minigrad.objective import make_loss
from minigrad.train import Run


def rng(seed=0):
    return np.random.default_rng(seed)


# --- attention ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["additive", "dot", "general", "concat"])
def test_attention_is_a_weighted_mean_and_a_masked_row_is_zero(kind: str) -> None:
    mg.seed(0)
    look = (
        mg.nn.AdditiveAttention(3, 4, 5)
        if kind == "additive"
        else mg.nn.DotAttention(3, 3 if kind == "dot" else 4, kind)
    )
    q, keys = rng().normal(size=(2, 3)), rng(1).normal(size=(2, 6, 3 if kind == "dot" else 4))
    mask = np.array([[1, 1, 0, 1, 0, 1], [0] * 6], bool)
    context, weights = look(q, keys, mask=mask)
    assert weights.numpy()[0].sum() == pytest.approx(1)
    assert not weights.numpy()[~mask].any()
    np.testing.assert_allclose(context.detach().numpy()[0], weights.detach().numpy()[0] @ keys[0], atol=1e-6)
    assert not context.detach().numpy()[1].any()
    values = rng(2).normal(size=(2, 6, 7))
    assert look(q, keys, values)[0].shape == (2, 7)
    check.check_grads(lambda q, k: look(q, k, mask=mask), q, keys)
    g = mg.grad(lambda k: look(q, k, mask=mask)[0].sum())(mg.tensor(keys)).numpy()
    assert not g[1].any()
    assert g[0].any()


def test_masks_are_no_integers_and_no_score_is_too_low() -> None:
    one = mg.nn.DotAttention(1)
    context, weights = one(mg.tensor([[1.0]]), mg.tensor([[[-2e9], [5.0]]]), mask=np.array([[True, False]]))
    assert weights.numpy().tolist() == [[1.0, 0.0]]
    assert context.item() == -2e9
    layer, x = mg.nn.MultiHeadAttention(4, 2), np.ones((3, 2, 4), "f4")
    for wrong in ({"attn_mask": np.zeros((3, 3), int)}, {"key_padding_mask": np.zeros((2, 3), int)}):
        with pytest.raises(DtypeError, match="must hold booleans, or floats"):
            layer(x, **wrong)
    with pytest.raises(DtypeError, match="mask must hold booleans, or floats"):
        one(mg.tensor([[1.0]]), mg.tensor([[[1.0]]]), mask=np.array([[1]]))


def test_luongs_scores() -> None:
    q, k = rng().normal(size=(1, 3)), rng(1).normal(size=(1, 4, 3))
    _, weights = mg.nn.DotAttention(3)(q, k)
    scores = k[0] @ q[0]
    np.testing.assert_allclose(weights.numpy()[0], np.exp(scores) / np.exp(scores).sum(), atol=1e-12)
    general = mg.nn.DotAttention(3, kind="general")
    _, weights = general(q, k)
    scores = k[0] @ (general.weight.weight.numpy() @ q[0])
    np.testing.assert_allclose(weights.detach().numpy()[0], np.exp(scores) / np.exp(scores).sum(), atol=1e-6)
    with pytest.raises(UsageError, match="wants keys of the query's size"):
        mg.nn.DotAttention(3, 4)


def heads(layer, x, mask=None):
    """Multi-head attention by loops, in NumPy;  x [T, B, E]."""
    w, b = layer.in_proj_weight.numpy(), layer.in_proj_bias.numpy()
    _, batch, size = x.shape
    out = np.zeros_like(x)
    for row in range(batch):
        q, k, v = (x[:, row] @ w[i * size : (i + 1) * size].T + b[i * size : (i + 1) * size] for i in range(3))
        parts = []
        for cut in np.split(np.arange(size), layer.num_heads):
            scores = q[:, cut] @ k[:, cut].T / np.sqrt(len(cut))
            scores = scores if mask is None else np.where(mask[row], scores, -np.inf)
            e = np.exp(scores - scores.max(axis=-1, keepdims=True))
            parts.append(e / e.sum(axis=-1, keepdims=True) @ v[:, cut])
        out[:, row] = np.concatenate(parts, axis=-1) @ layer.out_proj.weight.numpy().T + layer.out_proj.bias.numpy()
    return out


def test_multi_head_attention_equals_loops_and_hides_what_is_masked() -> None:
    mg.seed(0)
    layer = mg.nn.MultiHeadAttention(6, 3)
    layer.load_state_dict({k: v.astype("f8") for k, v in layer.state_dict().items()})
    x = rng().normal(size=(5, 2, 6))
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), heads(layer, x), atol=1e-12)
    padding = np.array([[0, 0, 0, 1, 1], [0] * 5], bool)
    mask = np.tril(np.ones((5, 5), bool)) & ~padding[:, None]
    out, weights = layer(x, key_padding_mask=padding, is_causal=True)
    np.testing.assert_allclose(out.detach().numpy(), heads(layer, x, mask), atol=1e-12)
    np.testing.assert_allclose(weights.detach().numpy().sum(axis=-1), 1, atol=1e-12)
    by_hand, _ = layer(x, key_padding_mask=padding, attn_mask=~np.tril(np.ones((5, 5), bool)))
    np.testing.assert_array_equal(by_hand.detach().numpy(), out.detach().numpy())
    check.check_grads(lambda x: layer(x, is_causal=True)[0], x)
    empty = np.ones((2, 5), bool)
    bias = layer.out_proj.bias.numpy()
    np.testing.assert_allclose(layer(x, key_padding_mask=empty)[0].detach().numpy(), np.broadcast_to(bias, x.shape))
    assert not mg.grad(lambda x: layer(x, key_padding_mask=empty)[0].sum())(mg.tensor(x)).numpy().any()
    with pytest.raises(UsageError, match="multiple of num_heads"):
        mg.nn.MultiHeadAttention(6, 4)
    with pytest.raises(ShapeError, match="E = 6"):
        layer(np.ones((5, 2, 4)))


def test_rotary_scores_depend_on_distance_alone() -> None:
    q, k = np.broadcast_to(rng().normal(size=8), (7, 8)), np.broadcast_to(rng(1).normal(size=8), (7, 8))
    scores = mg.nn.rotate(mg.tensor(q.copy())).numpy() @ mg.nn.rotate(mg.tensor(k.copy())).numpy().T
    for distance in range(-3, 4):
        diagonal = np.diagonal(scores, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-12)
    assert np.ptp(scores[0]) > 0.1


def test_sinusoids_are_those_of_the_paper() -> None:
    table = mg.nn.sinusoidal(50, 6)
    assert table.shape == (50, 6)
    assert table[7, 2] == pytest.approx(np.sin(7 / 10000 ** (2 / 6)))
    assert table[7, 3] == pytest.approx(np.cos(7 / 10000 ** (2 / 6)))


# --- CTC ----------------------------------------------------------------------------------------------------------


def by_alignments(log_probs, word, blank=0):
    """-log of the chance of a word, by going through every path."""
    steps, classes = log_probs.shape
    chances = []
    for path in itertools.product(range(classes), repeat=steps):
        merged = [c for i, c in enumerate(path) if c != blank and (i == 0 or path[i - 1] != c)]
        if merged == list(word):
            chances.append(sum(log_probs[t, c] for t, c in enumerate(path)))
    return -np.logaddexp.reduce(chances) if chances else np.inf


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("steps", [1, 2, 4, 6])
def test_ctc_is_the_sum_over_all_alignments(steps: int, blank: int) -> None:
    logits = rng(steps).normal(size=(steps, 1, 3))
    log_probs = mg.log_softmax(logits).numpy()
    letters = [c for c in range(3) if c != blank]
    for n in range(4):
        for word in itertools.product(letters, repeat=n):
            want = by_alignments(log_probs[:, 0], word, blank)
            found = mg.nn.ctc_loss(
                log_probs, np.array([word], int).reshape(1, n), blank=blank, reduction="none"
            ).numpy()[0]
            assert found == pytest.approx(want, rel=1e-12) or (want == np.inf and found > 1e29)


def test_ctc_takes_lengths_and_has_the_right_gradient() -> None:
    logits, targets = rng().normal(size=(6, 3, 4)), np.array([[1, 1, 2], [3, 0, 0], [2, 1, 0]])
    lengths, symbols = np.array([6, 2, 4]), np.array([3, 1, 2])

    def loss(logits, **options):
        return mg.nn.ctc_loss(mg.log_softmax(logits), targets, lengths, symbols, **options)

    check.check_grads(loss, logits)
    each = loss(logits, reduction="none").numpy()
    for row in range(3):
        alone = by_alignments(mg.log_softmax(logits).numpy()[: lengths[row], row], targets[row, : symbols[row]])
        assert each[row] == pytest.approx(alone, rel=1e-12)
    assert loss(logits).item() == pytest.approx(np.mean(each / symbols))
    assert loss(logits, reduction="sum").item() == pytest.approx(each.sum())
    g = mg.grad(lambda x: loss(x))(mg.tensor(logits)).numpy()
    assert not g[2:, 1].any()
    for bad in (
        np.array([[1, 2, -1]] * 3),
        np.array([[0, 1, 2]] * 3),
        np.array([[4, 1, 2]] * 3),
        np.ones((2, 3), int),
        np.ones((3, 3)),
    ):
        with pytest.raises(ShapeError):
            mg.nn.ctc_loss(mg.log_softmax(logits), bad)
    with pytest.raises(ShapeError, match="input_lengths"):
        mg.nn.ctc_loss(mg.log_softmax(logits), targets, [7, 1, 1])


# --- models -------------------------------------------------------------------------------------------------------

MODELS = [
    ("seq2seq", {}), ("seq2seq", {"attention": "additive"}), ("seq2seq", {"attention": "dot"}), ("seq2seq", {"attention": "general"}),
    ("seq2seq", {"attention": "concat", "teacher_forcing": 0.5}), ("seq2seq", {"context": "repeat", "cell": "gru"}),
    ("attention", {}), ("attention", {"positions": "rotary", "causal": True}), ("attention", {"decoder": True, "dropout": 0.1}),
]  # fmt: skip
ids = [" ".join([name, *map(str, options.values())]) for name, options in MODELS]


def small(model: str, task: str = "reversal", settings=None, **options):
    return resolve(
        model, task, settings=settings, options={"length": 4, "hidden": 8, "batch": 5, "steps": 3, **options}
    )


@pytest.mark.parametrize(("name", "settings"), MODELS, ids=ids)
def test_a_model_trains_and_comes_back_from_its_weights(name: str, settings) -> None:
    both = name == "seq2seq" and settings.get("attention") != "dot"
    run = Run(small(name, settings=settings, layers=1 if name == "seq2seq" else 2, bidirectional=both), None)
    records = list(run.records())
    assert len(records) == 3
    assert all(np.isfinite(r["loss"]) for r in records)
    assert all(p.grad is not None for n, p in run.model.named_parameters())
    other = Run(run.config, None).model
    other.load_state_dict(run.model.state_dict())
    xs = run.task.batch(rng(), 5).xs
    ys = run.model.eval()(xs)[0].detach().numpy()
    assert ys.shape == (8, 5, 8)
    np.testing.assert_array_equal(other.eval()(xs)[0].detach().numpy(), ys)


@pytest.mark.parametrize(("name", "settings"), MODELS[:6], ids=ids[:6])
def test_a_decoder_compiles_and_equals_its_eager_loop(name: str, settings, monkeypatch) -> None:
    found, scan = [], mg.scan
    for compiled in (True, False):
        run = Run(small(name, settings=settings, bidirectional=settings.get("attention") != "dot"), None)
        monkeypatch.setattr(mg, "scan", lambda *a, on=compiled, **k: scan(*a, compiled=on, **k))
        batch = run.task.batch(rng(), 5)
        mg.seed(1)
        ys, _ = batch.feed(run.model.train())
        make_loss("cross_entropy")(ys, batch).backward()
        found.append([ys.detach(), *(p.grad for p in run.model.parameters())])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


def test_teaching_sees_the_answers_and_use_does_not() -> None:
    run = Run(small("seq2seq"), None)
    batch = run.task.batch(rng(), 5)
    other = mg.Batch(batch.xs, batch.targets[::-1], batch.mask)
    taught = [b.feed(run.model.train())[0].detach().numpy() for b in (batch, other)]
    used = [b.feed(run.model.eval())[0].detach().numpy() for b in (batch, other)]
    assert (taught[0] != taught[1]).any()
    np.testing.assert_array_equal(used[0], used[1])
    free = Run(small("seq2seq", settings={"teacher_forcing": 0.0}), None)
    free.model.load_state_dict(run.model.state_dict())
    np.testing.assert_allclose(batch.feed(free.model.train())[0].detach().numpy(), used[0], atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"attention": "additive"}, {"context": "repeat"}])
def test_a_beam_finds_the_likeliest_answer(settings) -> None:
    run = Run(small("seq2seq", length=2, settings=settings), None)
    with mg.no_grad():
        for p in run.model.parameters():
            p[:] = p * 4  # so that greedy is not best by chance
    batch = run.task.batch(rng(), 4)
    model = run.model.eval()

    def likelihood(words):  # by teaching the words, [2, B]
        given = mg.Batch(batch.xs, np.concatenate([np.zeros((2, 4), int), words]), batch.mask)
        with mg.no_grad():
            logits = given.feed(model.train())[0]
        model.eval()
        return np.take_along_axis(mg.log_softmax(logits).numpy()[-2:], words[..., None], axis=2)[..., 0].sum(axis=0)

    every = np.array(
        [likelihood(np.broadcast_to(np.array(word)[:, None], (2, 4))) for word in itertools.product(range(8), repeat=2)]
    )
    greedy, wide = model.search(batch.xs, 1), model.search(batch.xs, 8)
    np.testing.assert_array_equal(greedy, model(batch.xs)[0].numpy()[-2:].argmax(-1))
    np.testing.assert_allclose(likelihood(wide), every.max(axis=0), atol=1e-5)
    if not settings:
        assert (likelihood(greedy) < every.max(axis=0) - 1e-3).any()


def test_a_causal_transformer_sees_no_later_step() -> None:
    run = Run(small("attention", "copy", {"causal": True}), None)
    xs = run.task.batch(rng(), 2).xs
    changed = xs.copy()
    changed[10:] = changed[10:][:, :, ::-1]
    one, other = (run.model.eval()(x)[0].detach().numpy() for x in (xs, changed))
    np.testing.assert_array_equal(one[:10], other[:10])
    assert (one[10:] != other[10:]).any()


def test_padding_changes_nothing_for_a_transformer() -> None:
    run = Run(small("attention", "parity"), None)
    batch = run.task.batch(rng(), 5)
    padded = np.concatenate([batch.xs, np.ones((3, 5, 2), np.float32)])
    run.model.eval()
    one, other = (run.model(x, None, batch.lengths)[0].detach().numpy() for x in (batch.xs, padded))
    for row, n in enumerate(batch.lengths):
        np.testing.assert_allclose(one[:n, row], other[:n, row], atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), [MODELS[0], MODELS[1], MODELS[3], MODELS[5], MODELS[8]])
def test_a_padded_source_is_answered_as_it_is_alone(name: str, settings) -> None:
    run = Run(small(name, settings=settings, bidirectional=name == "seq2seq"), None)
    batch, lengths = run.task.batch(rng(), 3), np.array([4, 2, 3])
    run.model.eval()
    together, _ = run.model(batch.xs, None, lengths=lengths)
    for row, n in enumerate(lengths):
        alone, _ = run.model(np.concatenate([batch.xs[:n], batch.xs[4:]])[:, row : row + 1])
        np.testing.assert_allclose(alone.numpy()[n:, 0], together.numpy()[4:, row], atol=1e-5)
    if name == "seq2seq":
        found = run.model.search(batch.xs, 2, lengths)
        alone = run.model.search(np.concatenate([batch.xs[:2], batch.xs[4:]])[:, 1:2], 2)
        np.testing.assert_array_equal(found[:, 1:2], alone)


@pytest.mark.parametrize(
    ("model", "task", "settings", "words"),
    [("seq2seq", "copy", {}, "no source and answer"), ("seq2seq", "reversal", {"attention": "dit"}, "attention is one of"),
     ("attention", "copy", {"decoder": True}, "no answer"), ("attention", "copy", {"positions": "x"}, "positions are"),
     ("attention", "copy", {"heads": 3}, "multiple of num_heads"), ("seq2seq", "reversal", {"cell": "lstn"}, "Did you mean 'lstm'"),
     ("attention", "copy", {"hidden_size": 3}, "no option"), ("seq2seq", "reversal", {"attention": "dot", "bidirectional": True}, "general")],
)  # fmt: skip
def test_models_refuse_what_does_not_fit(model: str, task: str, settings, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        config = small(
            model,
            task,
            {k: v for k, v in settings.items() if k != "bidirectional"},
            bidirectional="bidirectional" in settings,
        )
        build_model(config, mg.registry.load("tasks", task)())


def test_layers_and_directions_reach_the_models() -> None:
    run = Run(small("seq2seq", layers=2, bidirectional=True), None)
    assert len(run.model.encoder.cells) == 4
    assert len(run.model.cells) == 2
    assert len(Run(small("attention", layers=3), None).model.blocks) == 3
