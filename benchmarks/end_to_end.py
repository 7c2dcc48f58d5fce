"""A job as whole processes: `minigrad train lstm --task copy --steps 500` against a minimal PyTorch script that does
the same, from the start of Python to its end: `python benchmarks/end_to_end.py`.

The two take turns, so that both meet the same machine; what counts is the ratio of a pair. `--peers` names the Python
in which PyTorch is installed. It also times the way to the first step: a run of one step, from the command to its end.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = 500
SCRIPT = """
import sys

import numpy as np
import torch
from torch import nn

STEPS, BATCH, LENGTH, SYMBOLS, ITEMS, HIDDEN = int(sys.argv[1]), 32, 20, 8, 10, 128
rng = np.random.default_rng(0)
torch.manual_seed(0)


def batch():
    items = rng.integers(1, SYMBOLS + 1, (ITEMS, BATCH))
    shown = np.zeros((LENGTH + 2 * ITEMS, BATCH), np.int64)
    shown[:ITEMS] = items
    shown[LENGTH + ITEMS - 1] = SYMBOLS + 1
    wanted = np.zeros_like(shown)
    wanted[-ITEMS:] = items
    return torch.from_numpy(np.eye(SYMBOLS + 2, dtype=np.float32)[shown]), torch.from_numpy(wanted)


lstm, head = nn.LSTM(SYMBOLS + 2, HIDDEN), nn.Linear(HIDDEN, SYMBOLS + 2)
parameters = [*lstm.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.015, betas=(0.9, 0.99))
for step in range(1, STEPS + 1):
    xs, targets = batch()
    loss = nn.functional.cross_entropy(head(lstm(xs)[0]).flatten(0, 1), targets.flatten())
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    if step % 50 == 0:
        print(step, loss.item(), norm.item(), flush=True)
torch.save({"lstm": lstm.state_dict(), "head": head.state_dict(), "adam": optimizer.state_dict()}, sys.argv[2])
"""


def seconds(command: list[str]) -> float:
    """How long a process takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=sys.executable, help="the Python in which PyTorch is installed")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "peer.py"
        script.write_text(SCRIPT)

        def ours(steps: int, name: str) -> float:
            train = ["train", "lstm", "--task", "copy", "--steps", str(steps), "--out", f"{folder}/{name}"]
            return seconds([sys.executable, "-m", "minigrad_cli.main", *train])

        def theirs(steps: int) -> float:
            return seconds([options.peers, str(script), str(steps), f"{folder}/peer.pt"])

        ours(1, "warm"), theirs(1)  # kernels compiled, files in memory
        print(f"{'steps':>6} {'minigrad, s':>12} {'PyTorch, s':>12} {'ratio':>7}")
        for steps in (1, STEPS):
            pairs = [(ours(steps, f"run-{steps}-{i}"), theirs(steps)) for i in range(options.pairs)]
            a, b = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
            print(f"{steps:>6} {a:>12.2f} {b:>12.2f} {a / b:>7.2f}")


if __name__ == "__main__":
    main()
