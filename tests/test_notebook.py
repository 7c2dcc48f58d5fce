"""What a notebook shows of a Tensor, a trace and a run: pictures with their numbers, in HTML that needs nothing else."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad.config import resolve
from minigrad.story import Story
from minigrad.train import Run, trained


def pictures(html: str) -> list[ET.Element]:
    assert "<script" not in html
    assert not re.search(r"(src|href)=", html)
    return [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", html)]


def title(picture: ET.Element) -> str:
    return picture.get("aria-label", "")


def test_a_tensor() -> None:
    small = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert "[3., 4.]" in small._repr_html_()
    assert "float32[2, 2], requires_grad=True" in small._repr_html_()
    (heat,) = pictures(mg.tensor(np.arange(600.0).reshape(20, 30))._repr_html_())
    assert title(heat) == "float64[20, 30]"
    assert len(list(heat.iter("{http://www.w3.org/2000/svg}rect"))) == 600 + 5
    (curve,) = pictures(mg.tensor(np.sin(np.arange(200.0)))._repr_html_())
    assert len(next(curve.iter("{http://www.w3.org/2000/svg}polyline")).get("points", "").split()) == 200
    for other in (mg.zeros((2, 3, 40)), mg.zeros((100,), dtype=bool), mg.tensor(np.nan), mg.zeros((0, 4))):
        assert "tensor(" in other._repr_html_()


def test_a_trace_and_its_scans() -> None:
    layer = mg.nn.Recurrent("lstm", 3, 4, num_layers=2)
    with mg.trace() as trace:
        layer(np.ones((7, 2, 3), "f4"))[0].sum().backward()
    first, second = pictures(trace._repr_html_())
    assert title(second) == "scan 1: ScanTrace(T = 7, B = 2, 2 carry leaves, compiled)"
    words = [t.text for t in first.iter("{http://www.w3.org/2000/svg}text")]
    assert {"carry 0", "carry 1", "gradient 0", "gradient 1"} <= set(words)
    assert len(pictures(trace.scans[0]._repr_html_())) == 1
    with mg.trace() as forward_only, mg.no_grad():
        layer(np.ones((7, 2, 3), "f4"))
    assert len(pictures(forward_only._repr_html_())) == 2


def test_a_run(tmp_path: Path) -> None:
    config = resolve("rnn", "copy", options={"steps": 3, "hidden": 6, "batch": 4, "length": 3})
    run = Run(config, tmp_path)
    assert "step 0" in run._repr_html_()
    from minigrad import checkpoint

    checkpoint.write_config(tmp_path, config)
    list(run.records())
    for shown in (run, trained(tmp_path), Story(tmp_path)):
        loss, gradient = pictures(shown._repr_html_())
        assert title(loss) == "Loss"
        assert title(gradient) == "‖dL/d l0.h_t‖ of rnn by time step and training step"
        assert "rnn on copy, 3 steps" in shown._repr_html_()
