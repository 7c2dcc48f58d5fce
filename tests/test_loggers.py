"""The optional logger for TensorBoard: what it writes is what was recorded, and a resumed run takes over its steps."""

import json
import struct
import sys
from pathlib import Path

import pytest

from minigrad import registry
from minigrad.errors import UsageError
from minigrad_cli.main import run

TINY = ["--hidden", "6", "--batch", "4", "--length", "3", "--progress", "none", "--set", "loggers=tensorboard"]


def events(folder: Path) -> list:
    """Of TensorBoard's files: length, its checksum, an event, its checksum, again and again."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + size]))
            data = data[16 + size :]
    return found


def test_tensorboard_gets_each_figure_of_each_record(in_folder: Path) -> None:
    assert run(["train", "lstm", "--task", "copy", "--steps", "3", "--out", "one", *TINY]) == 0
    records = [json.loads(line) for line in Path("one/metrics.jsonl").read_text().splitlines()]
    written = {(e.step, v.tag): v.simple_value for e in events(Path("one")) for v in e.summary.value}
    for r in records:
        assert written[r["step"], "loss"] == pytest.approx(r["loss"], rel=1e-6)
        assert written[r["step"], "accuracy"] == pytest.approx(r["accuracy"], rel=1e-6)
        for name, norm in r["param_grad_norm"].items():
            assert written[r["step"], f"param_grad_norm/{name}"] == pytest.approx(norm, rel=1e-6)
        for leaf, norms in r["time_grad_norm"].items():
            assert written[r["step"], f"time_grad_norm/{leaf}/first"] == pytest.approx(norms[0], rel=1e-6)
            assert written[r["step"], f"time_grad_norm/{leaf}/last"] == pytest.approx(norms[-1], rel=1e-6)
    assert (1, "gates/f/first") in written


def test_a_resumed_run_says_from_which_step_on_it_counts(in_folder: Path) -> None:
    assert run(["train", "rnn", "--task", "copy", "--steps", "2", "--out", "one", *TINY]) == 0
    assert run(["train", "--resume", "one", "--steps", "4", "--progress", "none"]) == 0
    again = [e.step for e in events(Path("one")) if e.HasField("session_log")]
    assert again[-1] == 3  # TensorBoard forgets what another file says of step 3 and later


def test_without_tensorboardx_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UsageError, match=r"pip install 'minigrad\[tensorboard\]'"):
        registry.load("loggers", "tensorboard")(tmp_path)
