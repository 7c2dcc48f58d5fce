"""ONNX' tests of nodes: those kept in a file and, where the package is installed, those that it brings."""

import json
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from peers.harness import GOLDEN, agree, count
from peers.nodes import installed, run, why_not
from safetensors import safe_open
from safetensors.numpy import save_file

FILE = GOLDEN / "peers-onnx.safetensors"


@cache
def kept() -> dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Of each case in the file: kind, attributes, inputs, results."""
    if not FILE.exists():  # it is about to be made
        return {}
    with safe_open(FILE, "np") as file:
        cases = json.loads(file.metadata()["cases"])
        found = {name: (kind, attributes, {}, {}) for name, (kind, attributes) in cases.items()}
        for key in file.keys():  # noqa: SIM118
            case, which, name = key.split("|")
            found[case][2 if which == "in" else 3][name] = file.get_tensor(key)
    return found


@cache
def brought() -> dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """The cases of the installed package that minigrad's modules can be asked."""
    return {name: rest for name, *rest in installed() if not why_not(*rest[:3])}


@pytest.mark.parametrize("name", sorted(kept()))
def test_a_module_says_what_a_node_says(name: str) -> None:
    for cases in (kept, brought) if find_spec("onnx") else (kept,):
        kind, attributes, inputs, results = cases()[name]
        found = run(kind, attributes, inputs)
        asked = [key for key in results if key in found]
        assert asked
        agree([found[key] for key in asked], [results[key] for key in asked], "f4", name)


def test_no_case_of_the_installed_package_is_left_out_without_a_reason() -> None:
    pytest.importorskip("onnx")
    assert set(brought()) == set(kept())


def make() -> None:
    arrays, about = {}, {}
    for name, (kind, attributes, inputs, results) in brought().items():
        about[name] = kind, attributes
        arrays |= {f"{name}|in|{key}": np.ascontiguousarray(x) for key, x in inputs.items()}
        arrays |= {f"{name}|out|{key}": np.ascontiguousarray(x) for key, x in results.items()}
    save_file(arrays, FILE, metadata={"onnx": version("onnx"), "cases": json.dumps(about)})
    count("onnx", len(about))
