"""Modules, layers, attention, losses, the recurrent layer, and a function that only losses want."""

from minigrad.nn.attention import AdditiveAttention, DotAttention, MultiHeadAttention, rotate, sinusoidal
from minigrad.nn.cell import Cell
from minigrad.nn.ctc import ctc_loss
from minigrad.nn.layers import Dropout, Embedding, LayerNorm, Linear, Sequential
from minigrad.nn.losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from minigrad.nn.module import Module, Parameter
from minigrad.nn.recurrent import Recurrent
from minigrad.ops.smooth import log_sigmoid

__all__ = [
    "AdditiveAttention", "Cell", "DotAttention", "Dropout", "Embedding", "LayerNorm", "Linear", "Module",
    "MultiHeadAttention", "Parameter", "Recurrent", "Sequential", "binary_cross_entropy_with_logits", "cross_entropy",
    "ctc_loss", "log_sigmoid", "mse_loss", "rotate", "sinusoidal",
]  # fmt: skip
