"""How many answers from outside the suite asks for: what docs/measured.md says, and not fewer."""

import re
import tomllib
from pathlib import Path

import pytest
import test_array_api
import test_losses
import test_optim
import test_schedules
import test_tails

ROOT = Path(__file__).parent.parent
PEERS = tomllib.loads((ROOT / "tests" / "golden" / "counts.toml").read_text())
COUNTS = {
    "PyTorch, functions and layers": PEERS["torch"],
    "PyTorch, losses": len(test_losses.NAMES),
    "PyTorch, optimisers and schedules": len(test_optim.RULES) + len(test_schedules.SCHEDULES),
    "JAX, scans": PEERS["jax"],
    "ONNX, nodes": PEERS["onnx"],
    "NumPy, the array API": len(test_array_api.UNARY) + len(test_array_api.BINARY) + len(test_array_api.CALLS),
    "mpmath, tails": len(test_tails.FUNCTIONS) + len(test_tails.PAIRS),
}


@pytest.mark.parametrize("source", COUNTS)
def test_as_many_answers_are_asked_for_as_the_page_says(source) -> None:
    page = (ROOT / "docs" / "measured.md").read_text()
    (said,) = re.findall(rf"^\| {source} \| (\d+) \|", page, re.MULTILINE)
    assert COUNTS[source] == int(said)
