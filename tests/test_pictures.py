"""Compared runs, reports and pictures: what is drawn is what was recorded, in files that need nothing else."""

import json
import re
import shlex
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigrad as mg
from minigrad import svg
from minigrad.connectivity import connectivity
from minigrad.gates import gate_values, openness
from minigrad.story import Story
from minigrad_cli.charts import heat, overlay
from minigrad_cli.main import run
from minigrad_cli.report import command

TINY = ["--hidden", "6", "--batch", "4", "--length", "3", "--progress", "none"]


@pytest.fixture
def compared(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert (
        run(["compare", "rnn", "lstm", "--task", "copy", "--steps", "4", "--set", "loggers=jsonl", "--json", *TINY])
        == 0
    )
    out = json.loads(capsys.readouterr().out)
    assert [m["model"] for m in out["models"]] == ["rnn", "lstm"]
    assert all(m["steps"] == 4 and m["parameters"] > 0 for m in out["models"])
    return in_folder / out["run"]


def test_a_compared_model_does_what_it_does_alone(compared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("rnn", "lstm"):
        assert run(["train", model, "--task", "copy", "--steps", "4", "--out", f"alone-{model}", *TINY]) == 0
        one, other = (
            [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            for folder in (compared / model, Path(f"alone-{model}"))
        )
        assert [{k: v for k, v in r.items() if k != "seconds"} for r in one] == [
            {k: v for k, v in r.items() if k != "seconds"} for r in other
        ]
    assert run(["compare", "rnn", "rnn", "--task", "copy"]) == 2
    assert "each model once" in capsys.readouterr().err
    assert run(["compare", "rnn", "lstm", "--task", "copy", "--out", str(compared), "--steps", "2", *TINY]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_noise_is_each_models_own(in_folder: Path) -> None:
    options = ["--task", "copy", "--steps", "3", "--set", "zoneout=0.3", *TINY]
    assert run(["compare", "gru", "lstm", "--out", "both", *options]) == 0
    assert run(["train", "lstm", "--out", "alone", *options]) == 0
    losses = [[json.loads(line)["loss"] for line in (Path(f) / "metrics.jsonl").read_text().splitlines()]
              for f in ("both/lstm", "alone")]  # fmt: skip
    assert losses[0] == losses[1]


def test_runs_are_listed(compared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = compared / "rnn" / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"step": 5, "lo')
    assert run(["runs", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(r["model"], r["task"], r["steps"]) for r in rows} == {("rnn", "copy", 4), ("lstm", "copy", 4)}
    assert run(["runs", "nowhere"]) == 0
    assert "no runs" in capsys.readouterr().err


def test_a_report_is_one_file_of_what_was_recorded(compared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, name in ((compared, "all.html"), (compared / "lstm", "one.html"), (compared / "lstm", "one.svg")):
        assert run(["plot", str(folder), "--out", name]) == 0
        text = Path(name).read_text()
        assert len(text) < 2e6
        assert not re.search(r"(src|href)=|<script|@import|url\(", text)
        assert "prefers-color-scheme: dark" in text
        assert "Loss" in text
        assert "time step t" in text
    ET.parse("one.svg")
    page = Path("all.html").read_text()
    for words in ("Gates of lstm", "Connectivity of rnn", "To make this run again", "baseline", "minigrad train lstm"):
        assert words in page
    for figure in re.findall(r"<svg.*?</svg>", page):
        ET.fromstring(figure)
    assert run(["plot", str(compared)]) == 0
    out = capsys.readouterr().out
    assert "‖dL/d l0.c_t‖ of lstm" in out
    assert "\x1b" not in out
    for wrong in (["nowhere"], [str(compared), "--out", "x.png"], [str(compared), "--out", "no/such/x.svg"]):
        assert run(["plot", *wrong]) == 2


def test_the_command_of_a_report_makes_the_same_run(compared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(compared / "lstm")
    assert run([*shlex.split(command(story.config))[1:], "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == story.config


def test_gates_are_those_of_the_cell() -> None:
    mg.seed(0)
    cell = mg.registry.load("cells", "lstm")(2, 3, forget_bias=1.0)
    xs = np.random.default_rng(0).normal(size=(4, 5, 2)).astype("f4")
    found = gate_values(cell, xs)
    assert set(found) == {"i", "f", "o"}
    weights = {k: v.astype("f8") for k, v in cell.state_dict().items()}
    h, c = np.zeros((5, 3)), np.zeros((5, 3))
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    for t in range(4):
        a = xs[t] @ weights["weight_ih"].T + weights["bias_ih"] + h @ weights["weight_hh"].T + weights["bias_hh"]
        i, f, g, o = np.split(a, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        for name, value in zip("ifo", (i, f, o), strict=True):
            np.testing.assert_allclose(found[name][t], sigmoid(value), atol=1e-6)
    assert set(gate_values(mg.registry.load("cells", "gru")(2, 3), xs)) == {"r", "z"}
    big = mg.registry.load("cells", "lstm")(2, 3, forget_bias=9.0)
    mean, saturated = openness(big, xs)["f"]
    assert (mean > 0.99).all()
    assert (saturated == 1).all()


def test_connectivity_is_the_jacobians_size() -> None:
    """y_t = Σ_{s ≤ t} a^{t-s} x_s W: its Jacobian is a^{t-s} W, of norm a^{t-s} ‖W‖."""
    w = np.random.default_rng(0).normal(size=(2, 3))

    class Leaky(mg.nn.Module):
        def forward(self, xs, state=None, lengths=None):
            last, ys = mg.scan(lambda h, x: ((h := h * 0.5 + x @ w), h), mg.zeros((xs.shape[1], 3), dtype="f8"), xs)
            return ys, last

    batch = mg.Batch(np.random.default_rng(1).normal(size=(6, 4000, 2)), np.zeros(4000))
    steps, found = connectivity(Leaky(), batch)
    assert steps == list(range(6))
    want = np.array([[0.5 ** (t - s) if s <= t else 0 for s in range(6)] for t in range(6)]) * np.linalg.norm(w)
    np.testing.assert_allclose(found, want, rtol=0.05)
    assert len(connectivity(Leaky(), batch, most=3)[0]) == 3


def test_pictures_put_figures_where_they_belong() -> None:
    lines = overlay({"a": [1, 10, 100], "b": [100, 10, 1]}, 12, 3)
    assert lines == ["  1e2│bb  aa", "     │  bb", "  1e0│aa  bb"]
    shades, (low, high) = heat([[1e-4, 1.0], [0.0, 1e-2]], 2, 5)
    assert (low, high) == (1e-4, 1.0)
    assert shades == ["·█", " ▒"]  # 0 alone is a blank
    axis = svg.Axis(0, 10, 0, 100)
    assert axis(5) == 50
    assert [label for _, label in axis.ticks()] == ["0", "2", "4", "6", "8", "10"]
    log = svg.Axis(2e-3, 50, 0, 100, log=True)
    assert log(1e-3) == 0
    assert log(1e2) == 100
    text = svg.curves("t", {"a<b": ([0, 1], [1.0, float("nan")])}, x="x", level=("base", 0.5))
    assert "a&lt;b" in text
    assert svg.curves("t", {"a": ([], [])}, x="x") == ""
    assert svg.heat("t", [[0.0, 0.0]], x="x", y="y", span=(0, 1)) == ""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_browser_draws_the_report_in_light_and_dark(compared: Path) -> None:
    assert run(["plot", str(compared), "--out", "all.html"]) == 0
    shots = []
    for theme in ((), ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")):
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1800", *theme]
        name = f"{len(shots)}.png"
        page = Path("all.html").resolve().as_uri()
        subprocess.run(
            ["chromium", *options, f"--screenshot={name}", page], check=True, capture_output=True, timeout=120
        )
        shots.append(np.asarray(Image.open(name).convert("L"), dtype=float))
    light, dark = shots
    assert light[5, 5] > 240  # the page's own ground
    assert dark[5, 5] < 60
    for image, ground in ((light, light[5, 5]), (dark, dark[5, 5])):
        drawn = np.abs(image - ground) > 30
        assert 0.02 < drawn.mean() < 0.6  # curves, heat maps and text, not an empty page
        assert drawn[:900].any()
        assert drawn[900:].any()
