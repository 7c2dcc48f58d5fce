"""Masks of attention, of booleans and of floats: against PyTorch's golden figures, and what may not get past them."""

import json
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import check
from minigrad.errors import ShapeError
from minigrad.weights import read_arrays

GOLDEN, ABOUT = read_arrays(Path(__file__).parent / "golden" / "nn.safetensors")
NAMES = [name for name in json.loads(ABOUT["options"]) if name.startswith("attention.")]
LOOKS = {
    "additive": lambda: mg.nn.AdditiveAttention(3, 3, 4),
    "dot": lambda: mg.nn.DotAttention(3),
    "general": lambda: mg.nn.DotAttention(3, kind="general"),
    "concat": lambda: mg.nn.DotAttention(3, kind="concat"),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def heads():
    layer = mg.nn.MultiHeadAttention(6, 3)
    layer.load_state_dict(
        {key.removeprefix("attention.w."): v for key, v in GOLDEN.items() if key.startswith("attention.w.")}
    )
    return layer


@pytest.mark.parametrize("name", NAMES)
def test_masks_do_what_torchs_golden_figures_say(name: str) -> None:
    found = {key.removeprefix(f"{name}."): v for key, v in GOLDEN.items() if key.startswith(f"{name}.")}
    parts = [mg.tensor(found[key], requires_grad=True) for key in "qkv"]
    out, weights = heads()(*parts, **{key: value for key, value in found.items() if key.endswith("mask")})
    out.backward(found["g"])
    np.testing.assert_allclose(out.detach().numpy(), found["out"], atol=1e-13)
    np.testing.assert_allclose(weights.detach().numpy(), found["weights"], atol=1e-14)
    for key, part in zip("qkv", parts, strict=True):
        np.testing.assert_allclose(part.grad.numpy(), found[f"g{key}"], atol=1e-13)


@pytest.mark.parametrize("kind", LOOKS)
def test_floats_are_added_to_the_scores_and_minus_infinity_hides(kind: str) -> None:
    mg.seed(0)
    look = LOOKS[kind]()
    q, keys, values = rng().normal(size=(2, 3)), rng(1).normal(size=(2, 5, 3)), rng(2).normal(size=(2, 5, 4))
    added = rng(3).normal(size=(2, 5))
    added[0, 1] = added[1, 3:] = -np.inf
    plain = look(q, keys, values)[1].detach().numpy()
    want = plain * np.exp(added)
    want /= want.sum(axis=1, keepdims=True)
    context, weights = look(q, keys, values, mask=added)
    np.testing.assert_allclose(weights.detach().numpy(), want, atol=1e-7)
    np.testing.assert_allclose(context.detach().numpy(), np.einsum("bs,bsv->bv", want, values), atol=1e-6)
    hidden = look(q, keys, values, mask=np.where(np.isinf(added), -np.inf, 0.0))[0].detach().numpy()
    np.testing.assert_array_equal(hidden, look(q, keys, values, mask=~np.isinf(added))[0].detach().numpy())
    low = np.where(np.isinf(added), 0.0, added)
    check.check_grads(lambda q, k, v, m: look(q, k, v, mask=m)[0], q, keys, values, low)


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("kind", LOOKS)
def test_a_hidden_key_reaches_nothing_whatever_it_holds(kind: str, floats: bool) -> None:
    mg.seed(0)
    look = LOOKS[kind]()
    there = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    mask = np.where(there, 0.5, -np.inf) if floats else there
    clean = [rng(i).normal(size=size) for i, size in enumerate(((3, 3), (3, 4, 3), (3, 4, 2)))]
    found = []
    for bad in (0.0, np.nan, np.inf):
        q, keys, values = (mg.tensor(x, requires_grad=True) for x in clean)
        with mg.no_grad():
            keys[~there], values[~there] = bad, bad
        for p in look.parameters():
            p.grad = None
        context, weights = look(q, keys, values, mask=mask)
        (context.sum() + (weights * weights).sum()).backward()
        found.append([context.detach(), weights.detach(), *(x.grad for x in (q, keys, values, *look.parameters()))])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    context, weights, gq, gk, gv = (x.numpy() for x in found[0][:5])
    for x in (context, weights, gq, gk, gv):
        assert not x[1].any()
        assert x[2].any() or x is weights
    assert not gk[~there].any()
    assert not gv[~there].any()


def test_a_query_that_may_look_at_nothing_gives_the_bias_alone_and_no_gradient() -> None:
    layer, x = heads(), rng().normal(size=(4, 2, 6))
    bias = layer.out_proj.bias.numpy()
    pairs = np.zeros((4, 4), bool)
    pairs[2] = True
    for mask in (pairs, np.where(pairs, -np.inf, 0.0)):
        v = mg.tensor(x, requires_grad=True)
        out, weights = layer(v, mg.tensor(x[::-1].copy()), attn_mask=mask)
        np.testing.assert_array_equal(out.detach().numpy()[2], np.broadcast_to(bias, (2, 6)))
        assert not weights.detach().numpy()[:, 2].any()
        out.sum().backward()
        assert not v.grad.numpy()[2].any()
        assert v.grad.numpy()[1].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("floats", [False, True])
def test_padding_of_self_attention_reaches_no_other_step(bad: float, floats: bool) -> None:
    layer, x = heads(), rng().normal(size=(5, 2, 6))
    padding = np.array([[0] * 5, [0, 0, 0, 1, 1]], bool)
    alone, _ = layer(x[:3, 1:])
    x[3:, 1] = bad
    v = mg.tensor(x, requires_grad=True)
    out, weights = layer(v, key_padding_mask=np.where(padding, -np.inf, 0.0) if floats else padding)
    np.testing.assert_allclose(out.detach().numpy()[:3, 1], alone.detach().numpy()[:, 0], atol=1e-13)
    mg.where(padding.T[:, :, None], 0.0, out).sum().backward()
    for g in (v.grad, *(p.grad for p in layer.parameters())):
        assert np.isfinite(g.numpy()).all()
    assert not v.grad.numpy()[3:, 1].any()
    assert np.isnan(weights.detach().numpy()[1, 3:]).all()  # the padded steps' own answers hide nothing


@pytest.mark.parametrize("by", ["is_causal", "attn_mask"])
def test_what_is_not_finite_reaches_only_the_queries_that_look_at_it(by: str) -> None:
    layer, x = heads(), rng().normal(size=(5, 2, 6))
    options = {"is_causal": True} if by == "is_causal" else {"attn_mask": ~np.tril(np.ones((5, 5), bool))}
    alone, _ = layer(x[:3], is_causal=True)
    x[3, 0] = np.nan
    v = mg.tensor(x, requires_grad=True)
    out, _ = layer(v, **options)
    np.testing.assert_allclose(out.detach().numpy()[:3], alone.detach().numpy(), atol=1e-13)
    assert np.isnan(out.detach().numpy()[3:, 0]).all()
    assert np.isfinite(out.detach().numpy()[:, 1]).all()
    out[:3].sum().backward()
    for g in (v.grad, *(p.grad for p in layer.parameters())):
        assert np.isfinite(g.numpy()).all()


def test_attention_without_a_batch_is_that_of_a_batch_of_one() -> None:
    layer, q, k, v = heads(), rng().normal(size=(4, 6)), rng(1).normal(size=(5, 6)), rng(2).normal(size=(5, 6))
    pairs, padding = rng(3).normal(size=(3, 4, 5)), np.array([0, 0, 1, 0, 1], bool)
    for keys in ((), (k,), (k, v)):
        options = {"attn_mask": pairs, "key_padding_mask": padding} if keys else {"is_causal": True}
        out, weights = layer(q, *keys, **options)
        if keys:
            options["key_padding_mask"] = padding[None]
        whole, of_whole = layer(q[:, None], *(x[:, None] for x in keys), **options)
        np.testing.assert_array_equal(out.detach().numpy(), whole.detach().numpy()[:, 0])
        np.testing.assert_array_equal(weights.detach().numpy(), of_whole.detach().numpy()[0])


def test_a_learned_bias_of_the_scores_has_its_gradient() -> None:
    layer, x = heads(), rng().normal(size=(4, 2, 6))
    bias = rng(1).normal(size=(4, 4))
    check.check_grads(lambda b: layer(x, attn_mask=b)[0], bias)


@pytest.mark.parametrize("compiled", [True, False])
def test_floats_are_added_within_a_compiled_cell_too(compiled: bool) -> None:
    look, memory = mg.nn.DotAttention(3, kind="general"), mg.tensor(rng().normal(size=(2, 5, 3)).astype("f4"))
    added = rng(1).normal(size=(2, 5))
    added[:, 3:] = -np.inf

    def cell(h, x):
        seen, _ = look(h + x, memory, mask=added)
        return seen, seen

    xs = rng(2).normal(size=(4, 2, 3)).astype("f4")
    _, ys = mg.scan(cell, mg.zeros((2, 3)), xs, compiled=compiled)
    h = np.zeros((2, 3))
    for t in range(4):
        scores = np.einsum("bk,bsk->bs", (h + xs[t]) @ look.weight.weight.numpy().T, memory.numpy()) + added
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        h = np.einsum("bs,bsk->bk", weights / weights.sum(axis=1, keepdims=True), memory.numpy())
        np.testing.assert_allclose(ys.detach().numpy()[t], h, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [(lambda: heads()(np.ones((4, 2, 6)), attn_mask=np.ones((4, 3))), r"attn_mask must be \[4, 4\] or \[6, 4, 4\], not float64\[4, 3\]"),
     (lambda: heads()(np.ones((4, 2, 6)), attn_mask=np.ones((2, 4, 4), bool)), r"\[6, 4, 4\], not bool\[2, 4, 4\]"),
     (lambda: heads()(np.ones((4, 2, 6)), key_padding_mask=np.ones((4, 2), bool)), r"key_padding_mask must be \[2, 4\]"),
     (lambda: heads()(np.ones((4, 2, 6)), np.ones((4, 3, 6))), "MultiHeadAttention takes"),
     (lambda: heads()(np.ones((4, 2, 6)), np.ones((4, 6))), "MultiHeadAttention takes"),
     (lambda: heads()(np.ones(6)), "MultiHeadAttention takes"),
     (lambda: LOOKS["dot"]()(np.ones((2, 3)), np.ones((2, 5, 3)), mask=np.ones(5, bool)), r"mask must be \[2, 5\], not bool\[5\]"),
     (lambda: LOOKS["additive"]()(np.ones(3), np.ones((5, 3))), r"AdditiveAttention takes query \[B, 3\]"),
     (lambda: LOOKS["general"]()(np.ones((2, 4)), np.ones((2, 5, 3))), r"DotAttention takes query \[B, 3\]"),
     (lambda: LOOKS["concat"]()(np.ones((2, 3)), np.ones((1, 5, 3))), r"DotAttention takes query \[B, 3\]"),
     (lambda: LOOKS["dot"]()(np.ones((2, 3)), np.ones((2, 5, 3)), np.ones((2, 4, 3))), r"values \[B, S, V\], not")],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_told(call, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        call()


def test_a_hidden_key_of_any_size_reaches_nobody() -> None:
    layer = mg.nn.MultiHeadAttention(4, 2)
    found = []
    for hidden in (0.0, 3e38):
        keys, query = np.ones((3, 1, 4), np.float32), mg.tensor(np.ones((1, 1, 4), np.float32), requires_grad=True)
        keys[2] = hidden
        for p in layer.parameters():
            p.grad = None
        out, _ = layer(query, keys, keys, key_padding_mask=np.array([[False, False, True]]))
        out.sum().backward()
        found.append([out.detach().numpy(), query.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())])
    for with_zeros, with_large in zip(*found, strict=True):
        np.testing.assert_array_equal(with_zeros, with_large)
