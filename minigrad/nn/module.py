"""`Module` and `Parameter`: weights with names. Imports the floors below."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from minigrad.arraytype import ArrayType, check_dtype, is_floating, show
from minigrad.device import check_device, put
from minigrad.eager import tensor
from minigrad.errors import UsageError, WeightsError, did_you_mean
from minigrad.tape import Leaf
from minigrad.values import Tensor

Array = np.ndarray[Any, Any]
NESTS = (list, tuple, dict)


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


class Loaded(NamedTuple):
    """What `load_state_dict(strict=False)` left alone, by name."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Something with weights. Assign Parameters, Modules, or nests of lists, tuples and dicts of them to attributes;
    nothing else is needed. The walk over them asks no attribute that a subclass may have a use for.
    """

    _minigrad_training = True

    @property
    def training(self) -> Any:
        """Whether it behaves as in training. What is assigned here and no boolean is the module's own affair."""
        return vars(self).get("training", self._minigrad_training)

    @training.setter
    def training(self, value: Any) -> None:
        if isinstance(value, bool):
            self._minigrad_training = value
        else:
            vars(self)["training"] = value

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute; a subclass says what."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def _minigrad_inside(self) -> Iterator[tuple[str, "Parameter | Module"]]:
        """What is directly inside, nests opened, with its names."""
        for name, value in vars(self).items():
            if isinstance(value, (Parameter, Module)):
                yield name, value
            elif isinstance(value, (*NESTS, set, frozenset)):
                yield from _opened(name, value, ())

    def _minigrad_joined(self, place: str, name: str) -> str:
        """The name of a weight that is called `name` in the module at `place`."""
        return f"{place}.{name}"

    def _minigrad_named(self, seen: set[int] | None = None, *, every: bool = False) -> Iterator[tuple[str, Parameter]]:
        """Each weight with its name, those of a module once; or with all names that it has, circles left out."""
        seen = set() if seen is None else seen
        seen.add(id(self))
        modules: list[tuple[str, Module]] = []
        for place, value in self._minigrad_inside():
            if isinstance(value, Parameter):
                yield place, value
            else:
                modules.append((place, value))
        for place, value in modules:
            if id(value) not in seen:
                for name, parameter in value._minigrad_named(seen, every=every):
                    yield self._minigrad_joined(place, name), parameter
        if every:
            seen.discard(id(self))

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules directly inside, with their names."""
        return ((name, value) for name, value in self._minigrad_inside() if isinstance(value, Module))

    def modules(self) -> Iterator["Module"]:
        """This module and all inside it, each once."""
        seen, todo = set(), [self]
        while todo:
            module = todo.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield module
                todo += reversed([child for _, child in Module.children(module)])

    @property
    def reads_ahead(self) -> bool:
        """Whether an output depends on later steps, so that a sequence cannot be read piece by piece: whether a module
        inside says so.
        """
        seen, todo = {id(self)}, [child for _, child in Module.children(self)]
        while todo:
            module = todo.pop()
            if id(module) not in seen:
                seen.add(id(module))
                if type(module).reads_ahead is Module.reads_ahead:
                    todo += [child for _, child in Module.children(module)]
                elif module.reads_ahead:
                    return True
        return False

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every weight with its name, each once; the name is also what messages call it.

        Raises:
            UsageError: if two weights have the same name.
        """
        found: dict[str, Parameter] = {}
        known: set[int] = set()
        for name, parameter in self._minigrad_named():
            if id(parameter) in known:
                continue
            if name in found:
                raise UsageError(
                    f"{type(self).__name__}: two weights are called {name!r}, {show(found[name])} and "
                    f"{show(parameter)}. Rename the attribute or key of one of them."
                )
            known.add(id(parameter))
            found[name] = parameter
            parameter.name = name
            yield name, parameter

    def parameters(self) -> list[Parameter]:
        """Every weight."""
        return [parameter for _, parameter in Module.named_parameters(self)]

    def to(self, device: str) -> Self:
        """Move every weight to a device, "cpu" or "cuda"; an optimiser's state follows at its next step.

        Raises:
            DeviceError: if the device is not there.
        """
        for parameter in Module.parameters(self):
            parameter.move(device)
        return self

    def train(self, mode: bool = True) -> Self:
        """Behave as in training: dropout drops."""
        if not isinstance(mode, bool):
            raise UsageError(f"{type(self).__name__}.train() takes True or False, not {mode!r}.")
        for module in Module.modules(self):
            module._minigrad_training = mode
        return self

    def eval(self) -> Self:
        """Behave as in use: nothing is random."""
        return Module.train(self, False)

    def state_dict(self) -> dict[str, Array]:
        """A copy of every weight by name; of several names the first."""
        return {name: parameter.numpy().copy() for name, parameter in Module.named_parameters(self)}

    def load_state_dict(self, arrays: Mapping[str, Any], strict: bool = True) -> Loaded:
        """Take weights by name, all or none.

        Floats are taken as they are, so that float64 arrays make a float64 module; integers and booleans become the
        weight's own dtype; other dtypes are refused. A weight of several names, as where modules share it, may come
        under any of them, or under more than one with the same values.

        Args:
            arrays: by name; what NumPy makes an array of.
            strict: every weight must be given, and nothing else; else the rest is left alone, and returned.

        Raises:
            WeightsError: naming every missing, unknown and misshapen weight.
        """
        own = dict(Module.named_parameters(self))
        if not isinstance(arrays, Mapping):
            raise WeightsError(
                f"load_state_dict of {type(self).__name__} takes a mapping from names to arrays, not "
                f"{type(arrays).__name__}. Give it what state_dict() returns."
            )
        names = own if own.keys() == arrays.keys() else dict(self._minigrad_named(every=True))
        taken, faults = _fitting(names, arrays)
        given = {id(names[name]) for name in arrays if name in names}
        missing = [name for name, parameter in own.items() if id(parameter) not in given]
        unexpected = [name for name in arrays if name not in names]
        if strict:
            unknown = [f"  {name} is unknown.{did_you_mean(str(name), own)}" for name in unexpected]
            faults = [f"  {name} is missing" for name in missing] + unknown + faults
        if faults:
            raise WeightsError("\n".join([f"these weights do not fit {type(self).__name__}:", *faults]))
        for parameter in own.values():
            if id(parameter) in taken:
                parameter.assign(taken[id(parameter)])
        return Loaded(missing, unexpected)


