"""Weights in files: safetensors, which holds arrays and text and can run no code.

Imports `errors` and `files`; a module is whatever has `state_dict` and `load_state_dict`.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.arguments import short
from minigrad.errors import UsageError, WeightsError
from minigrad.files import write_atomically

Array = np.ndarray[Any, Any]


def write_arrays(path: str | os.PathLike[str], arrays: dict[str, Array], text: dict[str, str] | None = None) -> None:
    """Write named arrays, and named texts beside them, atomically."""
    from safetensors.numpy import save as to_bytes

    write_atomically(path, to_bytes({k: np.asarray(v, order="C") for k, v in arrays.items()}, metadata=text))


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Read what `write_arrays` wrote.

    Raises:
        WeightsError: if the file is missing, cut short, of another kind, or holds numbers that NumPy does not know.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise WeightsError(f"there is no file {path}.")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (TypeError, AttributeError) as error:  # bfloat16, float8
        raise WeightsError(f"{path} holds numbers that NumPy does not know ({error}). Save them as float32.") from None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error}). Put a whole one in its place.") from None


def save(path: str | os.PathLike[str], module: Any) -> None:
    """Write a module's weights to a safetensors file, atomically."""
    write_arrays(_file("mg.save", path), _module("mg.save", module).state_dict())


def load_weights(path: str | os.PathLike[str], module: Any) -> None:
    """Read a module's weights from a safetensors file.

    Raises:
        WeightsError: if the file is damaged, or its names and shapes are not the module's.
    """
    arrays = read_arrays(_file("mg.load_weights", path))[0]
    try:
        _module("mg.load_weights", module).load_state_dict(arrays)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def _file(where: str, path: Any) -> str | os.PathLike[str]:
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError(f"{where}: path must be the name of a file, not {short(path)}.")
    return path


def _module(where: str, module: Any) -> Any:
    if not hasattr(module, "load_state_dict") or isinstance(module, type):
        raise UsageError(f"{where}(path, module) takes a module, not {type(module).__name__}.")
    return module
