"""Where arrays live, and how they get there. CUDA is looked for when somebody asks for it, never before.

Imports `errors`, and for CUDA the arrays of `kernels/cuda_array.py`. NumPy arrays live on the CPU; whatever else a
Tensor holds says where it lives (`device`), runs ops itself (`run`) and comes back (`numpy`).
"""

from typing import Any

import numpy as np

from minigrad.errors import DeviceError, did_you_mean

DEVICES = ("cpu", "cuda")


def check_device(name: str | None) -> str:
    """Return the device's name; `None` is the CPU.

    Raises:
        DeviceError: if minigrad does not know it.
    """
    if name is None or name in DEVICES:
        return name or "cpu"
    raise DeviceError(
        f"minigrad cannot compute on device {name!r}; it has: {', '.join(DEVICES)}.{did_you_mean(str(name), DEVICES)}"
    )


def home(data: Any) -> str:
    """The name of the device that an array lives on."""
    return "cpu" if isinstance(data, np.ndarray) else data.device


def put(data: Any, name: str) -> Any:
    """The same numbers on a device: the array itself if it lives there.

    Raises:
        DeviceError: if that device is not there, or has no memory left.
    """
    if home(data) == name:
        return data
    if name == "cpu":
        return data.numpy()
    from minigrad import gpu

    gpu.door()
    from minigrad.kernels import cuda_array, cuda_ops  # noqa: F401  # the ops, for what is put there

    return cuda_array.put(data)


def arrays(name: str) -> Any:
    """How arrays are made on a device: `empty(shape, dtype)` and `zeros(shape, dtype)`."""
    if name == "cpu":
        return np
    from minigrad.kernels import cuda_array

    return cuda_array


def report() -> dict[str, str]:
    """Each device, and what it is or why it cannot be had."""
    from minigrad import gpu

    return {"cpu": "", "cuda": gpu.description()}
