"""A run's folder: one process each, strict JSON in it, nothing lost on a full disk, and files that are named when wrong."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import checkpoint, files
from minigrad.curves import time_grad_norm
from minigrad.errors import UsageError, WeightsError
from minigrad.story import Story
from minigrad.tracing import ScanTrace
from minigrad.train import Run, trained
from minigrad_cli.main import run

TINY = ["--hidden", "6", "--batch", "4", "--length", "3", "--progress", "none"]
COMMAND = [sys.executable, "-m", "minigrad_cli.main"]


def together(*lines: list[str]) -> list[subprocess.CompletedProcess]:
    """What comes of commands that run at the same time."""
    started = [
        subprocess.Popen([*COMMAND, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for line in lines
    ]
    return [
        subprocess.CompletedProcess(line, p.wait(120), *p.communicate()) for line, p in zip(lines, started, strict=True)
    ]


def strict(text: str) -> object:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


# --- whose a folder is ------------------------------------------------------------------------------------------------


def test_four_comparisons_at_once_get_four_folders(in_folder: Path) -> None:
    line = ["compare", "rnn", "gru", "--task", "copy", "--steps", "1", "--json", *TINY]
    done = together(*[line] * 4)
    assert [p.returncode for p in done] == [0] * 4, [p.stderr for p in done]
    assert {strict(p.stdout)["run"] for p in done} == {f"runs/compare-copy-{n}" for n in (1, 2, 3, 4)}
    for n in (1, 2, 3, 4):
        assert {len(checkpoint.read_metrics(f"runs/compare-copy-{n}/{m}")) for m in ("rnn", "gru")} == {1}


def test_of_two_runs_in_one_folder_one_is_refused(in_folder: Path) -> None:
    (in_folder / "mine").mkdir()
    line = ["train", "rnn", "--task", "copy", "--steps", "3", "--out", "mine", *TINY]
    done = together(line, line, line)
    assert sorted(p.returncode for p in done) == [0, 2, 2]
    assert all("mine holds a run already" in p.stderr for p in done if p.returncode)
    assert [r["step"] for r in checkpoint.read_metrics("mine")] == [1, 2, 3]


def test_a_run_that_another_process_trains_is_not_gone_on_with(in_folder: Path) -> None:
    assert run(["train", "rnn", "--task", "copy", "--steps", "2", "--out", "mine", *TINY]) == 0
    with checkpoint.held(Path("mine")):
        (second,) = together(["train", "--resume", "mine", "--steps", "9", "--progress", "none"])
    assert second.returncode == 2
    assert "another process trains in mine" in second.stderr
    assert [r["step"] for r in checkpoint.read_metrics("mine")] == [1, 2]
    assert run(["train", "--resume", "mine", "--steps", "3", "--progress", "none"]) == 0


@pytest.mark.parametrize("setting", ["optimizer.eps=inf", "model.gain=nan", "optimizer.eps=1e400"])
def test_what_is_not_finite_is_no_option(setting, in_folder: Path, capsys) -> None:
    assert run(["train", "rnn", "--task", "copy", "--dry-run", "--json", "--set", setting]) == 2
    assert "must be a finite number" in capsys.readouterr().err


@pytest.mark.parametrize(("task", "setting"), [("forecast", "file="), ("charlm", "text="), ("sentiment", "text=")])
def test_an_empty_option_is_no_file(task, setting, in_folder: Path, capsys) -> None:
    assert run(["train", "rnn", "--task", task, "--dry-run", "--set", setting]) == 2
    assert "is empty" in capsys.readouterr().err


def test_a_closed_stdout_is_no_defect() -> None:
    done = subprocess.run(f"{' '.join(COMMAND)} models >&-", shell=True, capture_output=True, text=True, check=False)
    assert "defect" not in done.stderr


def test_numbers_of_folders_go_on_after_those_that_are_there(in_folder: Path) -> None:
    (in_folder / "runs").mkdir()
    (in_folder / "runs" / "a-1").write_text("")
    (in_folder / "runs" / "a-2").symlink_to("nowhere")
    (in_folder / "runs" / "a-3").mkdir()
    assert [str(checkpoint.new_folder(None, "a")) for _ in range(2)] == ["runs/a-4", "runs/a-5"]


@pytest.mark.parametrize("out", ["", " ", "file", "file/x", "\0", "x" * 300])
def test_an_out_that_is_no_folder_is_refused(in_folder: Path, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert run(["train", "rnn", "--task", "copy", "--steps", "1", *TINY, "--out", out]) == 2
    assert run(["compare", "rnn", "gru", "--task", "copy", "--steps", "1", *TINY, "--out", out]) == 2
    assert capsys.readouterr().err.count("ame another folder") + (2 if not out.strip() else 0) >= 2
    assert [p.name for p in in_folder.iterdir()] == ["file"]


@pytest.mark.parametrize("command", ["eval", "plot", "train --resume"])
def test_a_run_without_a_name_is_none(in_folder: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "rnn", "--task", "copy", "--steps", "1", *TINY, "--out", "."]) == 0
    assert run([*command.split(), ""]) == 2
    assert "'' is not a run" in capsys.readouterr().err


# --- a full disk ------------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_in_one_sentence(in_folder: Path) -> None:
    (in_folder / "r").mkdir()
    (in_folder / "r" / "metrics.jsonl").symlink_to("/dev/full")
    line = ["train", "rnn", "--task", "copy", "--steps", "3", *TINY]
    done = together([*line, "--out", "r"])[0]
    assert done.returncode == 1
    assert done.stderr.startswith("minigrad: r/metrics.jsonl: No space left on device. Make room")
    assert done.stderr.count("\n") == 1
    with open("/dev/full", "w") as full:
        spoken = subprocess.run(
            [*COMMAND, *line, "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert spoken.returncode == 1
    assert spoken.stderr.startswith("minigrad: stdout: No space left on device.")
    assert spoken.stderr.count("\n") == 1


def test_the_last_good_checkpoint_stays_on_a_full_disk(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "rnn", "--task", "copy", "--steps", "2", "--out", "r", *TINY]
    assert run(line) == 0
    before = Path("r/checkpoint.safetensors").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        for command in (
            ["train", "--resume", "r", "--steps", "4", "--progress", "none"],
            ["plot", "r", "--out", "p.svg"],
        ):
            assert run(command) == 1
            assert "No space left on device. Make room" in capsys.readouterr().err
    assert not Path("p.svg").exists()
    assert Path("r/checkpoint.safetensors").read_bytes() == before
    assert not [p.name for p in Path("r").iterdir() if p.name.startswith(".")]
    assert run(["train", "--resume", "r", "--steps", "4", "--progress", "none"]) == 0
    assert [r["step"] for r in checkpoint.read_metrics("r")] == [1, 2, 3, 4]


# --- strict JSON ------------------------------------------------------------------------------------------------------


def test_metrics_are_strict_json(tmp_path: Path) -> None:
    logger = mg.registry.load("loggers", "jsonl")(tmp_path)
    record = {"step": 1, "loss": 0.5, "grad_norm": float("inf"), "lr": 1e-3, "seconds": 0.1,
              "time_grad_norm": {"l0.h": [0.0, 1e-300, float("nan"), -float("inf"), 5e-324]}}  # fmt: skip
    logger.log(record)
    logger.close()
    line = (tmp_path / "metrics.jsonl").read_text()
    assert strict(line) == {**record, "grad_norm": None, "time_grad_norm": {"l0.h": [0.0, 1e-300, None, None, 5e-324]}}
    assert list(strict(line)) == list(record)
    assert "0.0, 1e-300" in line
    (read,) = checkpoint.read_metrics(tmp_path)
    np.testing.assert_array_equal(read["time_grad_norm"]["l0.h"], [0, 1e-300, np.nan, np.nan, 5e-324])


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-23, 1.0, 1e25, 1e200])
def test_a_norm_over_rows_neither_vanishes_nor_overflows_in_its_square(scale: float) -> None:
    scan = ScanTrace(3, [mg.zeros((2, 4))])
    scan.carry_grad_norm[0][:] = np.array([[3.0, 4.0], [0.0, 0.0], [5.0, 12.0]]) * scale
    ((_, norms),) = time_grad_norm(mg.nn.Linear(1, 1), [scan]).items()
    np.testing.assert_allclose(norms, np.array([5, 0, 13]) * scale, rtol=1e-5)


def test_a_carry_that_no_backward_came_by_has_no_norms() -> None:
    seen, unseen = ScanTrace(2, [mg.zeros((2, 4))]), ScanTrace(2, [mg.zeros((2, 4))])
    seen.carry_grad_norm[0][:] = [[3, 4], [0, np.inf]]
    assert time_grad_norm(mg.nn.Linear(1, 1), [seen, unseen]) == {"scan0.carry[0]": [5.0, np.inf]}


def test_commands_answer_in_strict_json(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "rnn", "--task", "copy", "--steps", "2", "--out", "r", *TINY]) == 0
    text = Path("r/metrics.jsonl").read_text().splitlines()
    Path("r/metrics.jsonl").write_text(f'{text[0]}\n{{"step": 2, "loss": Infinity, "grad_norm": NaN}}\n')
    capsys.readouterr()
    assert run(["runs", "r", "--json"]) == 0
    (row,) = strict(capsys.readouterr().out)
    assert (row["steps"], row["loss"]) == (2, None)
    arrays, state = checkpoint.read("r")
    checkpoint.write(
        Path("r"), {k: a * np.float32(np.inf) if k.startswith("model") else a for k, a in arrays.items()}, state
    )
    assert run(["eval", "r", "--json", "--batches", "1"]) == 0
    assert strict(capsys.readouterr().out)["loss"] is None


def test_pictures_are_drawn_of_records_with_gaps(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "lstm", "--task", "copy", "--steps", "2", "--out", "r", *TINY]) == 0
    path = Path("r/metrics.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        record["grad_norm"] = None
        record["time_grad_norm"]["l0.h"][3:] = [None] * len(record["time_grad_norm"]["l0.h"][3:])
        record["param_grad_norm"] = dict.fromkeys(record["param_grad_norm"])
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    for line in (["plot", "r"], ["plot", "r", "--out", "p.html"], ["plot", "r", "--out", "p.svg"], ["runs", "."]):
        assert run(line) == 0, capsys.readouterr().err
    assert Story("r")._repr_html_()


@pytest.mark.parametrize("line", ["5", "[]", "{", '{"step": 1}', "\udcff"])
def test_a_line_that_is_no_record_is_named_unless_it_is_the_last(in_folder: Path, line: str, capsys) -> None:
    assert run(["train", "rnn", "--task", "copy", "--steps", "2", "--out", "r", *TINY]) == 0
    first, second = Path("r/metrics.jsonl").read_bytes().splitlines()
    odd = line.encode(errors="surrogateescape")
    Path("r/metrics.jsonl").write_bytes(b"\n".join([first, second, odd]))
    assert [r["step"] for r in checkpoint.read_metrics("r")] == [1, 2]
    Path("r/metrics.jsonl").write_bytes(b"\n".join([first, odd, second]))
    assert run(["plot", "r"]) == 2
    assert "r/metrics.jsonl, line 2: this is no record" in capsys.readouterr().err


# --- files that are not what they should be -----------------------------------------------------------------------------


def changed(folder: str, **changes: object) -> None:
    arrays, state = checkpoint.read(folder)
    state = {k: v for k, v in (state | changes).items() if v != "gone"}
    checkpoint.write(Path(folder), arrays, state)


@pytest.mark.parametrize(
    "changes",
    [{"step": "gone"}, {"masks": []}, {"masks": 3}, {"data": {}}, {"random": "x"}, {"best": 1.0}, {"recent": [1]}],
)
def test_a_checkpoint_that_does_not_fit_is_named(
    in_folder: Path, changes: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "rnn", "--task", "copy", "--steps", "2", "--out", "r", *TINY]) == 0
    changed("r", **changes)
    assert run(["train", "--resume", "r", "--steps", "3", "--progress", "none"]) == 1
    assert capsys.readouterr().err.startswith(
        "minigrad: r/checkpoint.safetensors does not belong to the config.toml beside it:"
    )


def test_a_checkpoint_of_another_model_is_named(in_folder: Path) -> None:
    for model in ("rnn", "gru"):
        assert run(["train", model, "--task", "copy", "--steps", "1", "--out", model, *TINY]) == 0
    Path("rnn/checkpoint.safetensors").write_bytes(Path("gru/checkpoint.safetensors").read_bytes())
    for load in (lambda: trained("rnn"), lambda: Run(checkpoint.read_config("rnn"), Path("rnn")).restore()):
        with pytest.raises(WeightsError, match=r"(?s)rnn/checkpoint\.safetensors does not belong .*weight_ih_l0"):
            load()
    Path("rnn/checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"rnn/checkpoint\.safetensors is not a whole"):
        trained("rnn")


def test_a_configuration_without_a_name_is_refused(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "rnn", "--task", "copy", "--config", "", "--dry-run"]) == 2
    assert "the configuration" in capsys.readouterr().err
    with pytest.raises(UsageError, match="is not a run"):
        checkpoint.read_config("")
