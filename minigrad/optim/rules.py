"""How a gradient becomes a step: the optimisers.

Imports the files before it and the floors below. Each rule writes its parameters in place; a backward that still needs
the old values refuses.
"""

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

import numpy as np

from minigrad import device
from minigrad.errors import UsageError, WeightsError, did_you_mean
from minigrad.mode import quiet
from minigrad.optim.arguments import BELOW_1, NOT_NEGATIVE, SHARE, called, leaves, listed, number
from minigrad.values import Tensor

Array = np.ndarray[Any, Any]
Options = dict[str, Any]
Parameters = Iterable[Tensor] | Iterable[Options]
RANGES = {"alpha": SHARE}  # of options that may not be just any number of 0 or more


def _option(where: str, name: str, value: Any) -> Any:
    """An option as a float, or two of them.

    Raises:
        UsageError: if it is anything else, or out of its range.
    """
    if name != "betas":
        return number(where, name, value, RANGES.get(name, NOT_NEGATIVE))
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise UsageError(f"{where}: betas must be two numbers, not {value!r}.")
    return tuple(number(where, f"betas[{i}]", beta, BELOW_1) for i, beta in enumerate(value))


class Optimizer:
    """Holds groups of parameters with the options that each moves by, and a few arrays a parameter.

    `param_groups` is a list of dicts, `params` and an entry an option, which may be read and written between steps.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, params: Parameters, **options: Any) -> None:
        where = type(self).__name__
        self.defaults = {name: _option(where, name, value) for name, value in options.items()}
        if isinstance(params, Tensor):
            raise UsageError(f"{where}: takes a list of parameters, not one tensor. Write [...] around it.")
        found = listed(where, params)
        in_groups = bool(found) and all(isinstance(group, Mapping) for group in found)
        self.param_groups = [
            self._new_group(f"{where}: group {i}" if in_groups else where, group)
            for i, group in enumerate(found if in_groups else [{"params": found}])
        ]
        self.params = leaves(where, [p for group in self.param_groups for p in group["params"]])
        if not self.params:
            raise UsageError(f"{where}: there are no parameters to train.")
        for i, p in enumerate(self.params):
            if not getattr(p._data, "shadow", p._data).flags.writeable:
                raise UsageError(f"{where}: {called(i, p)} repeats elements and cannot be written. Copy it first.")
        self.steps = [0] * len(self.params)
        self.state = [self._state_of(p, options, {}) for p, options in self._moving()]

    def _new_group(self, where: str, group: Mapping[str, Any]) -> Options:
        if "params" not in group:
            raise UsageError(f"{where} has no 'params'. Write {{'params': [...], 'lr': ...}}.")
        return {"params": leaves(where, group["params"]), **self._read(where, group)}

    def _read(self, where: str, group: Mapping[str, Any]) -> Options:
        """The options of a group as it has them now."""
        known = ("params", *self.defaults, "initial_lr")
        for name in group:
            if name not in known:
                raise UsageError(
                    f"{where}: there is no option {name!r}.{did_you_mean(str(name), known)} "
                    f"A group has: {', '.join(known)}."
                )
        return {name: _option(where, name, group.get(name, default)) for name, default in self.defaults.items()}

    def _moving(self) -> list[tuple[Tensor, Options]]:
        """Every parameter with the options that it moves by."""
        where, found = type(self).__name__, []
        for i, group in enumerate(self.param_groups):
            options = self._read(f"{where}: group {i}" if len(self.param_groups) > 1 else where, group)
            found += [(p, options) for p in group["params"]]
        if [id(p) for p, _ in found] != [id(p) for p in self.params]:
            raise UsageError(f"{where}: the parameters of a group were changed. Make a new {where} for that.")
        return found

    def _slots(self, options: Options) -> tuple[str, ...]:
        """The names of the arrays that a parameter needs."""
        return self.slots

    def _state_of(self, p: Tensor, options: Options, state: dict[str, Any]) -> dict[str, Any]:
        """The arrays that a parameter needs, of its type and where it lives."""
        found = dict(state)
        for slot in self._slots(options):
            array = state[slot] if slot in state else np.zeros(p.shape, p.dtype)
            if array.shape != p.shape:
                raise UsageError(
                    f"{type(self).__name__}: {p.name or 'a parameter'} has shape {list(p.shape)} now and had "
                    f"{list(array.shape)}. Make a new {type(self).__name__}."
                )
            found[slot] = device.put(array if array.dtype == p.dtype else array.astype(p.dtype), p.device)
        return found

    @property
    def lr(self) -> float:
        """The learning rate, of the first group if there are several; to write it is to set that of them all."""
        rate: float = self.param_groups[0]["lr"]
        return rate

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = _option(type(self).__name__, "lr", value)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            if p.requires_grad:
                p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient; each counts its own steps, and a frozen one stays."""
        with quiet():
            for i, (p, options) in enumerate(self._moving()):
                if p.grad is None:
                    continue
                self.steps[i] += 1
                self.state[i] = self._state_of(p, options, self.state[i])
                with p.writing() as data:
                    self.update(data, p.grad._data, step=self.steps[i], **self.state[i], **options)

    def update(self, p: Array, g: Array, **state: Any) -> None:
        """Write the new `p`, and the arrays of the state, which has the options too, and `step`, counted from 1."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Array]:
        """All there is to go on from but the options: `steps` [parameters], and `slot.i` for parameter i."""
        arrays = {
            f"{s}.{i}": device.put(a.copy(), "cpu") for i, state in enumerate(self.state) for s, a in state.items()
        }
        return {"steps": np.array(self.steps), **arrays}

    def load_state_dict(self, arrays: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; either all fits or none is taken.

        Raises:
            WeightsError: if it belongs to another optimiser or other parameters, naming every entry that does not fit.
        """
        where, mine = type(self).__name__, self.state_dict()
        if not isinstance(arrays, Mapping):
            raise WeightsError(f"{where} goes on from a dict that state_dict() gave, not from {type(arrays).__name__}.")
        given = {name: _numbers(value) for name, value in arrays.items()}
        faults = [f"  {name} is missing" for name in mine if name not in given]
        for name, array in given.items():
            if name not in mine:
                faults.append(f"  {name} is unknown.{did_you_mean(str(name), mine)}")
            elif array is None or (name == "steps" and (array.dtype.kind == "f" or (array < 0).any())):
                faults.append(f"  {name} must be {'counts' if name == 'steps' else 'numbers'}, not {arrays[name]!r}")
            elif array.shape != mine[name].shape:
                faults.append(f"  {name} has shape {list(array.shape)}, here {list(mine[name].shape)}")
        if faults:
            raise WeightsError("\n".join([f"this state does not fit {where} with these parameters:", *faults]))
        self.steps = [int(n) for n in given["steps"]]  # type: ignore[union-attr]
        self.state = [
            {slot: device.put(given[f"{slot}.{i}"], p.device) for slot in state}
            for i, (p, state) in enumerate(zip(self.params, self.state, strict=True))
        ]