def _fitting(named: Mapping[str, Parameter], arrays: Mapping[str, Any]) -> tuple[dict[int, Array], list[str]]:
    """The arrays that have a name here, by their parameter's id, and what is wrong with those that do not fit."""
    taken: dict[int, Array] = {}
    faults = []
    for name, value in arrays.items():
        if name not in named:
            continue
        parameter = named[name]
        try:
            array = np.asarray(value)
            check_dtype(array.dtype)
        except Exception as error:  # what another library's arrays raise is theirs
            faults.append(f"  {name}: {error}")
            continue
        before = taken.setdefault(id(parameter), array)
        if array.shape != parameter.shape:
            faults.append(f"  {name} has shape {list(array.shape)}, the module {list(parameter.shape)}")
        elif not np.array_equal(before, array, equal_nan=array.dtype.kind == "f"):
            faults.append(f"  {name} differs from another name's values, and both are one weight")
    return taken, faults


def _opened(name: str, value: Any, around: tuple[int, ...]) -> Iterator[tuple[str, Parameter | Module]]:
    """The parameters and modules of a nest with their names; `around` are the nests that it lies in, for circles."""
    if isinstance(value, (Parameter, Module)):
        yield name, value
    elif isinstance(value, NESTS) and id(value) not in around:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(part, (Parameter, Module, *NESTS)):
                yield from _opened(f"{name}.{key}", part, (*around, id(value)))
    elif isinstance(value, (set, frozenset)) and any(isinstance(part, (Parameter, Module)) for part in value):
        raise UsageError(
            f"the weights in {name} have no names, since a set has no order. Use a list, a tuple or a dict."
        )
