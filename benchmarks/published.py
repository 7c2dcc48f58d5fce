"""What papers say of these systems and tasks, and what ours do: `python benchmarks/published.py [NAME ...]`.

Each experiment runs over several seeds and prints a row a seed, then a table of published against measured. Minutes
each on two cores. Where the published figure is read: docs/published.md.
"""

import argparse
import sys
import time

import numpy as np

from minigrad.config import resolve
from minigrad.train import Run, evaluate


def prepare(model, task, seed, settings=None, **options):
    """A run of the settings, with `records` ready to be taken."""
    run = Run(resolve(model, task, settings=settings or {}, options={"seed": seed, "trace": "off", **options}), None)
    return run, run.records()


def train(model, task, seed, steps, settings=None, **options):
    """A run after that many steps."""
    run, records = prepare(model, task, seed, settings, steps=steps, **options)
    for _ in records:
        pass
    return run


def held_out(run, length=None, batches=40, **options):
    """The same model on fresh data, at another length perhaps."""
    config = {**run.config, "task": {**run.config["task"], **options}} | ({"length": length} if length else {})
    other = Run(config, None)
    other.model.load_state_dict(run.model.state_dict())
    return evaluate(other, batches=batches)


def addition(seed):
    """Held-out accuracy by epoch of 1407 batches of 32, Keras' example."""
    run, records = prepare(
        "seq2seq", "addition", seed, {"context": "repeat"}, steps=1407 * 25, lr=1e-3, clip=1e9, batch=32
    )
    found = []
    for record in records:
        if record["step"] % 1407 == 0:
            found.append(evaluate(run, batches=150)["accuracy"])
            if found[-1] >= 0.99:
                break
    return {"epoch 1": found[0], "epoch 5": found[min(4, len(found) - 1)], "best": max(found), "epochs": len(found)}


def adding(seed):
    """Moving mean squared error on adding at T = 100."""
    found = {}
    for model, steps in (("lstm", 5000), ("gru", 5000), ("rnn", 5000)):
        run, records = prepare(model, "adding", seed, length=100, steps=steps, lr=2e-3, batch=50, hidden=128)
        for _ in records:
            if run.solved:
                break
        found[f"{model} error"], found[f"{model} steps"] = run.average_loss, run.step
    return found


def temporal_order(seed):
    """Accuracy on temporal order at T = 100 after 32 000 sequences."""
    return {
        model: held_out(train(model, "temporal-order", seed, 1600, length=100, batch=20, hidden=64))["accuracy"]
        for model in ("lstm", "rnn")
    }


def selective_copy(seed):
    """Accuracy of a GRU on selective copying after 600 steps."""
    options = {"hidden": 128, "optimizer": "adamw", "lr": 0.01}
    runs = {n: train("gru", "selective-copy", seed, 600, length=n, **options) for n in (32, 64)}
    return {f"length {n}": held_out(run)["accuracy"] for n, run in runs.items()}


def copy(seed):
    """Copy at T = 20 as advised, and at T = 100 with 40 units and no chrono initialisation."""
    run = train("lstm", "copy", seed, 2500)
    plateau = train("lstm", "copy", seed, 2000, {"chrono": 0, "forget_bias": 1.0}, length=100, hidden=40, lr=1e-3)
    return {
        "accuracy 20": held_out(run)["accuracy"],
        "loss 100 / baseline": plateau.average_loss / plateau.task.baseline,
    }


def parity(seed):
    """Accuracy at length 100 after training on lengths 1 to 40."""
    found = {}
    for model, steps, options in (
        ("lstm", 4000, {"hidden": 256}),
        ("rnn", 4000, {"hidden": 256}),
        ("attention", 1500, {"hidden": 64, "layers": 2}),
    ):
        run, records = prepare(model, "parity", seed, length=40, batch=128, lr=1e-3, steps=steps, **options)
        for _ in records:
            if run.solved:
                break
        found[model], found[f"{model} steps"] = held_out(run, 100, exact=True)["accuracy"], run.step
    return found


def alignment(seed):
    """Accuracy on reversing 30 symbols, with and without attention."""
    return {
        kind: held_out(train("seq2seq", "reversal", seed, 1500, {"attention": kind}, length=30))["accuracy"]
        for kind in ("none", "additive", "dot", "general", "concat")
    }


EXPERIMENTS = {
    "addition": (addition, "accuracy .4116 after epoch 1, .7436 after 5, .992 by 16"),
    "adding": (adding, "LSTM and GRU far below .167, tanh RNN stays on it"),
    "temporal-order": (temporal_order, "LSTM solves it within 31 390 sequences; tanh RNN does not"),
    "selective-copy": (selective_copy, "GRU 1.000 at 32 and 64"),
    "copy": (copy, "97 % at T = 20; small nets stay on the baseline at T = 100"),
    "alignment": (alignment, "attention beats a fixed vector on long sequences (Bahdanau et al. 2015)"),
    "parity": (parity, "LSTM and RNN 100 % at 100, attention near 50 %"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.names:
        if name not in EXPERIMENTS:
            sys.exit(f"no experiment is called {name!r}; there are {', '.join(EXPERIMENTS)}")
        run, published = EXPERIMENTS[name]
        seeds = []
        for seed in range(arguments.seeds):
            start = time.perf_counter()
            seeds.append(run(seed))
            figures = ", ".join(f"{key} {value:.4g}" for key, value in seeds[-1].items())
            print(f"{name}, seed {seed}: {figures}  ({time.perf_counter() - start:.0f} s)", flush=True)
        low_high = [f"{k} {min(s[k] for s in seeds):.3g} to {max(s[k] for s in seeds):.3g}" for k in seeds[0]]
        median = ", ".join(f"{k} {np.median([s[k] for s in seeds]):.3g}" for k in seeds[0])
        rows.append(f"| {name} | {published} | {median} | {'; '.join(low_high)} |")
    print("\n| experiment | published | measured, median | lowest to highest of the seeds |\n|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
