"""The command as its users meet it: exit codes, one paragraph an error, plain output in pipes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import click
import pytest

from minigrad_cli.main import COMMANDS, cli, run

TINY = ["--hidden", "6", "--batch", "4", "--length", "3", "--progress", "none"]
COMMAND = [sys.executable, "-m", "minigrad_cli.main"]


def minigrad(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False, **options)


def test_train_prints_one_json_object_and_writes_a_run(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "lstm", "--task", "copy", "--steps", "3", "--json", *TINY]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["status"] == "finished"
    assert out["steps"] == 3
    assert out["baseline"] == pytest.approx(10 * 2.0794415 / 23)
    assert {"loss", "accuracy", "solved", "run", "seconds", "version"} <= set(out)
    folder = Path(out["run"])
    assert {p.name for p in folder.iterdir()} == {"config.toml", "metrics.jsonl", "checkpoint.safetensors"}
    assert tomllib.loads((folder / "config.toml").read_text())["model"]["name"] == "lstm"
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    assert run(["train", "--resume", str(folder), "--steps", "5", "--json", "--progress", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 5
    assert run(["eval", str(folder), "--length", "6", "--batches", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == pytest.approx(10 * 2.0794415 / 26)


def test_a_dry_run_prints_the_configuration_and_writes_nothing(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "gru", "--task", "adding", "--dry-run", "--lr", "0.5"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["lr"] == 0.5
    assert run(["train", "gru", "--task", "adding", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == {"name": "adding"}
    assert list(in_folder.iterdir()) == []


def test_a_configuration_file_is_used(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.toml").write_text('hidden = 9\n[model]\nname = "rnn"\nnonlinearity = "relu"\n[task]\nname = "adding"\n')
    assert run(["train", "--config", "c.toml", "--set", "hidden=7", "--dry-run", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert (config["hidden"], config["model"]) == (7, {"name": "rnn", "nonlinearity": "relu"})


def test_answers_are_printed_with_where_the_model_looked(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--set", "attention=general", "--steps", "2", "--json", *TINY]
    assert run(["train", "seq2seq", "--task", "reversal", *options]) == 0
    folder = json.loads(capsys.readouterr().out)["run"]
    assert run(["eval", folder, "--beam", "3", "--examples", "2", "--batches", "1", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert 0 <= out["beam_accuracy"] <= 1
    assert len(out["examples"]) == 2
    assert out["examples"][0]["right"] == out["examples"][0]["question"][::-1]
    assert run(["eval", folder, "--examples", "1", "--batches", "1"]) == 0
    text = capsys.readouterr().out
    assert " -> " in text
    assert any(shade in text for shade in "░▒▓█")
    assert run(["train", "lstm", "--task", "copy", "--steps", "1", "--json", *TINY]) == 0
    folder = json.loads(capsys.readouterr().out)["run"]
    for option in ("--beam", "--examples"):
        assert run(["eval", folder, option, "2"]) == 2
        assert option in capsys.readouterr().err


def test_tbptt_is_trained_by_its_option(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["train", "lstm", "--task", "copy", "--unroll", "tbptt", "--window", "5", "--steps", "2", "--json", *TINY])
        == 0
    )
    folder = Path(json.loads(capsys.readouterr().out)["run"])
    assert tomllib.loads((folder / "config.toml").read_text())["unroll"] == {"name": "tbptt", "window": 5}
    record = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert {len(v) for v in record["time_grad_norm"].values()} == {23}
    assert run(["train", "lstm", "--task", "copy", "--window", "5"]) == 2
    assert "There are also: full, tbptt" in capsys.readouterr().err


def test_charlm_learns_a_file_and_writes_in_its_manner(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.txt").write_text("to be or not to be, " * 100)
    assert run(["train", "gru", "--task", "charlm", "--set", "text=t.txt", "--steps", "5", "--json", *TINY]) == 0
    folder = json.loads(capsys.readouterr().out)["run"]
    assert run(["eval", folder, "--sample", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["sample"]) == 40
    assert set(found["sample"]) <= set("to be or not to be, ")
    assert found["bits"] == pytest.approx(found["loss"] / 0.6931472)
    assert run(["eval", folder, "--sample", "40"]) == 0
    assert found["sample"] in capsys.readouterr().out


WRONG = {
    "train lstn --task copy": (2, "Did you mean 'lstm'"),
    "train lstm --task cpoy": (2, "Did you mean 'copy'"),
    "train lstm": (2, "which task"),
    "trian lstm": (2, "Did you mean 'train'"),
    "train lstm --task copy --steps 0": (2, "from 1"),
    "train lstm --task copy --steps many": (2, "not a valid integer"),
    "train lstm --task copy --hidden -3": (2, "from 1"),
    "train lstm --task copy --hidden 99999": (2, "GiB"),
    "train lstm --task copy --lr nan": (2, "finite number"),
    "train lstm --task copy --lr 0": (2, "above 0"),
    "train lstm --task copy --clip 0": (2, "above 0"),
    "train lstm --task copy --optimizer adma": (2, "Did you mean 'adam'"),
    "train lstm --task copy --device cudo": (2, "Did you mean 'cuda'"),
    "train lstm --task copy --set x": (2, "key=value"),
    "train lstm --task copy --set forget_bais=1": (2, "Did you mean 'forget_bias'"),
    "train lstm --task copy --config none.toml": (2, "No such file"),
    "train lstm --task copy --config bad.toml": (2, "not TOML"),
    "train lstm --task copy --config unknown.toml": (2, "Did you mean 'hidden'"),
    "train lstm --task copy --config types.toml": (2, "hidden must be an integer"),
    "train lstm --task copy --out bad.toml": (2, "cannot write a run"),
    "train lstm --task copy --out run": (2, "--resume run"),
    "train --resume none": (2, "not a run"),
    "train --resume run --hidden 3": (2, "hidden cannot change"),
    "train lstm --resume run": (2, "leave out MODEL"),
    "train --resume run": (1, "whole safetensors"),
    "train lstm --task charlm --set text=none.txt": (2, "No such file"),
    "train lstm --task adding --length 1": (2, "2 or more"),
    "train lstm --task copy --frob": (2, "No such option"),
    "eval none": (2, "not a run"),
    "eval run": (1, "whole safetensors"),
    "info --frob": (2, "No such option"),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_gets_one_paragraph_and_its_code(
    line: str, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.toml").write_text("this is not toml")
    Path("unknown.toml").write_text("hiden = 3")
    Path("types.toml").write_text('hidden = "big"')
    Path("run").mkdir()
    Path("run/config.toml").write_text('hidden=6\nbatch=4\nlength=3\nsteps=3\nlayers=1\nbidirectional=false\nlr=0.1\nclip=1.0\n'
                                       'seed=0\ntrace="off"\n[model]\nname="lstm"\n[task]\nname="copy"\n'
                                       '[optimizer]\nname="adam"\n[unroll]\nname="full"\n')  # fmt: skip
    Path("run/checkpoint.safetensors").write_bytes(b"garbage")
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    code, words = WRONG[line]
    assert run(line.split()) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert "\n\n" not in captured.err.strip()
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before


def test_divergence_ends_with_3_and_says_where(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "train",
        "rnn",
        "--task",
        "copy",
        "--set",
        "nonlinearity=relu",
        "--lr",
        "1e30",
        "--steps",
        "50",
        "--json",
        *TINY,
    ]
    assert run(line) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["status"] == "diverged"
    assert re.search(r"time step \d+.*gradient of \w+", captured.err)


def test_listings_come_from_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    for command, name in (("models", "lstm"), ("tasks", "charlm"), ("plugins", "jsonl")):
        assert run([command, "--json"]) == 0
        assert name in [row["name"] for row in json.loads(capsys.readouterr().out)]
        assert run([command]) == 0
        assert name in capsys.readouterr().out
    assert run(["plugins", "--load"]) == 0
    assert "broken" not in capsys.readouterr().out
    assert run(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["devices"].split(", ")[0], bool(found["cuda"])) == ("cpu", True)


def test_show_prints_a_cells_graph_and_its_backward(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "rnn", "--graph"]) == 0
    graph = capsys.readouterr().out
    assert "{ h:float32[32,64]  x:float32[32,10]\n; weight_ih:float32[64,10]" in graph
    assert "h':float32[32, 64] = tanh " in graph
    assert run(["show", "rnn", "--backward", "--hidden", "5"]) == 0
    backward = capsys.readouterr().out
    assert "dL/d weight_hh = " in backward
    assert "float32[5, 5]" in backward
    assert run(["show", "rnn", "--graph"]) == 0
    assert "  before  weight_ih_x:" in capsys.readouterr().out
    assert run(["show", "rnm"]) == 2
    assert "Did you mean 'rnn'" in capsys.readouterr().err


def test_show_prints_equations_as_a_paper_would(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "lstm", "--equations"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "gates = weight_ih x + bias_ih + weight_hh h + bias_hh",
        "i, f, g, o = split(gates)",
        "c' = σ(f) · c + σ(i) · tanh(g)",
        "h' = σ(o) · tanh(c')",
        "y = h'",
    ]
    assert run(["show", "gru"]) == 0
    assert "h' = (1 - z) · n + z · h" in capsys.readouterr().out


def test_show_draws_a_recurrence_rolled_up_and_laid_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (40, 80, 160):
        monkeypatch.setenv("COLUMNS", str(width))
        assert run(["show", "lstm"]) == 0
        equations, drawn = capsys.readouterr().out.split("\n\nrolled up")
        assert equations.splitlines()[-1] == "y = h'"
        rolled, laid_out = drawn.split("laid out")
        assert "× T" in rolled
        assert re.search(r"^h, c ─▶ └─+┘ ─▶ h', c'$", rolled, re.M)
        assert max(map(len, [*equations.splitlines(), *drawn.splitlines()])) <= width
        assert laid_out.count("[lstm]") == {40: 1, 80: 3, 160: 3}[width]


def test_show_runs_a_model_once_and_shows_each_of_its_scans(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "seq2seq", "--set", "attention=dot", "--hidden", "8"]) == 0
    text = capsys.readouterr().out
    assert "  encoder: Recurrent" in text
    assert "        weight_hh [32, 8]" in text
    assert text.count("rolled up") == 2
    assert "memory" in text
    assert run(["show", "seq2seq", "--backward", "--hidden", "8"]) == 0
    assert capsys.readouterr().out.count("dL/d ") > 8
    assert run(["show", "attention", "--hidden", "8"]) == 0
    assert "no recurrence" in capsys.readouterr().out
    assert run(["show", "attention", "--graph", "--hidden", "8"]) == 2
    assert "runs no scan" in capsys.readouterr().err


def test_show_prints_the_module_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "gru", "--cuda"]) == 0
    assert {"grid.sync()", "@kernel", "sigmoid32("} <= set(
        re.findall(r"grid.sync\(\)|@kernel|\w+\(", capsys.readouterr().out)
    )
    assert run(["show", "gru", "--source"]) == 0
    source = capsys.readouterr().out
    compile(source, "gru", "exec")
    assert "def forward(" in source
    assert "n_j = tanh32(" in source
    assert max(map(len, source.splitlines())) <= 160


def test_cache_clear_empties_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    (tmp_path / "kernels" / "abc").mkdir(parents=True)
    (tmp_path / "kernels" / "abc" / "some.nbi").write_bytes(b"x" * 10)
    assert run(["cache", "path"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "kernels")
    assert run(["cache", "clear"]) == 0
    assert capsys.readouterr().out.startswith("1 files, 0.0 MB")
    assert not (tmp_path / "kernels").exists()
    assert run(["cache", "clear"]) == 0


def commands() -> list[list[str]]:
    context = click.Context(cli)
    found: list[list[str]] = [[]]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found.append([name])
        found += [[name, inner] for inner in getattr(command, "commands", {})]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_help_has_an_example_and_fits_a_terminal(words, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*words, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("minigrad " + " ".join(words) in line for line in lines if not line.startswith("Usage"))


WORD = r"[^\s/|-]+"  # a path, a list of choices and a word with hyphens may be cut


def words_of(line: str, columns: int, capsys, monkeypatch) -> list[str]:
    """The words that a command prints in a terminal of so many columns, none of which has a longer line."""
    monkeypatch.setenv("COLUMNS", str(columns))
    run(line.split())
    captured = capsys.readouterr()
    assert max(map(len, (captured.out + captured.err).splitlines())) <= columns
    return re.findall(WORD, captured.out + captured.err)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_page_of_help_has_the_same_words_in_forty_columns(words, capsys, monkeypatch) -> None:
    narrow, wide = (words_of(" ".join([*words, "--help"]), n, capsys, monkeypatch) for n in (40, 100))
    assert narrow == wide


@pytest.mark.parametrize(
    "line",
    [
        "plugins",
        "info",
        "tasks",
        "models",
        "explain",
        "show lstm --equations",
        "show gru --graph",
        "trian",
        "train lstm --task cpoy",
    ],
)
def test_forty_columns_break_no_word(line: str, capsys, monkeypatch) -> None:
    narrow = words_of(line, 40, capsys, monkeypatch)
    monkeypatch.delenv("COLUMNS")
    run(line.split())
    captured = capsys.readouterr()
    wide = re.findall(WORD, captured.out + captured.err)
    assert [w for w in narrow if not w.isdigit()] == [w for w in wide if not w.isdigit()]


@pytest.mark.parametrize("progress", ["lines", "none"])
def test_a_run_is_told_in_forty_columns(in_folder: Path, progress: str, capsys, monkeypatch) -> None:
    line = f"train lstm --task copy --steps 2 --hidden 6 --batch 4 --length 3 --out r --progress {progress}"
    assert {"loss", "(baseline", "accuracy"} <= set(words_of(line, 40, capsys, monkeypatch))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("minigrad tr", "train"), ("minigrad train l", "lstm"), ("minigrad train --task add", "adding addition"),
     ("minigrad compare rnn g", "gru"), ("minigrad show seq", "seq2seq"), ("minigrad check pari", "parity"),
     ("minigrad train lstm --unroll t", "tbptt"), ("minigrad train lstm --be", "")],
)  # fmt: skip
def test_a_shell_completes_commands_and_installed_names(line: str, wanted: str) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_MINIGRAD_COMPLETE": "bash_complete"}
    done = minigrad(env=os.environ | words)
    assert done.stdout.split() == [f"plain,{word}" for word in wanted.split()]


def test_the_shells_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert run(["completion", shell]) == 0
        assert f"_MINIGRAD_COMPLETE={shell}_complete" in capsys.readouterr().out
    assert run(["completion", "csh"]) == 2


# --- in a process of its own --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["models"], ["tasks", "--json"], ["plugins"], ["--version"]]
)
def test_help_and_listings_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from minigrad_cli.main import run; code = run(sys.argv[1:]); "
        "heavy = [m for m in sys.modules if m.split('.')[0] in ('numpy', 'numba', 'rich', 'minigrad_plugins')]; "
        "print(heavy, file=sys.stderr); sys.exit(code or bool(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_pipe_gets_plain_lines_on_stderr_and_json_on_stdout(in_folder: Path) -> None:
    done = minigrad(
        "train", "lstm", "--task", "copy", "--steps", "3", "--json", "--hidden", "6", "--batch", "4", cwd=in_folder
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 3
    assert "\x1b" not in done.stderr
    assert "step 3/3  loss" in done.stderr


@pytest.mark.parametrize("columns", ["40", "80", "160"])
def test_the_view_fits_its_width_and_is_obeyed_in_a_pipe(in_folder: Path, columns: str) -> None:
    line = ["train", "lstm", "--task", "copy", "--steps", "4", *TINY[:-2], "--progress", "bar"]
    done = minigrad(
        *line, cwd=in_folder, env={**os.environ, "COLUMNS": columns, "LINES": "40", "NO_COLOR": "1", "TERM": "xterm"}
    )
    assert done.returncode == 0, done.stderr
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stderr)
    plain = plain[plain.rindex("lstm on copy  step") :].splitlines()
    assert max(map(len, plain)) <= int(columns)
    text = "\n".join(plain)
    for word in ("loss", "accuracy", "gradient", "‖dL/d l0.h_t‖", "gradient norm by parameter"):
        assert word in text
    assert not re.search(r"\x1b\[([0-9]+;)*3[0-7]m", done.stderr), "colour in spite of NO_COLOR"


def test_a_closed_pipe_is_no_traceback(in_folder: Path) -> None:
    script = f"{' '.join(COMMAND)} plugins --json | head -c 0; {' '.join(COMMAND)} info | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_ctrl_c_finishes_the_step_saves_and_ends_with_130(in_folder: Path) -> None:
    line = [
        "train",
        "lstm",
        "--task",
        "copy",
        "--steps",
        "100000",
        "--json",
        "--hidden",
        "6",
        "--batch",
        "4",
        "--out",
        "r",
    ]
    process = subprocess.Popen(
        [*COMMAND, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=in_folder
    )
    deadline = time.monotonic() + 60
    path = in_folder / "r" / "metrics.jsonl"
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    summary = json.loads(out)
    assert summary["status"] == "interrupted"
    assert len(path.read_text().splitlines()) == summary["steps"]
    assert (in_folder / "r" / "checkpoint.safetensors").exists()


def test_a_broken_plugin_breaks_nothing_but_itself(tmp_path: Path) -> None:
    (tmp_path / "fixture_bad.py").write_text("import sys\nprint('hello')\nsys.exit(7)\n")
    info = tmp_path / "bad_plugin-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(
        "[minigrad.commands]\nbadcommand = fixture_bad:command\n[minigrad.cells]\nbadcell = fixture_bad:Cell\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert "badcommand" in minigrad("--help", env=env).stdout
    assert "badcell" in minigrad("models", env=env).stdout
    used = minigrad("train", "badcell", "--task", "copy", cwd=tmp_path, env=env)
    assert used.returncode == 4
    assert "bad-plugin 0.3" in used.stderr
    assert "SystemExit" in used.stderr
    assert minigrad("badcommand", env=env).returncode == 4
    listed = minigrad("plugins", "--load", env=env)
    assert listed.returncode == 4
    assert "hello" not in listed.stdout
    strict = {**env, "MINIGRAD_STRICT_PLUGINS": "1"}
    assert minigrad("models", env=strict).returncode == 4
    assert minigrad("--help", env=strict).returncode == 0
    assert minigrad("models", env={**strict, "MINIGRAD_PLUGINS": ""}).returncode == 0


def test_a_failure_in_a_plugins_step_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "fixture_step.py").write_text(
        "import minigrad as mg\n\n\nclass Cell(mg.nn.Cell):\n    def __init__(self, input_size, hidden_size):\n"
        "        self.w = mg.nn.Linear(input_size, hidden_size)\n\n    def initial_carry(self, batch):\n"
        "        return mg.zeros((batch, 6))\n\n    def step(self, h, x):\n        return STEP, h\n"
    )
    info = tmp_path / "step_plugin-0.4.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: step-plugin\nVersion: 0.4\n")
    (info / "entry_points.txt").write_text("[minigrad.cells]\nstepper = fixture_step:Cell\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    source = (tmp_path / "fixture_step.py").read_text()
    for step, words in (("undefined", "NameError"), ("h @ x", "inner sizes 6 and 4"), ("h[:, :2]", "comes out")):
        (tmp_path / "fixture_step.py").write_text(source.replace("STEP", step))
        done = minigrad("train", "stepper", "--task", "copy", "--steps", "1", *TINY, cwd=tmp_path, env=env)
        assert done.returncode == 4, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert "stepper" in done.stderr
        assert "step-plugin 0.4" in done.stderr or "comes" in words
        assert done.stderr.count("line 1") == 1  # said once, whoever says it


NUMPY = """
import numpy as np
import minigrad as mg


