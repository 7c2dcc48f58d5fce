"""Every lesson runs, fits a narrow terminal, and says what was computed."""

import re

import pytest

from minigrad_cli.explain import LESSONS, fit
from minigrad_cli.main import run

SAID = {
    "bptt": ["dL/dh_0", "the tape  dL/dw = 0.221248"],
    "vanishing": [
        "0.9     2.65614e-05    2.65614e-05",
        "1.05    1.31501e+02    1.31501e+02",
        "tanh 1.000000    sigmoid 0.250000",
    ],
    "forget-bias": ["9.54e-07", "7.89e-31", "1.90e-03", "2.48e-14", "8.74e-01", "5.11e-01"],
    "tbptt": ["k1 = 12  k2 = 12  length 1.000   cosine 1.0000", "····████", "it starts again at each cut"],
    "clipping": [
        "by norm 1   [ 0.9907, -0.1321,  0.0330]   norm 1.000   cosine 1.0000",
        "by value 1  [ 1.0000, -0.4000,  0.1000]",
    ],
    "attention": ["✓", "is a diagonal"],
}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_computes_what_it_says(lesson: str, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["explain", lesson]) == 0
    out = capsys.readouterr().out
    for words in SAID[lesson]:
        assert words in out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "nan" not in out
    if lesson == "bptt":
        by_hand, tape = (re.findall(rf"{who} +dL/dw = (\S+) +dL/du = (\S+)", out) for who in ("by hand", "the tape"))
        assert by_hand == tape


def test_lessons_are_listed_and_a_wrong_name_is_mended(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    assert capsys.readouterr().out.count("\n") == len(LESSONS) == 6
    assert run(["explain", "bptl"]) == 2
    assert "Did you mean 'bptt'" in capsys.readouterr().err


def test_prose_is_wrapped_and_figures_are_not() -> None:
    assert fit("one two\nthree\n\n    a   b", 9) == "one two\nthree\n\n    a   b"
    assert fit("one two three four", 9) == "one two\nthree\nfour"
