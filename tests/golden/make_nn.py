"""Make `nn.safetensors` from PyTorch: `pip install torch==2.13.0 safetensors numpy && python tests/golden/make_nn.py`.

Losses with all their options, and multi-head attention with all kinds of masks, in float64. Of each loss: x, what it is
compared with, the value, its gradient for x under a random cotangent g, and, but for CTC, which PyTorch cannot
differentiate twice, the gradient of (that gradient · u). Options stand as JSON in the file's metadata.
"""

import json
from itertools import product
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn import functional

SHAPES = {"cross_entropy": [(4, 5), (3,), (1, 1)], "soft": [(4, 5), (3,)], "bce": [(4, 3), ()], "mse": [(4, 3), ()]}
FUNCTIONS = {
    "cross_entropy": functional.cross_entropy, "soft": functional.cross_entropy, "bce": functional.binary_cross_entropy_with_logits, "mse": functional.mse_loss,
}  # fmt: skip


def options_of(kind: str, n: int):
    """Every combination of a loss's options; `n` is the last size of x."""
    reductions = ("mean", "sum", "none")
    if kind in ("cross_entropy", "soft"):
        for reduction, weighted, smoothing, ignored in product(reductions, (0, 1), (0.0, 0.3), (0, 1)):
            if not ignored or (kind == "cross_entropy" and n > 1):
                yield {"reduction": reduction, "label_smoothing": smoothing} | (
                    {"weight": n} if weighted else {}
                ) | ({"ignore_index": 1} if ignored else {})  # fmt: skip
    elif kind == "bce":
        for reduction, weighted, positive in product(reductions, (0, 1), (0, 1)):
            yield (
                {"reduction": reduction} | ({"weight": n} if weighted else {}) | ({"pos_weight": n} if positive else {})
            )
    else:
        yield from ({"reduction": reduction} for reduction in reductions)


def losses(arrays: dict[str, np.ndarray], cases: dict[str, dict]) -> None:
    rng = np.random.default_rng(3)
    for kind, shapes in SHAPES.items():
        for shape in shapes:
            for options in options_of(kind, shape[-1] if shape else 1):
                name = f"{kind}.{sum(key.startswith(kind) for key in cases)}"
                cases[name] = {key: value for key, value in options.items() if not key.endswith("weight")}
                x = torch.tensor(rng.normal(size=shape) * 2, requires_grad=True)
                if kind == "cross_entropy":
                    t = rng.integers(0, shape[-1], shape[:-1])
                elif kind == "soft":
                    t = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
                else:
                    t = rng.uniform(size=shape)
                weights = {key: rng.uniform(0.5, 2, n) for key, n in options.items() if key.endswith("weight")}
                given = cases[name] | {key: torch.tensor(w) for key, w in weights.items()}
                if not shape:
                    given |= {key: torch.tensor(w[0]) for key, w in weights.items()}
                    weights = {key: w[0] for key, w in weights.items()}
                out = FUNCTIONS[kind](x, torch.tensor(t), **given)
                g, u = rng.normal(size=tuple(out.shape)), rng.normal(size=shape)
                (gx,) = torch.autograd.grad(out, x, torch.tensor(g), create_graph=True)
                (ggx,) = torch.autograd.grad(gx, x, torch.tensor(u))
                found = {"x": x, "t": t, "loss": out, "g": g, "gx": gx, "u": u, "ggx": ggx, **weights}
                arrays |= {f"{name}.{key}": plain(value) for key, value in found.items()}


def ctc(arrays: dict[str, np.ndarray], cases: dict[str, dict]) -> None:
    rng = np.random.default_rng(4)
    targets, steps, symbols = np.array([[1, 1, 2], [2, 2, 2], [3, 1, 0]]), np.array([5, 3, 2]), np.array([3, 3, 2])
    for i, reduction in enumerate(("mean", "sum", "none")):
        cases[f"ctc.{i}"] = {"reduction": reduction, "zero_infinity": True}
        x = torch.tensor(rng.normal(size=(5, 3, 4)), requires_grad=True)
        out = functional.ctc_loss(
            functional.log_softmax(x, -1),
            torch.tensor(targets),
            torch.tensor(steps),
            torch.tensor(symbols),
            **cases[f"ctc.{i}"],
        )
        g = rng.normal(size=tuple(out.shape))
        (gx,) = torch.autograd.grad(out, x, torch.tensor(g))
        found = {"x": x, "t": targets, "input_lengths": steps, "target_lengths": symbols, "loss": out, "g": g, "gx": gx}
        arrays |= {f"ctc.{i}.{key}": plain(value) for key, value in found.items()}


def attention(arrays: dict[str, np.ndarray], cases: dict[str, dict]) -> None:
    torch.manual_seed(5)
    rng = np.random.default_rng(5)
    net = torch.nn.MultiheadAttention(6, 3, dtype=torch.float64)
    torch.nn.init.normal_(net.in_proj_bias)
    arrays |= {f"attention.w.{key}": plain(value) for key, value in net.state_dict().items()}
    shapes = {"key_padding_mask": [None, (2, 5)], "attn_mask": [None, (4, 5), (6, 4, 5)]}
    for i, (padding, pairs, floats) in enumerate(product(*shapes.values(), (False, True))):
        name = f"attention.{i}"
        cases[name] = {}
        masks = {}
        for key, shape in (("key_padding_mask", padding), ("attn_mask", pairs)):
            if shape is not None:
                hidden = rng.uniform(size=shape) < 0.3
                hidden[..., 0] = False
                masks[key] = np.where(hidden, -np.inf, rng.normal(size=shape)) if floats else hidden
        parts = [torch.tensor(rng.normal(size=(n, 2, 6)), requires_grad=True) for n in (4, 5, 5)]
        out, weights = net(*parts, **{key: torch.tensor(mask) for key, mask in masks.items()})
        g = rng.normal(size=tuple(out.shape))
        gs = torch.autograd.grad(out, parts, torch.tensor(g))
        found = {"out": out, "weights": weights, "g": g, **masks}
        for key, part, of_part in zip("qkv", parts, gs, strict=True):
            found |= {key: part, f"g{key}": of_part}
        arrays |= {f"{name}.{key}": plain(value) for key, value in found.items()}


def plain(value) -> np.ndarray:
    """As safetensors takes it."""
    return np.array(value.detach().numpy() if isinstance(value, torch.Tensor) else value, order="C")


if __name__ == "__main__":
    made: dict[str, np.ndarray] = {}
    told: dict[str, dict] = {}
    for make in (losses, ctc, attention):
        make(made, told)
    about = {"torch": torch.__version__, "options": json.dumps(told)}
    save_file(made, Path(__file__).with_name("nn.safetensors"), metadata=about)
