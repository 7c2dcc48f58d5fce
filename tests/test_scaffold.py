"""`minigrad plugin new`: what it writes passes its own tests and runs, unchanged."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from minigrad_cli.main import run
from minigrad_cli.plugin import USES

RUNS = {
    "cell": ["train", "my-own", "--task", "copy", "--steps", "2", "--progress", "none"],
    "task": ["train", "rnn", "--task", "my-own", "--steps", "2", "--progress", "none"],
    "model": ["train", "my-own", "--task", "adding", "--steps", "2", "--progress", "none"],
    "unroll": [
        "train",
        "rnn",
        "--task",
        "adding",
        "--unroll",
        "my-own",
        "--window",
        "5",
        "--steps",
        "2",
        "--progress",
        "none",
    ],
    "command": ["my-own", "lstm"],
    "logger": [
        "train",
        "rnn",
        "--task",
        "adding",
        "--set",
        "loggers=my-own",
        "--steps",
        "2",
        "--progress",
        "none",
        "--out",
        "r",
    ],
}


@pytest.mark.parametrize("kind", USES)
def test_a_new_project_passes_its_tests_and_runs(kind: str, in_folder: Path) -> None:
    assert run(["plugin", "new", "my-own", "--kind", kind]) == 0
    folder = in_folder / "minigrad-my-own"
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    (module,) = project["tool"]["setuptools"]["py-modules"]
    assert (folder / f"{module}.py").exists()
    # As pip would install it: the module, and its metadata beside it. `.ci/run` does it with pip.
    info = folder / "minigrad_my_own-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: minigrad-my-own\nVersion: 0.1.0\n")
    points = project["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{n} = {t}\n" for n, t in some.items()) for group, some in points.items()]
    (info / "entry_points.txt").write_text("".join(lines))
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", str(folder)],
        env=environment, capture_output=True, text=True, check=False, cwd=in_folder,
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout
    used = subprocess.run(
        [sys.executable, "-m", "minigrad_cli.main", *RUNS[kind]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    if kind == "logger":
        assert (in_folder / "r" / "my-own.csv").read_text().count("\n") == 3
    if kind == "cell":
        for arguments in (["show", "my-own"], ["check", "my-own"]):
            shown = subprocess.run([sys.executable, "-m", "minigrad_cli.main", *arguments], env=environment, capture_output=True,
                                   text=True, check=False)  # fmt: skip
            assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["Bad Name", "--kind", "cell"], "begins with a letter"), (["lstm", "--kind", "cell"], "installed already"),
     (["attention", "--kind", "cell"], "installed already"), (["mine", "--kind", "shell"], "cell"),
     (["mine", "--kind", "cell", "--out", "full"], "not empty"), (["class", "--kind", "cell"], "begins with a letter")],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(in_folder: Path, arguments, words, capsys) -> None:
    (in_folder / "full").mkdir()
    (in_folder / "full" / "x").write_text("")
    assert run(["plugin", "new", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert sorted(p.name for p in in_folder.iterdir()) == ["full"]
