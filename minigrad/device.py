"""Where arrays live, and how they get there. CUDA is looked for when somebody asks for it, never before.

Imports the ground floor, and `gpu` when asked about it. NumPy arrays live on the CPU; whatever else a Tensor holds says
where it lives (`device`), runs ops itself (`run_op`) and comes back (`numpy`). Another device is a module, named in
`MODULES` and imported when asked for, with `put`, `empty`, `zeros`, `fetch`, `square_sums`, `row_norms` and `adam`.
"""

import os
from importlib import import_module
from typing import Any

import numpy as np

from minigrad.arguments import short
from minigrad.errors import DeviceError, did_you_mean

MODULES = {"cuda": "minigrad.kernels.cuda_ops"}
DEVICES = ("cpu", *MODULES)


def check_device(name: str | None) -> str:
    """Return the device's name; `None` is the CPU.

    Raises:
        DeviceError: if minigrad does not know it.
    """
    if name is None or (isinstance(name, str) and name in DEVICES):
        return name or "cpu"
    hint = did_you_mean(str(name), DEVICES)
    raise DeviceError(f"minigrad cannot compute on device {short(name)}; it has: {', '.join(DEVICES)}.{hint}")


def home(data: Any) -> str:
    """The name of the device that an array lives on."""
    return "cpu" if isinstance(data, np.ndarray) else data.device


def arrays(name: str) -> Any:
    """The module of a device, NumPy for the CPU: both have `empty(shape, dtype)` and `zeros(shape, dtype)`.

    Raises:
        DeviceError: if that device is not there.
    """
    return np if name == "cpu" else import_module(MODULES[name])


def put(data: Any, name: str) -> Any:
    """The same numbers on a device: the array itself if it lives there.

    Raises:
        DeviceError: if that device is not there, or has no memory left.
    """
    if home(data) == name:
        return data
    return data.numpy() if name == "cpu" else arrays(name).put(data)


def fetch(data: list[Any]) -> list[Any]:
    """The same arrays on the CPU; those that live elsewhere come together, so that their device is waited for once."""
    away = [i for i, x in enumerate(data) if home(x) != "cpu"]
    if away:
        data = list(data)
        for i, numbers in zip(away, arrays(home(data[away[0]])).fetch([data[i] for i in away]), strict=True):
            data[i] = numbers
    return data


def square_sums(data: list[Any], less: list[Any] | None = None) -> Any:
    """[n] of float64, on the arrays' device: Σ x² of each, or Σ (x - y)² where there is a y to each."""
    if len({home(x) for x in data}) > 1:
        pairs = zip(data, [None] * len(data) if less is None else less, strict=True)
        return np.concatenate(fetch([square_sums([x], None if y is None else [y]) for x, y in pairs]))
    if data and home(data[0]) != "cpu":
        return arrays(home(data[0])).square_sums(data, less)
    pairs = zip(data, [0] * len(data) if less is None else less, strict=True)
    return np.array([np.square(x - y, dtype=np.float64).sum() for x, y in pairs])


def memory_bytes(name: str) -> int:
    """How much memory a device has."""
    if name == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    from minigrad import gpu

    return gpu.memory_bytes()


def report() -> tuple[list[str], str]:
    """The devices that are there; and what the GPU is, or why there is none."""
    from minigrad import gpu

    try:
        return [*DEVICES], gpu.description()
    except DeviceError as error:
        return ["cpu"], str(error).removeprefix("device 'cuda' ").removeprefix("device 'cuda': ")
