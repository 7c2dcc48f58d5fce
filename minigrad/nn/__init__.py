"""Modules, layers, losses, and the recurrent layer."""

from minigrad.nn.cell import Cell
from minigrad.nn.layers import Dropout, Embedding, LayerNorm, Linear, Sequential
from minigrad.nn.losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from minigrad.nn.module import Module, Parameter
from minigrad.nn.recurrent import Recurrent

__all__ = [
    "Cell", "Dropout", "Embedding", "LayerNorm", "Linear", "Module", "Parameter", "Recurrent", "Sequential",
    "binary_cross_entropy_with_logits", "cross_entropy", "mse_loss",
]  # fmt: skip