class Cell(mg.nn.Cell):
    def __init__(self, input_size, hidden_size):
        self.w, self.u = mg.nn.Linear(input_size, hidden_size), mg.nn.Linear(hidden_size, hidden_size)

    def initial_carry(self, batch):
        return mg.zeros((batch, self.u.out_features))

    def step(self, h, x):
        h = mg.sigmoid(STEP)
        return h, h
"""


def test_a_cell_that_cannot_be_compiled_trains_with_all_traces(tmp_path: Path) -> None:
    info = tmp_path / "slow_plugin-0.4.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-plugin\nVersion: 0.4\n")
    (info / "entry_points.txt").write_text("[minigrad.cells]\nslow = fixture_slow:Cell\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for step in ("np.tanh(self.w(x) + self.u(h))", "self.w(x) + (self.u(h) if float(h.mean()) >= 0 else h)"):
        (tmp_path / "fixture_slow.py").write_text(NUMPY.replace("STEP", step))
        done = minigrad("train", "slow", "--task", "copy", "--steps", "2", *TINY, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("runs step by step, not compiled") == 1
    (tmp_path / "fixture_slow.py").write_text(NUMPY.replace("STEP", "self.w(x) if h > 0 else h"))
    before = sorted(tmp_path.rglob("config.toml"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    out = ["--out", "mine"]
    done = minigrad("train", "slow", "--task", "copy", "--steps", "2", *out, *TINY, cwd=tmp_path, env=env)
    assert done.returncode == 4, done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert "fixture_slow.py, line 14, step 0, `h > 0`: `if`" in done.stderr
    assert "mg.where(condition, a, b)" in done.stderr
    assert sorted(tmp_path.rglob("config.toml")) == before, "a run that never began leaves nothing"


def test_the_listing_says_what_metadata_alone_can_tell(tmp_path: Path) -> None:
    for name, points in (
        ("one", "[minigrad.cells]\nlstm = fixture_one:Cell\nbad name = fixture_one:Cell\n"),
        ("two", "[minigrad.tasks]\nnew = fixture_two:Task\n"),
    ):
        (tmp_path / f"fixture_{name}.py").write_text("minigrad_api = 9\nimport sys\nsys.exit(3)\n")
        info = tmp_path / f"{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(points)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = minigrad("plugins", "--json", env=env)
    assert done.returncode == 0, done.stderr
    rows = {(r["name"], r["distribution"]): r for r in json.loads(done.stdout)}
    assert rows["lstm", "one"]["state"] == rows["lstm", "minigrad"]["state"] == "claimed twice"
    assert "one:lstm" in rows["lstm", "one"]["reason"]
    assert rows["bad name", "one"]["state"] == "broken"
    assert (rows["new", "two"]["api"], rows["new", "two"]["state"]) == ("9", "listed")
    assert rows["gru", "minigrad"]["api"] == "1"
    assert minigrad("train", "lstm", "--task", "copy", "--dry-run", env=env).returncode == 4
    assert minigrad("train", "minigrad:lstm", "--task", "copy", "--dry-run", env=env).returncode == 0
    assert minigrad("train", "gru", "--task", "copy", "--dry-run", env=env).returncode == 0
    ran = minigrad("train", "minigrad:lstm", "--task", "copy", "--steps", "1", *TINY, env=env, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "runs" / "minigrad-lstm-copy-1" / "checkpoint.safetensors").exists()
    resumed = ["train", "--resume", "runs/minigrad-lstm-copy-1", "--steps", "2", "--progress", "none"]
    assert minigrad(*resumed, env=env, cwd=tmp_path).returncode == 0


def test_a_runs_configuration_is_checked_again(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "rnn", "--task", "copy", "--steps", "2", "--out", "r", *TINY]) == 0
    text = Path("r/config.toml").read_text()
    for wrong, words in (
        (text.replace("hidden = 6", 'hidden = "six"'), "hidden must be an integer"),
        ("lr = 1.0", "r/config.toml: which model"),
        ("", "r/config.toml: which model"),
    ):
        Path("r/config.toml").write_text(wrong)
        assert run(["train", "--resume", "r"]) == 2
        assert words in capsys.readouterr().err


def test_the_kernel_cache_heals_itself(tmp_path: Path) -> None:
    code = (
        "import minigrad as mg, numpy as np; p = mg.nn.Parameter(np.ones(4)); p.grad = mg.tensor(np.ones(4)); "
        "mg.optim.Adam([p], 0.1).step(); print(round(float(p.numpy()[0]), 6))"
    )

    def use() -> subprocess.CompletedProcess:
        env = {**os.environ, "MINIGRAD_CACHE_DIR": str(tmp_path / "cache")}
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=env, check=False
        )

    first = use()
    assert (first.stdout, "compiling adam (once)" in first.stderr) == ("0.9\n", True)
    assert use().stderr == ""
    files = [p for p in (tmp_path / "cache").rglob("*") if p.suffix in (".nbi", ".nbc")]
    assert len(files) == 2
    for path in files:
        path.write_bytes(path.read_bytes()[:20])
        damaged = use()
        assert damaged.stdout == "0.9\n", damaged.stderr
        assert "Traceback" not in damaged.stderr
    assert use().stderr == ""


def test_a_changed_run_is_a_fork(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "rnn", "--task", "adding", "--steps", "3", "--out", "a", *TINY]) == 0
    before = (in_folder / "a" / "metrics.jsonl").read_bytes()
    assert run(["train", "--resume", "a", "--set", "lr=0.5", "--steps", "5", "--json", "--progress", "none"]) == 0
    captured = capsys.readouterr()
    assert "lr: 0.002 -> 0.5" in captured.err
    folder = Path(json.loads(captured.out.splitlines()[-1])["run"])
    assert json.loads((folder / "fork.json").read_text()) == {"from": "a", "step": 3, "changes": {"lr": [0.002, 0.5]}}
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == [1, 2, 3, 4, 5]
    assert [r["lr"] for r in records] == [0.002] * 3 + [0.5] * 2
    assert (in_folder / "a" / "metrics.jsonl").read_bytes() == before
    for change in ("task.length=9", "nonlinearity=relu", "optimizer=sgd", "hidden=3"):
        assert run(["train", "--resume", "a", "--set", change]) == 2
    assert run(["train", "--resume", "a", "--out", "b", "--steps", "4", "--progress", "none"]) == 0
    assert len((in_folder / "b" / "metrics.jsonl").read_text().splitlines()) == 4


def test_bench_measures_ours_and_says_where_no_peer_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--cell", "rnn", "--shape", "2,2,2,4", "--seconds", "0.01", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["minigrad"] > 0
    assert run(["bench", "--shape", "1,2,x,4"]) == 2
    assert "--shape takes T,B,D,H" in capsys.readouterr().err


def test_no_text_of_a_plugin_steers_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "fixture_loud.py").write_text(
        "raise RuntimeError('\\x1b]0;owned\\x07 \\x9b31m \\u202e \\r \\x1b[2J')\n"
    )
    for name, points in (
        ("good", "[minigrad.cells]\nfine = fixture_loud:Cell\nnot a point\n"),
        (
            "loud",
            "[minigrad.cells]\n\x1b[31mred = fixture_loud:Cell\nlone = \x1b[2J\n"
            + "y" * 500
            + " = a:B\n[minigrad.commands]\n\x1b[1mcmd = fixture_loud:x\n",
        ),
    ):
        info = tmp_path / f"{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\x1b[5m\n")
        (info / "entry_points.txt").write_text(points)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for line in ("plugins", "plugins --json", "plugins --load", "models", "models --json", "--help", "check fine",
                 "train fine --task copy", "train \x1b[31mred --task copy", "show \x1b[31mred", "\x1b[31mred"):  # fmt: skip
        done = minigrad(*line.split(" "), env=env)
        out = done.stdout + done.stderr
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out), (line, out)
        assert "Traceback" not in out
        assert "defect of minigrad" not in out
        assert done.returncode == {"plugins": 0, "plugins --json": 0, "models": 0, "models --json": 0, "--help": 0,
                                   "plugins --load": 4, "check fine": 4, "train fine --task copy": 4,
                                   "\x1b[31mred": 2}.get(line, 4), (line, out)  # fmt: skip
    rows = {r["name"]: r for r in json.loads(minigrad("plugins", "--json", env=env).stdout)}
    assert [rows[name]["state"] for name in ("fine", "not a point", "\x1b[31mred", "lone")] == [
        "listed",
        *["broken"] * 3,
    ]
    listed = minigrad("plugins", env=env).stdout
    assert r"\x1b[31mred" in listed
    assert max(map(len, listed.splitlines())) < 200
    assert "lone" not in minigrad("models", env=env).stdout


def test_the_live_views_show_names_and_notes_without_their_escapes() -> None:
    from rich.console import Console

    from minigrad_cli.compare_view import CompareView
    from minigrad_cli.view import TrainView

    red = "\x1b[31mred\x07"
    record = {"step": 1, "loss": 1.0, "grad_norm": 1.0, "seconds": 0.0, "time_grad_norm": {red: [1.0, 2.0]},
              "param_grad_norm": {red: 1.0}, "gates": {red: [0.5, 0.5]}}  # fmt: skip
    one, several = TrainView(red, None, 1.0), CompareView(red, [red])
    for view in (one, several):
        view.note = red
        for told in (False, True):
            if told:
                view.update(record) if view is one else view.take(red, record)
            console = Console(width=80, height=60, color_system=None, force_terminal=False)
            with console.capture() as captured:
                console.print(view)
            assert r"\x1b[31mred\x07" in captured.get()
            assert not re.search("[\x00-\x09\x0b-\x1f]", captured.get())
