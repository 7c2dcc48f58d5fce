"""Make `optim.safetensors` from PyTorch: `pip install torch==2.13.0 safetensors numpy && python tests/golden/make_optim.py`.

Fifty steps of each optimiser on weights of several shapes, one of which has no gradient at first and none in every fifth
step; and the learning rates, and momenta, of two groups under each schedule. What was asked for is in the file's
metadata, as JSON.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

STEPS = 50
SHAPES = {"matrix": (3, 4), "scalar": (), "empty": (0, 3), "late": (5,)}
RULES = {
    "plain": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.03, "momentum": 0.9}),
    "decay": ("SGD", {"lr": 0.1, "weight_decay": 0.02}),
    "momentum and decay": ("SGD", {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.02}),
    "rmsprop": ("RMSprop", {"lr": 0.01}),
    "rmsprop, all options": ("RMSprop", {"lr": 0.003, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.02}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam, all options": ("Adam", {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.05}),
    "adamw": ("AdamW", {}),
    "adamw, all options": ("AdamW", {"lr": 0.02, "betas": [0.0, 0.9999], "eps": 1e-4, "weight_decay": 0.1}),
}
LONG = 300
RATES = [0.1, 0.02]
SCHEDULES = {
    "step": ("StepLR", {"step_size": 30, "gamma": 0.5}),
    "linear": ("LinearLR", {}),
    "linear, down": ("LinearLR", {"start_factor": 0.75, "end_factor": 0.25, "total_iters": 40}),
    "cosine": ("CosineAnnealingLR", {"T_max": 100, "eta_min": 0.001}),
    "cosine, to 0": ("CosineAnnealingLR", {"T_max": 37}),
    "onecycle": ("OneCycleLR", {"max_lr": [0.5, 0.1], "total_steps": 300}),
    "onecycle, three": ("OneCycleLR", {"max_lr": 0.5, "epochs": 30, "steps_per_epoch": 10, "three_phase": True,
                        "pct_start": 0.2, "anneal_strategy": "linear", "div_factor": 10.0, "final_div_factor": 100.0}),
    "onecycle, momentum": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 310, "base_momentum": [0.7, 0.8],
                           "max_momentum": 0.9, "pct_start": 0.5}),
    "onecycle, rate": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 299, "cycle_momentum": False}),
    "warmup": ("SequentialLR", {"schedulers": [["LinearLR", {"start_factor": 0.01, "total_iters": 20}],
               ["CosineAnnealingLR", {"T_max": 180}]], "milestones": [20]}),
    "three": ("SequentialLR", {"schedulers": [["LinearLR", {"total_iters": 30}], ["StepLR", {"step_size": 25}],
              ["CosineAnnealingLR", {"T_max": 50, "eta_min": 0.05}]], "milestones": [10, 150]}),
}  # fmt: skip


def build(optimizer: torch.optim.Optimizer, name: str, options: dict) -> torch.optim.lr_scheduler.LRScheduler:
    inner = {"schedulers": [build(optimizer, *part) for part in options.get("schedulers", [])]}
    kind = getattr(torch.optim.lr_scheduler, name)
    return kind(optimizer, **options | (inner if "schedulers" in options else {}))


def fifty_steps(arrays: dict[str, np.ndarray]) -> None:
    torch.manual_seed(3)
    starts = {name: torch.randn(shape, dtype=torch.float64) for name, shape in SHAPES.items()}
    gs = {name: torch.randn(STEPS, *shape, dtype=torch.float64) for name, shape in SHAPES.items()}
    arrays |= {f"start.{name}": x.numpy() for name, x in starts.items()}
    arrays |= {f"g.{name}": x.numpy() for name, x in gs.items()}
    for case, (rule, options) in RULES.items():
        weights = {name: torch.nn.Parameter(x.clone()) for name, x in starts.items()}
        optimizer = getattr(torch.optim, rule)(weights.values(), **options)
        places: dict[str, list[np.ndarray]] = {name: [] for name in weights}
        for i in range(STEPS):
            for name, p in weights.items():
                p.grad = None if name == "late" and (i < 7 or i % 5 == 0) else gs[name][i].clone()
            optimizer.step()
            for name, p in weights.items():
                places[name].append(p.detach().numpy().copy())
        arrays |= {f"{case}.{name}": np.stack(x) for name, x in places.items()}


def long_runs(arrays: dict[str, np.ndarray]) -> None:
    for case, (name, options) in SCHEDULES.items():
        groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in RATES]
        optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.5)
        schedule = build(optimizer, name, options)
        rates, momenta = [], []
        for i in range(LONG):
            schedule.step() if i else None
            rates.append(schedule.get_last_lr())
            momenta.append([group["momentum"] for group in optimizer.param_groups])
        arrays |= {f"{case}.lr": np.array(rates, np.float64), f"{case}.momentum": np.array(momenta, np.float64)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # a schedule that is followed by no training, and one that begins at a milestone
    made: dict[str, np.ndarray] = {}
    fifty_steps(made)
    long_runs(made)
    asked = {"rules": json.dumps(RULES), "schedules": json.dumps(SCHEDULES)}
    save_file(made, Path(__file__).with_name("optim.safetensors"), metadata={"torch": torch.__version__, **asked})