def _numbers(value: Any) -> Array | None:
    """A copy of an array of real numbers; None for anything else."""
    try:
        found = np.array(value, order="C")
    except ValueError:  # lists of different lengths
        return None
    return found if found.dtype.kind in "fiu" else None


class SGD(Optimizer):
    """v = momentum v + g + decay p;  p -= lr v."""

    slots = ("velocity",)

    def __init__(self, params: Parameters, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def _slots(self, options: Options) -> tuple[str, ...]:
        return self.slots if options["momentum"] else ()

    def update(self, p: Array, g: Array, **state: Any) -> None:
        """One parameter."""
        if state["weight_decay"]:
            g = g + state["weight_decay"] * p
        if state["momentum"]:
            velocity = state["velocity"]
            velocity *= state["momentum"]
            velocity += g
            g = velocity
        p -= state["lr"] * g


class RMSprop(Optimizer):
    """s = alpha s + (1 - alpha) g²;  p -= lr g / (√s + eps)   (Tieleman and Hinton 2012)."""

    slots = ("square",)

    def __init__(
        self,
        params: Parameters,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay)

    def update(self, p: Array, g: Array, **state: Any) -> None:
        """One parameter."""
        if state["weight_decay"]:
            g = g + state["weight_decay"] * p
        square = state["square"]
        square *= state["alpha"]
        square += (1 - state["alpha"]) * g * g
        p -= state["lr"] * g / (np.sqrt(square) + state["eps"])


class Adam(Optimizer):
    """m = β₁ m + (1 - β₁) g;  v = β₂ v + (1 - β₂) g²;  p -= lr m̂ / (√v̂ + eps)   (Kingma and Ba 2015)."""

    slots = ("m", "v")
    decoupled = False

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, p: Array, g: Array, **state: Any) -> None:
        """One parameter, in one pass over its memory."""
        lr, (beta1, beta2), decay = state["lr"], state["betas"], state["weight_decay"]
        rate, root = lr / (1 - beta1 ** state["step"]), 1 / sqrt(1 - beta2 ** state["step"])
        coupled, beside = (0.0, lr * decay) if self.decoupled else (decay, 0.0)
        settings = np.array([rate, root, beta1, 1 - beta1, beta2, 1 - beta2, state["eps"], coupled, beside])
        m, v = state["m"], state["v"]
        if device.home(p) != "cpu":
            device.arrays(device.home(p)).adam(p, g, m, v, settings)
            return
        from minigrad.kernels import cpu

        flat = [np.ascontiguousarray(a).reshape(-1) for a in (p, g, m, v)]
        cpu.adam(*flat, settings)
        if not p.flags.c_contiguous:  # that was a copy
            p[...] = flat[0].reshape(p.shape)


class AdamW(Adam):
    """Adam, and p -= lr decay p beside it (Loshchilov and Hutter 2019)."""

    decoupled = True

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
