"""Make `torch.safetensors` from PyTorch: `pip install torch==2.13.0 safetensors numpy && python tests/golden/make.py`.

For each cell a layer (two layers, both directions, float64), its inputs, outputs and all gradients under a random
cotangent of both the outputs and the last state; and five steps of each optimiser.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

T, B, D, H = 6, 3, 4, 5
KINDS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "RMSprop": {"lr": 0.01, "weight_decay": 0.01},
    "Adam": {"lr": 0.01, "weight_decay": 0.01},
    "AdamW": {"lr": 0.01, "weight_decay": 0.1},
}


def layer(name: str) -> dict[str, np.ndarray]:
    torch.manual_seed(1)
    net = KINDS[name](D, H, num_layers=2, bidirectional=True).double()
    x = torch.randn(T, B, D, dtype=torch.float64, requires_grad=True)
    state = [torch.randn(4, B, H, dtype=torch.float64, requires_grad=True) for _ in range(2 if name == "lstm" else 1)]
    ys, last = net(x, tuple(state) if name == "lstm" else state[0])
    last = list(last) if name == "lstm" else [last]
    outs = [ys, *last]
    gs = [torch.randn_like(out) for out in outs]
    torch.autograd.backward(outs, gs)
    found = {"x": x, "ys": ys, "gx": x.grad, "g_ys": gs[0]}
    for i, (s, out, g) in enumerate(zip(state, last, gs[1:], strict=True)):
        found |= {f"state{i}": s, f"gstate{i}": s.grad, f"last{i}": out, f"g_last{i}": g}
    for key, p in net.named_parameters():
        found |= {f"w.{key}": p, f"gw.{key}": p.grad}
    return {f"{name}.{key}": np.ascontiguousarray(value.detach().numpy()) for key, value in found.items()}


def optimizer(name: str) -> dict[str, np.ndarray]:
    torch.manual_seed(2)
    p = torch.nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    found = {f"{name}.start": p.detach().numpy().copy()}
    rule = getattr(torch.optim, name)([p], **OPTIMIZERS[name])
    for i in range(5):
        p.grad = torch.randn_like(p)
        found[f"{name}.g{i}"] = p.grad.numpy().copy()
        rule.step()
        found[f"{name}.p{i}"] = p.detach().numpy().copy()
    return found


if __name__ == "__main__":
    arrays: dict[str, np.ndarray] = {}
    for kind in KINDS:
        arrays |= layer(kind)
    for rule in OPTIMIZERS:
        arrays |= optimizer(rule)
    save_file(arrays, Path(__file__).with_name("torch.safetensors"), metadata={"torch": torch.__version__})
