"""Modules and losses: a program here of arrays and weights, the same one of PyTorch, whose weights have the same names."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from peers.harness import Case, narrow, rng_of

import minigrad as mg

CASES: list[Case] = []
T, B, D, H, E, S = 4, 3, 2, 3, 4, 5


def places(module: Any) -> Iterator[tuple[str, Any, str]]:
    """Where each weight is kept: its name as PyTorch's, the module, the attribute."""
    if isinstance(module, mg.nn.Recurrent):
        yield from (
            (f"{name}_{place}", cell, name) for place, cell in module.children() for name, _ in cell.named_parameters()
        )
        return
    for name, parameter in module.named_parameters():
        *path, attribute = name.split(".")
        owner = module
        for part in path:
            owner = dict(owner.children())[part]
        assert getattr(owner, attribute) is parameter
        yield name, owner, attribute


def enter(name: str, make: Callable[[], Any], theirs: Callable[[Any], Any], call: Any, *xs: Any, call_theirs: Any = None,
          order: int = 2) -> None:  # fmt: skip
    """A case of a module: `call(module, *xs)` here and, unless something else is said, there; weights are inputs too."""
    rng = rng_of(name)
    inputs = [x if isinstance(x, np.ndarray) else rng.normal(size=x) for x in xs]
    names = [place[0] for place in places(make())]
    sizes = {key: value.shape for key, value in make().state_dict().items()}
    weights = [rng.normal(size=sizes[key]) * 0.5 for key in names]

    def here(*arrays: Any) -> Any:
        module, given = make(), dict(zip(names, arrays[len(xs) :], strict=True))
        for key, owner, attribute in list(places(module)):
            setattr(owner, attribute, given[key])
        return call(module, *arrays[: len(xs)])

    def there(*arrays: Any) -> Any:
        import torch

        given = dict(zip(names, arrays[len(xs) :], strict=True))
        module = theirs(torch).double()
        assert set(given) == {key for key, _ in module.named_parameters()}

        def functional(*args: Any, **options: Any) -> Any:
            return torch.func.functional_call(module, given, args, options)

        return (call_theirs or call)(functional, *arrays[: len(xs)])

    CASES.append(Case(name, here, there, tuple(map(narrow, [*inputs, *weights])), order))


def loss(name: str, ours: Callable[..., Any], theirs: Callable[..., Any], *xs: Any, order: int = 2) -> None:
    """A case of a loss, which has no weights: `theirs` takes `torch.nn.functional` first."""

    def there(*arrays: Any) -> Any:
        import torch

        return theirs(torch.nn.functional, *arrays)

    rng = rng_of(name)
    inputs = [x if isinstance(x, np.ndarray) else rng.normal(size=x) for x in xs]
    CASES.append(Case(name, ours, there, tuple(map(narrow, inputs)), order))


def simply(module: Any, *xs: Any) -> Any:
    return module(*xs)


# --- without memory -----------------------------------------------------------------------------------------------

for shape in [(D,), (B, D), (T, B, D), (0, D), (1, 1, D)]:
    for bias in (True, False):
        enter(f"Linear {shape}{' without bias' * (not bias)}", partial(mg.nn.Linear, D, H, bias=bias),
              lambda t, b=bias: t.nn.Linear(D, H, bias=b), simply, shape)  # fmt: skip
for shape in [(), (B,), (T, B), (0, B)]:
    enter(f"Embedding {shape}", partial(mg.nn.Embedding, S, E), lambda t: t.nn.Embedding(S, E), simply,
          np.asarray(rng_of("rows").integers(0, S, shape)))  # fmt: skip
for shape in [(E,), (B, E), (T, B, E), (0, E), (1, E)]:
    for eps in (1e-5, 0.1):
        enter(f"LayerNorm {shape}, eps {eps}", partial(mg.nn.LayerNorm, E, eps=eps),
              lambda t, e=eps: t.nn.LayerNorm(E, eps=e), simply, shape)  # fmt: skip
enter("Sequential", lambda: mg.nn.Sequential(mg.nn.Linear(D, H), mg.nn.LayerNorm(H), mg.nn.Linear(H, D)),
      lambda t: t.nn.Sequential(t.nn.Linear(D, H), t.nn.LayerNorm(H), t.nn.Linear(H, D)), simply, (T, B, D))  # fmt: skip

# --- attention ----------------------------------------------------------------------------------------------------

