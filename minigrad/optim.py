"""Optimisers: how a gradient becomes a step. PyTorch's names and formulas.

Imports `nn.module` and the floors below. Each rule writes its parameters in place; a backward that still needs the old
values refuses.
"""

from collections.abc import Iterable
from math import isfinite, sqrt
from typing import Any

import numpy as np

from minigrad import device, random
from minigrad.errors import DivergedError, UsageError, WeightsError
from minigrad.mode import no_grad
from minigrad.nn.module import Parameter
from minigrad.ops.elementwise import clip
from minigrad.values import Tensor

Array = np.ndarray[Any, Any]
__all__ = ["SGD", "Adam", "AdamW", "RMSprop", "add_grad_noise", "clip_grad_norm", "clip_grad_value"]


class Optimizer:
    """Holds parameters, a learning rate, and a few arrays a parameter."""

    slots: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Parameter], lr: float) -> None:
        self.params = list(params)
        if not self.params:
            raise UsageError(f"{type(self).__name__}: there are no parameters to train.")
        if not isinstance(lr, (int, float)) or not 0 < lr < float("inf"):
            raise UsageError(f"{type(self).__name__}: lr must be a number above 0, not {lr!r}.")
        self.lr = float(lr)
        self.steps = 0
        self.state = [
            {slot: device.put(np.zeros(p.shape, p.dtype), p.device) for slot in self.slots} for p in self.params
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        self.steps += 1
        for p, state in zip(self.params, self.state, strict=True):
            if p.grad is None:
                continue
            for slot, array in state.items():
                state[slot] = device.put(array if array.dtype == p.dtype else array.astype(p.dtype), p.device)
            with p.writing() as data:
                self.update(data, p.grad._data, **state)

    def update(self, p: Array, g: Array, **state: Array) -> None:
        """Write the new `p`, and the state."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Array]:
        """All there is to go on from: `steps`, and `slot.i` for parameter i."""
        arrays = {
            f"{s}.{i}": device.put(a.copy(), "cpu") for i, state in enumerate(self.state) for s, a in state.items()
        }
        return {"steps": np.array(self.steps), **arrays}

    def load_state_dict(self, arrays: dict[str, Array]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            WeightsError: if it belongs to another optimiser or other parameters.
        """
        mine = self.state_dict()
        if {k: a.shape for k, a in mine.items()} != {k: np.shape(a) for k, a in arrays.items()}:
            raise WeightsError(f"this state is not of {type(self).__name__} for these parameters.")
        self.steps = int(arrays["steps"])
        self.state = [
            {s: device.put(np.array(arrays[f"{s}.{i}"]), p.device) for s in self.slots}
            for i, p in enumerate(self.params)
        ]


def _check_positive(where: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise UsageError(f"{where}: {name} must be a number above 0, not {value!r}.")


def _check_decay(rule: Any) -> None:
    if not 0 <= rule.weight_decay < float("inf"):
        raise UsageError(f"{type(rule).__name__}: weight_decay must be 0 or more, not {rule.weight_decay!r}.")


class SGD(Optimizer):
    """v = momentum v + g + decay p;  p -= lr v."""

    def __init__(
        self, params: Iterable[Parameter], lr: float, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        self.slots = ("velocity",) if momentum else ()
        super().__init__(params, lr)
        self.momentum, self.weight_decay = momentum, weight_decay
        _check_decay(self)

    def update(self, p: Array, g: Array, **state: Array) -> None:
        """One parameter."""
        if self.weight_decay:
            g = g + self.weight_decay * p
        if self.momentum:
            velocity = state["velocity"]
            velocity *= self.momentum
            velocity += g
            g = velocity
        p -= self.lr * g


class RMSprop(Optimizer):
    """s = alpha s + (1 - alpha) g²;  p -= lr g / (√s + eps)   (Tieleman and Hinton 2012)."""

    slots = ("square",)

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        _check_positive("RMSprop", eps=eps)
        self.alpha, self.eps, self.weight_decay = alpha, eps, weight_decay
        _check_decay(self)

    def update(self, p: Array, g: Array, **state: Array) -> None:
        """One parameter."""
        if self.weight_decay:
            g = g + self.weight_decay * p
        square = state["square"]
        square *= self.alpha
        square += (1 - self.alpha) * g * g
        p -= self.lr * g / (np.sqrt(square) + self.eps)


class Adam(Optimizer):
    """m = β₁ m + (1 - β₁) g;  v = β₂ v + (1 - β₂) g²;  p -= lr m̂ / (√v̂ + eps)   (Kingma and Ba 2015)."""

    slots = ("m", "v")
    decoupled = False

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        if not all(0 <= beta < 1 for beta in betas):
            raise UsageError(f"{type(self).__name__}: betas must be from 0 up to, not including, 1, not {betas!r}.")
        _check_positive(type(self).__name__, eps=eps)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        _check_decay(self)

    def update(self, p: Array, g: Array, **state: Array) -> None:
        """One parameter, in one pass over its memory."""
        beta1, beta2 = self.betas
        rate, root = self.lr / (1 - beta1**self.steps), 1 / sqrt(1 - beta2**self.steps)
        coupled, decay = (0.0, self.lr * self.weight_decay) if self.decoupled else (self.weight_decay, 0.0)
        settings = np.array([rate, root, beta1, beta2, self.eps, coupled, decay], p.dtype)
        m, v = state["m"], state["v"]
        if device.home(p) == "cpu":
            from minigrad.kernels import cpu

            cpu.adam(*(np.ascontiguousarray(a).reshape(-1) for a in (p, g, m, v)), settings)
        else:
            device.arrays(device.home(p)).adam(p, g, m, v, settings)


class AdamW(Adam):
    """Adam, and p -= lr decay p beside it (Loshchilov and Hutter 2019)."""

    decoupled = True

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)


def clip_grad_value(params: Iterable[Parameter], limit: float) -> None:
    """Cut every element of every gradient off at ±`limit`: unlike clipping by norm, this turns the direction.

    Raises:
        UsageError: unless `limit` is above 0.
    """
    if not limit > 0:
        raise UsageError(f"clip_grad_value: the limit must be above 0, not {limit!r}.")
    with no_grad():
        for p in params:
            if p.grad is not None:
                p.grad = clip(p.grad, -limit, limit)


def add_grad_noise(params: Iterable[Parameter], eta: float, step: int, gamma: float = 0.55) -> None:
    """Add normal noise of variance eta / (1 + step)^gamma to every gradient (Neelakantan et al. 2015).

    Raises:
        UsageError: unless `eta` is 0 or more.
    """
    if not 0 <= eta < float("inf"):
        raise UsageError(f"add_grad_noise: eta must be 0 or more, not {eta!r}.")
    deviation = sqrt(eta / (1 + step) ** gamma)
    with no_grad():
        for p in params:
            if p.grad is not None:
                noise = random.generator().standard_normal(p.shape, dtype=np.float32)
                p.grad = p.grad + (deviation * noise).astype(p.dtype)


def clip_grad_norm(params: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients so that their common norm is at most `max_norm`; return the norm before.

    Raises:
        DivergedError: if a gradient is not finite, naming its parameter; no gradient is changed then.
    """
    some = [p for p in params if p.grad is not None]
    squares = device.square_sums([p.grad._data for p in some if p.grad is not None])
    (found,) = device.fetch([squares])
    for i, (p, square) in enumerate(zip(some, found, strict=True)):
        if not np.isfinite(square):
            name = p.name or f"parameter {i} ({p.dtype}{list(p.shape)})"
            raise DivergedError(f"the gradient of {name} is not finite. Lower the learning rate, or clip earlier.")
    shorten(some, squares, max_norm)
    return sqrt(found.sum())


def shorten(params: list[Parameter], squares: Any, max_norm: float) -> None:
    """Scale all gradients, whose sums of squares are known, as `clip_grad_norm` does, without asking their device."""
    if not isfinite(max_norm):
        return
    norm = np.sqrt(squares.sum(axis=0))
    if device.home(squares) == "cpu" and not norm > max_norm:
        return
    factor = max_norm / np.maximum(norm, max_norm)
    for p in params:
        assert isinstance(p.grad, Tensor)
        p.grad = Tensor(p.grad._data * factor.astype(p.dtype))
