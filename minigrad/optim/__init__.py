"""Optimisers and clipping. PyTorch's names and formulas.

Imports the files beside it.
"""

from minigrad.optim.clipping import add_grad_noise, clip_grad_norm, clip_grad_value
from minigrad.optim.rules import SGD, Adam, AdamW, RMSprop

__all__ = [
    "SGD", "Adam", "AdamW", "RMSprop",
    "add_grad_noise", "clip_grad_norm", "clip_grad_value",
]  # fmt: skip
