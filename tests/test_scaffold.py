"""`minigrad plugin new`: what it writes passes its own tests and runs, unchanged."""

from pathlib import Path

import pytest
from projects import Installed

from minigrad_cli.main import run
from minigrad_cli.plugin import USES

RUNS = {
    "cell": "train my-own --task copy --steps 2 --progress none",
    "task": "train rnn --task my-own --steps 2 --progress none",
    "model": "train my-own --task adding --steps 2 --progress none",
    "unroll": "train rnn --task adding --unroll my-own --window 5 --steps 2 --progress none",
    "command": "my-own lstm",
    "logger": "train rnn --task adding --set loggers=my-own --steps 2 --progress none --out r",
}


@pytest.mark.parametrize("kind", USES)
def test_a_new_project_passes_its_tests_and_runs(kind: str, in_folder: Path) -> None:
    assert run(["plugin", "new", "my-own", "--kind", kind]) == 0
    project = Installed(in_folder / "minigrad-my-own")
    project.passes_its_tests(in_folder)
    project.runs(*RUNS[kind].split(), cwd=in_folder)
    if kind == "logger":
        assert (in_folder / "r" / "my-own.csv").read_text().count("\n") == 3
    if kind == "cell":
        project.runs("show", "my-own", cwd=in_folder)
        assert "10 checks passed" in project.runs("check", "my-own", cwd=in_folder)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["Bad Name", "--kind", "cell"], "begins with a letter"), (["lstm", "--kind", "cell"], "installed already"),
     (["attention", "--kind", "cell"], "installed already"), (["mine", "--kind", "shell"], "cell"),
     (["mine", "--kind", "cell", "--out", "full"], "'full' is there already"), (["mine", "--kind", "cell", "--out", "full/x"], "is there already"),
     (["mine", "--kind", "cell", "--out", "full/x/y"], "Not a directory"), (["mine", "--kind", "cell", "--out", ""], "is there already"),
     (["mine", "--kind", "cell", "--out", "bare"], "is there already"), (["mine", "--kind", "cell", "--out", "\0"], "no folder can have this name"),
     (["class", "--kind", "cell"], "begins with a letter")],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(in_folder: Path, arguments, words, capsys) -> None:
    (in_folder / "bare").mkdir()
    (in_folder / "full").mkdir()
    (in_folder / "full" / "x").write_text("")
    assert run(["plugin", "new", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert sorted(p.name for p in in_folder.rglob("*")) == ["bare", "full", "x"]
    assert (in_folder / "full" / "x").read_text() == ""
