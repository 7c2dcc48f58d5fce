"""`Module` and `Parameter`: weights with names. Imports the floors below."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from minigrad.arraytype import ArrayType, check_dtype, is_floating
from minigrad.device import check_device, put
from minigrad.eager import tensor
from minigrad.errors import WeightsError, did_you_mean
from minigrad.tape import Leaf
from minigrad.values import Tensor

Array = np.ndarray[Any, Any]


class Parameter(Tensor):
    """A weight: a float Tensor that gradients are added up for, and that a Module finds by itself."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        value = data if isinstance(data, Tensor) else tensor(data)
        super().__init__(value._data.copy())
        self.requires_grad = True

    def assign(self, array: Array) -> None:
        """Take other values, and their float dtype; a pending backward that needs the old values will refuse."""
        dtype = array.dtype if is_floating(array.dtype) else self.dtype
        if dtype == self.dtype:
            with self.writing() as data:
                data[...] = array
            return
        self._replace(put(np.array(array, dtype=check_dtype(dtype), order="C"), self.device))

    def move(self, device: str) -> None:
        """Live on a device from now on, the gradient too; a pending backward that needs the old values will refuse."""
        if check_device(device) != self.device:
            grad = self.grad
            self._replace(put(self._data, device))
            if grad is not None:
                self.grad = grad.to(device)

    def _replace(self, data: Any) -> None:
        self.version = [self.version[0] + 1]  # others may still look at the old memory, which stays as it is
        self._data = data
        if self.edge is not None:
            assert isinstance(self.edge[0], Leaf)
            self.edge[0].is_gone = True
            self.edge = (Leaf(ArrayType(self.shape, self.dtype)), 0)


class Module:
    """Something with weights. Assign Parameters, Modules, or lists of Modules to attributes; nothing else is needed."""

    training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute; a subclass says what."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules directly inside, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                yield from ((f"{name}.{i}", m) for i, m in enumerate(value) if isinstance(m, Module))
            elif isinstance(value, dict):
                yield from ((f"{name}.{key}", m) for key, m in value.items() if isinstance(m, Module))

    def modules(self) -> Iterator["Module"]:
        """This module and all inside it."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    @property
    def reads_ahead(self) -> bool:
        """Whether an output depends on later steps, so that a sequence cannot be read piece by piece."""
        return any(module.reads_ahead for _, module in self.children())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every weight with its name, each once; the name is also what messages call it."""
        seen: set[int] = set()
        for name, parameter in self._named():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                parameter.name = name
                yield name, parameter

    def _named(self) -> Iterator[tuple[str, Parameter]]:
        yield from ((name, value) for name, value in vars(self).items() if isinstance(value, Parameter))
        for name, child in self.children():
            yield from ((f"{name}.{inner}", parameter) for inner, parameter in child._named())

    def parameters(self) -> list[Parameter]:
        """Every weight."""
        return [parameter for _, parameter in self.named_parameters()]

    def to(self, device: str) -> Self:
        """Move every weight to a device, "cpu" or "cuda"; an optimiser's state follows at its next step.

        Raises:
            DeviceError: if the device is not there.
        """
        for parameter in self.parameters():
            parameter.move(device)
        return self

    def train(self, mode: bool = True) -> Self:
        """Behave as in training: dropout drops."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Behave as in use: nothing is random."""
        return self.train(False)

    def state_dict(self) -> dict[str, Array]:
        """A copy of every weight by name."""
        return {name: parameter.numpy().copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, arrays: Mapping[str, Any]) -> None:
        """Take weights by name, unchanged, float64 included; either all fit or none is taken.

        Raises:
            WeightsError: naming every missing, unknown and misshapen weight.
        """
        mine = dict(self.named_parameters())
        given = {name: np.asarray(value) for name, value in arrays.items()}
        faults = [f"  {name} is missing" for name in mine if name not in given]
        faults += [f"  {name} is unknown.{did_you_mean(name, mine)}" for name in given if name not in mine]
        faults += [
            f"  {name} has shape {list(given[name].shape)}, the module {list(p.shape)}"
            for name, p in mine.items()
            if name in given and given[name].shape != p.shape
        ]
        if faults:
            raise WeightsError("\n".join([f"these weights do not fit {type(self).__name__}:", *faults]))
        for name, parameter in mine.items():
            parameter.assign(given[name])
