"""ONNX' own tests of nodes, put to minigrad's modules: the arrays and attributes of a node in, its results out.

Gates come as z r n and i o f c, biases of both products as one row, a batch before the heads; masks are true where a
query may look. A module has PyTorch's order of all these, and so they are turned.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import minigrad as mg

Arrays = dict[str, Any]
KINDS = ("RNN", "LSTM", "GRU", "LayerNormalization", "Attention")
GATES = {"RNN": (1, (0,)), "LSTM": (4, (0, 2, 3, 1)), "GRU": (3, (1, 0, 2))}


def why_not(kind: str, attributes: Arrays, inputs: Arrays) -> str:
    """Why a test of ONNX is none of ours, or nothing."""
    if any(str(x.dtype) in ("float16", "bfloat16") for x in inputs.values()):
        return "halves of floats are refused"
    if kind != "Attention":
        return ""
    if inputs["K"].shape[-1] != inputs["V"].shape[-1]:
        return "MultiHeadAttention has keys and values of one size"
    if "softcap" in attributes:
        return "scores are not capped"
    if {"left_window_size", "right_window_size"} & set(attributes):
        return "there is no window but what a mask says"
    return "there is no cache of keys that is filled in part" if "nonpad_kv_seqlen" in inputs else ""


def run(kind: str, attributes: Arrays, inputs: Arrays) -> Arrays:
    """The results by their names, as far as minigrad gives them."""
    return {"LayerNormalization": norm, "Attention": attention}.get(kind, recurrent)(attributes, inputs, kind)


def recurrent(attributes: Arrays, inputs: Arrays, kind: str) -> Arrays:
    """X [T, B, D], W [ways, gates H, D], R [ways, gates H, H], B [ways, 2 gates H] -> Y [T, ways, B, H], Y_h, Y_c."""
    gates, order = GATES[kind]
    batch_first, hidden = attributes.get("layout", 0), attributes["hidden_size"]
    direction = attributes.get("direction", "forward")
    options = {
        "RNN": {},
        "LSTM": {"peephole": "P" in inputs},
        "GRU": {"reset_after": bool(attributes.get("linear_before_reset", 0))},
    }
    xs = inputs["X"].transpose(1, 0, 2) if batch_first else inputs["X"]
    layer = mg.nn.Recurrent(kind.lower(), xs.shape[2], hidden, bidirectional=direction == "bidirectional",
                            reverse=direction == "reverse", **options[kind])  # fmt: skip
    turned = lambda w: w.reshape(gates, hidden, *w.shape[1:])[list(order)].reshape(w.shape)
    weights = {}
    for way, (w, u) in enumerate(zip(inputs["W"], inputs["R"], strict=True)):
        b = inputs["B"][way] if "B" in inputs else np.zeros(2 * gates * hidden, w.dtype)
        place = "l0" + "_reverse" * way
        weights |= {f"weight_ih_{place}": turned(w), f"weight_hh_{place}": turned(u)}
        weights |= {f"bias_ih_{place}": turned(b[: gates * hidden]), f"bias_hh_{place}": turned(b[gates * hidden :])}
        if "P" in inputs:
            weights |= {
                f"weight_c{gate}_{place}": p for gate, p in zip("iof", np.split(inputs["P"][way], 3), strict=True)
            }
    layer.load_state_dict(weights)
    state = tuple(inputs[name] for name in ("initial_h", "initial_c") if name in inputs) or None
    ys, last = layer(xs, state if kind == "LSTM" else state and state[0], lengths=inputs.get("sequence_lens"))
    steps, rows, _ = ys.shape
    found = {"Y": ys.detach().numpy().reshape(steps, rows, -1, hidden).transpose(0, 2, 1, 3)}
    found |= zip(("Y_h", "Y_c"), (x.detach().numpy() for x in (last if kind == "LSTM" else (last,))), strict=False)
    if batch_first:
        found = {name: np.moveaxis(x, -2, 0) for name, x in found.items()}
    return found


def norm(attributes: Arrays, inputs: Arrays, _kind: str) -> Arrays:
    """X [..., n] -> Y, over all axes from `axis` on, which become one."""
    x, w, b = inputs["X"], inputs["W"].reshape(-1), inputs["B"].reshape(-1)
    layer = mg.nn.LayerNorm(w.size, eps=attributes.get("epsilon", 1e-5))
    layer.load_state_dict({"weight": w, "bias": b})
    return {"Y": layer(x.reshape(-1, w.size)).detach().numpy().reshape(x.shape)}


def attention(attributes: Arrays, inputs: Arrays, _kind: str) -> Arrays:
    """Q [B, heads, T, E], K and V [B, heads, S, E], or with the heads in the last axis -> Y like Q.

    MultiHeadAttention with weights that change nothing but the scale; keys that several queries share are repeated.
    """
    q, k, v = inputs["Q"], inputs["K"], inputs["V"]
    flat = q.ndim == 3
    if flat:
        counts = attributes["q_num_heads"], attributes["kv_num_heads"], attributes["kv_num_heads"]
        q, k, v = (x.reshape(*x.shape[:2], n, -1).transpose(0, 2, 1, 3) for x, n in zip((q, k, v), counts, strict=True))
    if "past_key" in inputs:
        k, v = np.concatenate([inputs["past_key"], k], 2), np.concatenate([inputs["past_value"], v], 2)
    rows, heads, steps, size = q.shape
    k, v = (np.repeat(x, heads // x.shape[1], axis=1) for x in (k, v))
    width, keys = heads * size, k.shape[2]
    layer, one = mg.nn.MultiHeadAttention(width, heads), np.eye(width, dtype=q.dtype)
    scale = attributes.get("scale", size**-0.5) * size**0.5
    zeros = np.zeros(3 * width, q.dtype)
    layer.load_state_dict({"in_proj_weight": np.concatenate([one * scale, one, one]).astype(q.dtype), "in_proj_bias": zeros,
                           "out_proj.weight": one, "out_proj.bias": zeros[:width]})  # fmt: skip
    mask, causal = inputs.get("attn_mask"), bool(attributes.get("is_causal", 0))
    if causal and "past_key" in inputs:  # a query comes after all that is past
        may, causal = np.tri(steps, keys, inputs["past_key"].shape[2], dtype=bool), False
        mask = (
            may if mask is None else mask & may if mask.dtype == bool else np.where(may, mask, -np.inf).astype(q.dtype)
        )
    if mask is not None:
        mask = ~mask if mask.dtype == bool else mask
        mask = mask if mask.ndim == 2 else np.broadcast_to(mask, (rows, heads, steps, keys)).reshape(-1, steps, keys)
    time_first = lambda x: x.transpose(2, 0, 1, 3).reshape(x.shape[2], rows, width)
    ys, _ = layer(time_first(q), time_first(k), time_first(v), attn_mask=mask, is_causal=causal)
    found = ys.detach().numpy().reshape(steps, rows, heads, size).transpose(1, 2, 0, 3)
    return {"Y": found.transpose(0, 2, 1, 3).reshape(rows, steps, width) if flat else found}


def installed() -> Iterator[tuple[str, str, Arrays, Arrays, Arrays]]:
    """Of each test of these nodes in the package: name, kind, attributes, inputs, results.

    A test whose name has `_expanded` is another one's arrays again, for the node written out in simpler ones.
    """
    from importlib import import_module

    from onnx.backend.test.case import node as tests
    from onnx.helper import get_attribute_value

    for module in KINDS:
        import_module(f"onnx.backend.test.case.node.{module.lower()}")
    for case in tests._NodeTestCases:
        node = case.model.graph.node[0]
        if "_expanded" in case.name:
            continue
        inputs, outputs = case.data_sets[0]
        attributes = {a.name: get_attribute_value(a) for a in node.attribute}
        attributes = {name: x.decode() if isinstance(x, bytes) else x for name, x in attributes.items()}
        names = [name for name in node.input if name], [name for name in node.output if name]
        yield (
            case.name,
            node.op_type,
            attributes,
            dict(zip(names[0], inputs, strict=False)),
            dict(zip(names[1], outputs, strict=False)),
        )