LATER = np.triu(np.ones((T, T), bool), 1)
PADDING = np.array([[False] * S, [False] * 3 + [True] * 2, [False, True] * 2 + [True]])
for heads in (1, 2):
    attention, of_torch = partial(mg.nn.MultiHeadAttention, E, heads), lambda t, h=heads: t.nn.MultiheadAttention(E, h)
    for t, b in [(T, B), (1, 1), (2, 1)]:
        own = lambda module, x: module(x, x, x)
        enter(f"attention to itself [{t}, {b}], {heads} heads", attention, of_torch, own, (t, b, E))
    across = lambda module, q, k, v: module(q, k, v)
    enter(f"attention across, {heads} heads", attention, of_torch, across, (T, B, E), (S, B, E), (S, B, E))
    masked = lambda module, q, k, m: module(q, k, k, key_padding_mask=m)
    enter(f"attention with padding, {heads} heads", attention, of_torch, masked, (T, B, E), (S, B, E), PADDING)
    later = lambda module, x, m: module(x, x, x, attn_mask=m)
    enter(f"attention to what came before, {heads} heads", attention, of_torch, later, (T, B, E), LATER)
    causal = lambda module, x, m: module(x, x, x, is_causal=True)
    theirs = lambda module, x, m: module(x, x, x, attn_mask=m, is_causal=True)
    enter(f"causal attention, {heads} heads", attention, of_torch, causal, (T, B, E), LATER, call_theirs=theirs)
    both = lambda module, x, m, p: module(x, x, x, attn_mask=m, key_padding_mask=p[:, :T])
    enter(f"attention with both masks, {heads} heads", attention, of_torch, both, (T, B, E), LATER, PADDING)

# --- with memory --------------------------------------------------------------------------------------------------


def with_state(lstm: bool, lengths: Any, module: Any, xs: Any, *state: Any) -> Any:
    return module(xs, state if lstm else state[0], lengths=lengths)


def of_packed(lstm: bool, lengths: Any, module: Any, xs: Any, *state: Any) -> Any:
    import torch

    given = state if lstm else state[0]
    if lengths is None:
        return module(xs, given)
    packed = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False)
    ys, last = module(packed, given)
    return torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=len(xs))[0], last


KINDS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("rnn", "RNN", {}, {}), ("rnn", "RNN", {"nonlinearity": "relu"}, {"nonlinearity": "relu"}), ("lstm", "LSTM", {}, {}),
    ("lstm", "LSTM", {"projection": 2}, {"proj_size": 2}), ("gru", "GRU", {}, {}),
]  # fmt: skip
for kind, theirs, options, their_options in KINDS:
    for layers, both_ways, steps, rows, lengths in [
        (1, False, T, B, None), (1, False, 1, 1, None), (1, True, T, B, None), (2, False, T, B, None), (2, True, T, B, None),
        (1, False, T, B, [2, 4, 1]), (2, True, T, B, [1, 3, 4]),
    ]:  # fmt: skip
        states = layers * (2 if both_ways else 1)
        state = [(states, rows, options.get("projection", H))] + [(states, rows, H)] * (kind == "lstm")
        lstm = kind == "lstm"
        enter(
            f"{kind} {options} [{steps}, {rows}], {layers} layers{', both ways' * both_ways}, lengths {lengths}",
            partial(mg.nn.Recurrent, kind, D, H, num_layers=layers, bidirectional=both_ways, **options),
            lambda t, k=theirs, n=layers, b=both_ways, o=their_options: getattr(t.nn, k)(D, H, n, bidirectional=b, **o),
            partial(with_state, lstm, lengths), (steps, rows, D), *state,
            call_theirs=partial(of_packed, lstm, lengths),
        )  # fmt: skip

# --- losses -------------------------------------------------------------------------------------------------------

rows, steps = rng_of("targets").integers(0, S, (B,)), rng_of("targets").integers(0, S, (T, B))
nn = mg.nn
loss("cross entropy of rows", nn.cross_entropy, lambda f, x, y: f.cross_entropy(x, y), (B, S), rows)
loss("cross entropy of one row", nn.cross_entropy, lambda f, x, y: f.cross_entropy(x, y), (1, S), rows[:1])
loss(
    "cross entropy of steps", nn.cross_entropy, lambda f, x, y: f.cross_entropy(x.permute(0, 2, 1), y), (T, B, S), steps
)
loss("cross entropy, some ignored", lambda x, y: nn.cross_entropy(x, y, ignore_index=int(rows[0])),
     lambda f, x, y: f.cross_entropy(x, y, ignore_index=int(rows[0])), (B, S), rows)  # fmt: skip
for shape in [(), (B,), (T, B, D), (1, 1)]:
    loss(f"mse {shape}", nn.mse_loss, lambda f, x, y: f.mse_loss(x, y), shape, shape)
    loss(f"binary cross entropy {shape}", nn.binary_cross_entropy_with_logits,
         lambda f, x, y: f.binary_cross_entropy_with_logits(x, y), shape, shape)  # fmt: skip
labels = np.array([[1, 2, 2], [3, 1, 4], [2, 2, 1]])
for reduction in ("mean", "sum", "none"):
    for name, lengths, symbols in [("full", [7, 7, 7], [3, 3, 3]), ("ragged", [7, 5, 4], [3, 2, 1])]:
        loss(f"ctc {name}, {reduction}",
             lambda x, y, n=lengths, s=symbols, r=reduction: nn.ctc_loss(mg.log_softmax(x), y.numpy(), np.array(n), np.array(s), reduction=r),
             lambda f, x, y, n=lengths, s=symbols, r=reduction: f.ctc_loss(f.log_softmax(x, -1), y, n, s, reduction=r),
             (7, B, S), labels, order=1)  # fmt: skip
