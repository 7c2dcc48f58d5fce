"""Files of the user's and the runs that learned from them: found again, and noticed when they are no longer the same."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import checkpoint, origin
from minigrad.errors import PluginError, UsageError
from minigrad.train import Run
from minigrad_cli.main import run

TINY = ["--hidden", "6", "--batch", "4", "--length", "3", "--progress", "none"]
TEXT = "to be or not to be, " * 100
SERIES = "day,units\n" + "".join(f"{i},{i * i % 13}\n" for i in range(100))
LABELS = "".join(f"{'a fine' if i % 2 else 'an awful'} day {i}\t{'good' if i % 2 else 'bad'}\n" for i in range(100))
FILES = {"charlm": ("text", TEXT), "forecast": ("file", SERIES), "sentiment": ("text", LABELS)}


def trained_on(name: str) -> None:
    """A run in `project/r` that learned the file `project/mine.txt`, started from `project`."""
    option, content = FILES[name]
    Path("mine.txt").write_text(content)
    assert (
        run(["train", "rnn", "--task", name, "--set", f"{option}=mine.txt", "--steps", "2", "--out", "r", *TINY]) == 0
    )


@pytest.fixture
def project(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (in_folder / "project").mkdir()
    monkeypatch.chdir(in_folder / "project")
    return in_folder / "project"


@pytest.mark.parametrize("name", FILES)
def test_a_run_keeps_a_hash_of_its_data_and_what_it_read_off_them(project: Path, name: str) -> None:
    trained_on(name)
    data, option = json.loads(Path("r/data.json").read_text()), FILES[name][0]
    assert data["files"][option]["sha256"] == hashlib.sha256(Path("mine.txt").read_bytes()).hexdigest()
    assert data["files"][option]["path"] == str(project / "mine.txt")
    values = np.array([i * i % 13 for i in range(80)])
    assert (
        data["kept"]
        == {
            "charlm": {"characters": 2000, "alphabet": "".join(sorted(set(TEXT)))},
            "forecast": {"numbers": 100, "mean": values.mean(), "deviation": values.std()},
            "sentiment": data["kept"],
        }[name]
    )
    assert name != "sentiment" or data["kept"]["labels"] == ["bad", "good"]
    assert {p.name for p in Path("r").iterdir()} == {
        "config.toml",
        "metrics.jsonl",
        "checkpoint.safetensors",
        "data.json",
    }


@pytest.mark.parametrize("name", FILES)
def test_another_folder_or_another_place_of_the_project_is_no_hindrance(
    project: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained_on(name)
    loss = evaluated(capsys, "r")
    monkeypatch.chdir(project.parent)
    Path("mine.txt").write_text("another project's file")
    for folder in ("project/r", "moved/r"):
        assert evaluated(capsys, folder) == loss
        assert run(["plot", folder]) == 0
        if folder == "project/r":
            shutil.move("project", "moved")
    assert run(["train", "--resume", "moved/r", "--steps", "3", "--progress", "none"]) == 0


def evaluated(capsys: pytest.CaptureFixture[str], folder: str) -> float:
    capsys.readouterr()
    assert run(["eval", folder, "--batches", "1", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["loss"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(project: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    trained_on(name)
    capsys.readouterr()
    old = FILES[name][1]
    new = old.replace("be", "do").replace("9,", "8,").replace("fine", "nice")
    assert len(new) == len(old)
    before = {p: p.read_bytes() for p in Path("r").iterdir()}
    for content in (new, "", "\0"):
        Path("mine.txt").write_text(content)
        for line in (
            ["eval", "r"],
            ["train", "--resume", "r", "--steps", "4"],
            ["train", "--resume", "r", "--set", "lr=0.5"],
        ):
            assert run(line) == 2
            assert "mine.txt changed after" in capsys.readouterr().err
        assert run(["plot", "r"]) == 0
        captured = capsys.readouterr()
        assert "mine.txt changed after r was trained on it" in captured.err
        assert "loss" in captured.out
        assert run(["plot", "r", "--out", "page.html"]) == 0
        assert "goes without gates and connectivity" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in Path("r").iterdir()} == before
    with pytest.raises(UsageError, match=r"mine\.txt changed"):
        Run(checkpoint.read_config("r"), Path("r"))


@pytest.mark.parametrize("name", FILES)
def test_pictures_of_records_need_no_data(project: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    trained_on(name)
    Path("mine.txt").unlink()
    capsys.readouterr()
    for line in (["plot", "r"], ["plot", "r", "--out", "page.html"], ["plot", "r", "--out", "page.svg"], ["runs", "."]):
        assert run(line) == 0
    assert "No such file" in capsys.readouterr().err
    assert "baseline" in Path("page.html").read_text()
    for line in (["eval", "r"], ["train", "--resume", "r", "--steps", "4"]):
        assert run(line) == 2
        assert "mine.txt: No such file" in capsys.readouterr().err


def test_data_that_are_read_another_way_are_noticed(project: Path) -> None:
    assert run(["train", "rnn", "--task", "charlm", "--steps", "1", "--out", "r", *TINY]) == 0
    data = json.loads(Path("r/data.json").read_text())
    assert data["files"] == {}
    data["kept"]["characters"] += 1
    Path("r/data.json").write_text(json.dumps(data))
    with pytest.raises(UsageError, match=r"characters was \d+ and is \d+"):
        Run(checkpoint.read_config("r"), Path("r"))


def test_a_mean_that_was_summed_in_another_order_is_the_same(project: Path) -> None:
    trained_on("forecast")
    data = json.loads(Path("r/data.json").read_text())
    for factor, same in ((1 + 1e-14, True), (1 + 1e-6, False)):
        found = {**data, "kept": {**data["kept"], "mean": data["kept"]["mean"] * factor}}
        Path("r/data.json").write_text(json.dumps(found))
        if same:
            Run(checkpoint.read_config("r"), Path("r"))
        else:
            with pytest.raises(UsageError, match="mean was"):
                Run(checkpoint.read_config("r"), Path("r"))


@pytest.mark.parametrize("kept", [{"mean": np.float32(1)}, {"mean": float("nan")}, {"words": {"a"}}, 5])
def test_what_cannot_be_kept_is_the_tasks_fault(tmp_path: Path, kept: object) -> None:
    made = mg.registry.load("tasks", "copy")(3)
    made.kept = kept
    with pytest.raises(PluginError, match="the task Copy has in `kept` what cannot be kept"):
        origin.write(tmp_path, made, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "{",
        '{"files": {"text": {}}}',
        '{"files": 3}',
        '{"files": {"text": {"path": 1, "from_run": "", "sha256": ""}}, "kept": {}, "baseline": 1}',
    ],
)
def test_damaged_data_are_said(project: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    trained_on("charlm")
    Path("r/data.json").write_text(damage)
    capsys.readouterr()
    assert run(["eval", "r"]) == 2
    assert "data.json is not what a run says of its data" in capsys.readouterr().err
    Path("r/data.json").unlink()
    assert run(["eval", "r", "--batches", "1"]) == 0


def test_a_fork_knows_its_data_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on("charlm")
    monkeypatch.chdir(project.parent)
    assert (
        run(["train", "--resume", "project/r", "--set", "lr=0.5", "--steps", "3", "--out", "f", "--progress", "none"])
        == 0
    )
    assert origin.read("f")["kept"] == origin.read("project/r")["kept"]
    assert (
        run(
            [
                "compare",
                "rnn",
                "gru",
                "--task",
                "charlm",
                "--set",
                "text=project/mine.txt",
                "--steps",
                "1",
                "--out",
                "c",
                *TINY,
            ]
        )
        == 0
    )
    assert origin.read("c/gru")["kept"] == origin.read("f")["kept"]


# --- sampling ---------------------------------------------------------------------------------------------------------


class Spoken:
    """A model whose logits are the same each time; it keeps what it was given."""

    def __init__(self, logits: list[float]) -> None:
        self.logits, self.heard = np.array(logits, np.float32), []

    def __call__(self, xs, state):
        self.heard += xs.argmax(-1)[:, 0].tolist()
        return mg.tensor(np.broadcast_to(self.logits, (*xs.shape[:2], len(self.logits))).copy()), len(self.heard)


@pytest.fixture
def abcd(in_folder: Path):
    Path("t.txt").write_text("abcd" * 300)
    return mg.registry.load("tasks", "charlm")(7, text="t.txt")


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0, 1e6])
def test_a_temperature_divides_the_logits(abcd, temperature: float) -> None:
    logits, n = [0.5, -1.0, 1.5, 0.0], 20_000
    text = abcd.sample(Spoken(logits), np.random.default_rng(0), n, temperature=temperature)
    share = np.array([text.count(c) for c in "abcd"]) / n
    powers = np.exp(np.array(logits) / temperature)
    wanted = powers / powers.sum()
    assert (np.abs(share - wanted) < 5 * np.sqrt(wanted * (1 - wanted) / n) + 1e-9).all()


@pytest.mark.parametrize("temperature", [0, 0.0, 1e-300, 5e-324])
def test_at_no_temperature_the_likeliest_is_taken(abcd, temperature: float) -> None:
    assert (
        abcd.sample(Spoken([0.5, -1e4, 1.5, 1.49]), np.random.default_rng(0), 30, temperature=temperature) == "c" * 30
    )


def test_a_prompt_is_read_before_anything_is_written(abcd) -> None:
    model = Spoken([0, 0, 0, 9e9])
    assert abcd.sample(model, np.random.default_rng(0), 3, prompt="abca") == "ddd"
    assert model.heard == [0, 1, 2, 0, 3, 3]  # the last one drawn need not be heard


@pytest.mark.parametrize(
    ("options", "words"),
    [({"temperature": -0.1}, "from 0 on, not -0.1"), ({"temperature": float("nan")}, "not nan"), ({"temperature": float("inf")}, "not inf"),
     ({"prompt": "aéb♥"}, "the text has no 'é', '♥'")],
)  # fmt: skip
def test_what_cannot_be_sampled_is_refused(abcd, options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        abcd.sample(Spoken([0, 0, 0, 0]), np.random.default_rng(0), 3, **options)


def test_the_command_goes_on_from_a_prompt(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.txt").write_text("abcd" * 500)
    options = [
        "--set",
        "text=mine.txt",
        "--hidden",
        "24",
        "--batch",
        "16",
        "--length",
        "12",
        "--lr",
        "0.02",
        "--steps",
        "60",
    ]
    assert run(["train", "gru", "--task", "charlm", *options, "--out", "r", "--progress", "none"]) == 0
    for prompt, follows in (("ab", "cdabcd"), ("abcda", "bcdabc")):
        capsys.readouterr()
        line = ["eval", "r", "--batches", "1", "--sample", "6", "--temperature", "0", "--prompt", prompt]
        assert run([*line, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["sample"] == follows
        assert run(line) == 0
        assert capsys.readouterr().out.endswith(f"\n{follows}\n")
    for line, words in (
        (["--sample", "3", "--prompt", "x"], "the text has no 'x'"),
        (["--sample", "3", "--temperature", "-1"], "from 0 on"),
        (["--sample", "3", "--temperature", "nan"], "from 0 on"),
        (["--prompt", "a"], "--prompt is of a sample"),
    ):
        assert run(["eval", "r", "--batches", "1", *line]) == 2
        assert words in capsys.readouterr().err
