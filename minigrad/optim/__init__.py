"""Optimisers, clipping and schedules of the learning rate. PyTorch's names and formulas.

Imports the files beside it.
"""

from minigrad.optim.clipping import add_grad_noise, clip_grad_norm, clip_grad_value
from minigrad.optim.onecycle import OneCycleLR
from minigrad.optim.rules import SGD, Adam, AdamW, RMSprop
from minigrad.optim.schedules import CosineAnnealingLR, LinearLR, SequentialLR, StepLR

__all__ = [
    "SGD", "Adam", "AdamW", "CosineAnnealingLR", "LinearLR", "OneCycleLR", "RMSprop", "SequentialLR", "StepLR",
    "add_grad_noise", "clip_grad_norm", "clip_grad_value",
]  # fmt: skip
