"""A process that is killed, also while it writes a checkpoint, loses nothing: resumed, it ends with the same bits."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigrad import checkpoint

OPTIONS = ["--steps", "9", "--hidden", "6", "--batch", "4", "--length", "3", "--set", "dropout=0.3", "--layers", "2"]
CHILD = """
import os, signal, sys
from minigrad import files, train, weights
from minigrad_cli.main import run

train.CHECKPOINT_SECONDS = 0.0  # a checkpoint after each step
where, times = sys.argv[1], int(sys.argv[2])
replace, fdopen = os.replace, os.fdopen


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Half:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        die()


def count(name):
    global times
    times -= "checkpoint" in str(name)
    return times == 0 and "checkpoint" in str(name)


def replaced(name, path):
    if where == "before" and count(path):
        die()
    replace(name, path)
    if where == "after" and count(path):
        die()


def opened(handle, mode):
    name = os.readlink(f"/proc/self/fd/{handle}")
    return Half(fdopen(handle, mode)) if where == "within" and count(name) else fdopen(handle, mode)


os.replace, os.fdopen = replaced, opened
sys.exit(run(sys.argv[3:]))
"""


def child(where: str, times: int, *arguments: str) -> int:
    command = [sys.executable, "-c", CHILD, where, str(times), *arguments, "--progress", "none"]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode


def ended(folder: Path) -> tuple[list[dict], dict]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k != "seconds"} for r in records], checkpoint.read(folder)[0]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the child finds a file's name under /proc")
@pytest.mark.parametrize(("where", "times"), [("within", 1), ("within", 4), ("before", 3), ("after", 1), ("after", 6)])
def test_killed_while_writing_a_checkpoint(tmp_path: Path, where: str, times: int) -> None:
    start = ["train", "lstm", "--task", "copy", *OPTIONS]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert child("nowhere", 0, *start, "--out", str(whole)) == 0
    assert child(where, times, *start, "--out", str(broken)) == -signal.SIGKILL
    assert child("nowhere", 0, "train", "--resume", str(broken)) == 0
    (records, arrays), (wanted, others) = ended(broken), ended(whole)
    assert [r["step"] for r in records] == list(range(1, 10))
    assert records == wanted
    assert list(arrays) == list(others)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])
    assert {p.name for p in broken.iterdir()} == {"config.toml", "metrics.jsonl", "checkpoint.safetensors"}
    assert os.access(broken / "checkpoint.safetensors", os.R_OK)
