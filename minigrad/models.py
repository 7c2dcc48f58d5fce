"""The model that a configuration names: a cell with a readout, or what a model plugin builds.

Imports `nn`, `registry` and the floors below.
"""

import inspect
from typing import Any

from minigrad import nn, registry
from minigrad.config import MODEL_KEYS, Table
from minigrad.device import memory_bytes
from minigrad.errors import UsageError


class SequenceModel(nn.Module):
    """A recurrent layer and a readout: xs [T, B, D] -> outputs [T, B, O]."""

    def __init__(self, cell: str, task: Any, config: Table) -> None:
        options = {k: v for k, v in config["model"].items() if k != "name"}
        self.recurrent = nn.Recurrent(
            cell,
            task.input_size,
            config["hidden"],
            num_layers=config["layers"],
            bidirectional=config["bidirectional"],
            **options,
        )
        self.readout = nn.Linear(self.recurrent.output_size, task.output_size)

    def reset(self, state: Any, rows: Any) -> Any:
        """The state with some rows [B] of the batch set back to the beginning."""
        return self.recurrent.reset(state, rows)

    def forward(self, xs: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """(outputs [T, B, O], state)."""
        ys, state = self.recurrent(xs, state, lengths)
        return self.readout(ys), state


def build_model(config: Table, task: Any) -> nn.Module:
    """The model that a configuration names: a cell with a readout, or what a model plugin builds."""
    name = config["model"]["name"]
    if registry.find("models", name).kind == "cells":
        return SequenceModel(name, task, config)
    build = registry.load("models", name)
    options = {k: v for k, v in config["model"].items() if k != "name"}
    asked = inspect.signature(build).parameters
    return build(task, **options, **{k: config[k] for k in MODEL_KEYS if k in asked})


def check_fits(config: Table, task: Any, model: Any) -> None:
    """Raise UsageError for a model that would see what it is to predict, or an option that it has no use for."""
    name, about = config["model"]["name"], config["task"]["name"]
    if getattr(task, "predicts", False) and model.reads_ahead:
        remedy = "Leave out --bidirectional." if config["bidirectional"] else "For attention say --set causal=true."
        raise UsageError(f"{about} asks at each step for what comes next, and {name} here reads ahead: it would see "
                         f"the answer. {remedy}")  # fmt: skip
    if config["bidirectional"] and registry.find("models", name).kind != "cells":
        if "bidirectional" not in inspect.signature(registry.load("models", name)).parameters:
            raise UsageError(f"the model {name} has no directions: leave out --bidirectional.")


def check_memory(config: Table, steps: int, task: Any) -> None:
    """Raise UsageError if weights and the tape of one batch would clearly not fit into the device's memory."""
    hidden, layers = config["hidden"], config["layers"] * (1 + config["bidirectional"])
    weights = 4 * hidden * (2 * hidden + task.input_size) * layers * 4 * 6  # value, gradient, two moments, two drawn
    tape = steps * config["batch"] * (20 * hidden * layers + 2 * (task.input_size + task.output_size)) * 4
    memory = memory_bytes(config["device"])
    if weights + tape > memory:
        raise UsageError(
            f"hidden {hidden}, layers {config['layers']}, batch {config['batch']} over {steps} steps need about "
            f"{(weights + tape) / 2**30:.0f} GiB, and device {config['device']!r} has {memory / 2**30:.0f}. Make one "
            "of them smaller."
        )
