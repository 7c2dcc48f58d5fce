"""Training as a library: records, resuming to the same bits, divergence, configuration, tasks."""

import json
from math import cos, log, pi
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import checkpoint
from minigrad.config import parse_setting, read_toml, resolve
from minigrad.errors import DivergedError, UsageError, WeightsError
from minigrad.train import Run, evaluate
from minigrad_cli.main import run as command


def small(model: str = "lstm", task: str = "copy", **options) -> dict:
    return resolve(model, task, options={"steps": 6, "hidden": 6, "batch": 4, "length": 3, **options})


def run_in(folder: Path, config: dict) -> Run:
    run = Run(config, folder)
    checkpoint.write_config(folder, config)
    return run


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


# --- tasks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "baseline"),
    [(20, 0.519860), (50, 0.297063), (100, 0.173287), (200, 0.094520), (500, 0.039989), (1000, 0.020387)],
)
def test_copy_is_arjovskys(length: int, baseline: float) -> None:
    task = mg.registry.load("tasks", "copy")(length=length)
    assert task.baseline == pytest.approx(baseline, abs=5e-7)
    batch = task.batch(np.random.default_rng(0), 5)
    assert batch.xs.shape == (length + 20, 5, 10)
    symbols = batch.xs.argmax(-1)
    assert ((symbols[:10] >= 1) & (symbols[:10] <= 8)).all()
    assert (symbols[10 + length - 1] == 9).all()
    assert not np.delete(symbols[10:], length - 1, axis=0).any()
    np.testing.assert_array_equal(batch.targets[-10:], symbols[:10])
    assert not batch.targets[:-10].any()


def test_the_baselines_are_the_losses_of_the_best_blind_guess() -> None:
    rng = np.random.default_rng(0)
    copy = mg.registry.load("tasks", "copy")(length=5)
    logits = np.full((25, 200, 10), -50.0)
    logits[:15, :, 0] = 50
    logits[15:, :, 1:9] = 50
    blind = mg.nn.cross_entropy(logits, copy.batch(rng, 200).targets).item()
    assert blind == pytest.approx(copy.baseline) == pytest.approx(10 * log(8) / 25)
    adding = mg.registry.load("tasks", "adding")(length=10)
    targets = adding.batch(rng, 200_000).targets
    assert np.mean((targets - 1) ** 2) == pytest.approx(adding.baseline, rel=0.01) == pytest.approx(1 / 6, rel=0.01)


def test_adding_marks_one_number_in_each_half() -> None:
    batch = mg.registry.load("tasks", "adding")(length=11).batch(np.random.default_rng(0), 100)
    values, marks = batch.xs[..., 0], batch.xs[..., 1]
    assert (marks[:5].sum(0) == 1).all()
    assert (marks[5:].sum(0) == 1).all()
    np.testing.assert_allclose((values * marks).sum(0), batch.targets, rtol=1e-6)


def test_charlm_reads_a_file_and_keeps_a_part_back(tmp_path: Path) -> None:
    text = tmp_path / "t.txt"
    text.write_text("abcd" * 300 + "é")
    task = mg.registry.load("tasks", "charlm")(length=7, text=str(text))
    assert task.alphabet == "abcdé"
    batch = task.batch(np.random.default_rng(0), 3)
    np.testing.assert_array_equal(batch.xs.argmax(-1)[1:], batch.targets[:-1])
    assert 4 in task.held_out
    assert 4 not in task.seen
    assert task.baseline == pytest.approx(-4 * 300 / 1201 * log(300 / 1201) - log(1 / 1201) / 1201)
    default = mg.registry.load("tasks", "charlm")()
    assert len(default.seen) > 300_000


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "nothing to predict"), (b"aaaa" * 99, "nothing to predict"), (b"ab\x00c" * 99, "zero byte"),
     (b"\xff\xfeab", "not UTF-8"), (b"abc", "at least")],
)  # fmt: skip
def test_charlm_refuses_what_is_no_text(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        mg.registry.load("tasks", "charlm")(text=str(path))
    with pytest.raises(UsageError, match="No such file"):
        mg.registry.load("tasks", "charlm")(text=str(tmp_path / "none"))


# --- training -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("task", ["copy", "adding"])
def test_records_hold_what_the_contract_says(in_folder: Path, model: str, task: str) -> None:
    run = run_in(in_folder, small(model, task))
    records = list(run.records())
    assert [r["step"] for r in records] == [1, 2, 3, 4, 5, 6]
    assert [json.loads(line) for line in (in_folder / "metrics.jsonl").read_text().splitlines()] == records
    last = records[-1]
    assert set(last) >= {"step", "loss", "grad_norm", "lr", "seconds", "param_grad_norm", "time_grad_norm"}
    assert ("accuracy" in last) == (task == "copy")
    assert set(last["param_grad_norm"]) == {name for name, _ in run.model.named_parameters()}
    assert list(last["time_grad_norm"]) == (["l0.h", "l0.c"] if model == "lstm" else ["l0.h"])
    assert {len(v) for v in last["time_grad_norm"].values()} == {23 if task == "copy" else 3}
    assert last["grad_norm"] == pytest.approx(np.sqrt(sum(v**2 for v in last["param_grad_norm"].values())), rel=1e-4)
    assert run.summary()["status"] == "finished"
    assert evaluate(run, batches=2)["loss"] > 0
    first = records[0]
    assert ("gates" in first, set(first.get("gates", ()))) == (
        model != "rnn",
        {"rnn": set(), "lstm": set("ifo"), "gru": set("rz")}[model],
    )
    assert all(0 <= x <= 1 for pair in first.get("gates", {}).values() for x in pair)
    assert "gates" not in last


def test_updates_clipping_and_singular_values_are_exact() -> None:
    run = Run(small("rnn", "adding", clip=0.01, optimizer="sgd", lr=0.5), None)
    before = run.model.state_dict()
    (record, *_) = run.records()
    after = Run(small("rnn", "adding", clip=0.01, optimizer="sgd", lr=0.5, steps=1), None)
    list(after.records())
    for name, p in after.model.named_parameters():
        moved = np.linalg.norm(p.numpy() - before[name]) / np.linalg.norm(before[name])
        assert record["update_ratio"][name] == pytest.approx(moved, rel=1e-4)
        scale = min(1, 0.01 / record["grad_norm"])
        assert record["clipped_grad_norm"][name] == pytest.approx(record["param_grad_norm"][name] * scale, rel=1e-4)
    values = np.linalg.svd(before["recurrent.weight_hh_l0"], compute_uv=False)
    found = record["singular_values"]["weight_hh"]
    assert found[0] > found[1] > found[2]
    assert found[0] == pytest.approx(values.max(), abs=0.1)  # one small step later


def test_trace_options_change_what_is_kept_and_nothing_else(tmp_path: Path) -> None:
    losses = []
    for kind, keys in (("off", 0), ("params", 1), ("time", 2)):
        run = Run(small(trace=kind), None)
        records = list(run.records())
        assert sum(k in records[0] for k in ("param_grad_norm", "time_grad_norm")) == keys
        losses.append([r["loss"] for r in records])
    assert losses[0] == losses[1] == losses[2]


def test_a_stateful_task_reads_on_and_its_rows_start_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("abcdefghij" * 12)
    task = mg.registry.load("tasks", "charlm")(5, str(tmp_path / "t.txt"), stateful=True)
    rng = np.random.default_rng(0)
    first, *rest = [task.batch(rng, 4) for _ in range(30)]
    assert first.starts.all()
    before = first
    for batch in rest:
        on = ~batch.starts
        np.testing.assert_array_equal(batch.xs[0, on].argmax(-1), before.targets[-1, on])
        before = batch
    assert any(0 < batch.starts.sum() < 4 for batch in rest)


def test_carried_state_is_that_of_the_batch_before_and_survives_a_resume(in_folder: Path) -> None:
    (in_folder / "t.txt").write_text("abcdefghij" * 12)
    config = resolve("lstm", "charlm", options={"steps": 6, "hidden": 6, "batch": 3, "length": 5},
                     settings={"text": str(in_folder / "t.txt"), "stateful": True, "noise": 0.01, "clip_value": 0.02})  # fmt: skip
    whole = list(Run(config, None).records())
    for n in (1, 3):
        (in_folder / f"b{n}").mkdir()
        run = run_in(in_folder / f"b{n}", config)
        seen = iter(range(n))
        list(run.records(lambda: next(seen, None) == n - 1))
        again = Run(config, in_folder / f"b{n}")
        again.restore()
        rest = list(again.records())
        assert [r["loss"] for r in rest] == [r["loss"] for r in whole[n:]]
    assert any(leaf.numpy().any() for leaf in again.state)
    config["bidirectional"] = True
    with pytest.raises(UsageError, match="reads ahead"):
        list(Run(config, None).records())


def test_a_resumed_stream_keeps_its_mask_though_it_was_judged_on_the_way(in_folder: Path) -> None:
    (in_folder / "t.txt").write_text("abcdefghij" * 12)
    settings = {"text": str(in_folder / "t.txt"), "stateful": True, "recurrent_dropout": 0.3}
    config = resolve("lstm", "charlm", settings=settings,
                     options={"steps": 26, "hidden": 6, "batch": 2, "length": 4, "patience": 100})  # fmt: skip
    whole = [r["loss"] for r in Run(config, None).records()]
    first = run_in(in_folder, config | {"steps": 22})
    list(first.records())
    again = Run(config, in_folder)
    again.restore()
    assert [r["loss"] for r in again.records()] == whole[22:]


def test_a_model_that_would_see_the_answer_is_refused() -> None:
    for task in ("charlm", "mackey-glass", "forecast"):
        for model, options, words in (
            ("lstm", {"bidirectional": True}, "leave out --bidirectional"),
            ("attention", {}, "causal=true"),
        ):
            with pytest.raises(UsageError, match=f"(?i){words}"):
                Run(resolve(model, task, options={"length": 8, "hidden": 8, **options}), None)
        causal = resolve("attention", task, settings={"causal": True}, options={"length": 8, "hidden": 8, "steps": 1})
        list(Run(causal, None).records())
    with pytest.raises(UsageError, match="has no directions"):
        Run(resolve("attention", "parity", options={"bidirectional": True}), None)


@pytest.mark.parametrize(
    "wrong",
    ["noise=-1", "noise=nan", "clip_value=-1", "clip_value=nan", "betas=[0.9, 1.0]", "eps=-1.0", "weight_decay=nan"],
)
def test_options_of_the_optimizer_have_a_range(wrong: str) -> None:
    with pytest.raises(UsageError):
        Run(resolve("rnn", "copy", settings=dict([parse_setting(wrong)]), options={"length": 3}), None)


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({}, [1.0] * 8),
        ({"schedule": "constant", "warmup": 3}, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ({"schedule": "linear"}, [1 - n / 8 for n in range(8)]),
        ({"schedule": "linear", "warmup": 4}, [0.2, 0.4, 0.6, 0.8, 1.0, 0.75, 0.5, 0.25]),
        ({"schedule": "cosine"}, [(1 + cos(pi * n / 8)) / 2 for n in range(8)]),
        ({"schedule": "cosine", "warmup": 2}, [1 / 3, 2 / 3, *((1 + cos(pi * n / 6)) / 2 for n in range(6))]),
        ({"schedule": "step"}, [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        ({"schedule": "onecycle", "warmup": 4},
         [0.04 + 0.96 * (1 - cos(pi * n / 3)) / 2 for n in range(4)]
         + [4e-6 + (1 - 4e-6) * (1 + cos(pi * n / 4)) / 2 for n in range(1, 5)]),
    ],
)  # fmt: skip
def test_the_learning_rate_of_each_step_follows_its_schedule(in_folder: Path, settings: dict, rates: list) -> None:
    config = resolve("rnn", "adding", settings=settings,
                     options={"steps": 8, "hidden": 3, "batch": 2, "length": 3, "lr": 0.02})  # fmt: skip
    whole = list(Run(config, None).records())
    assert [r["lr"] for r in whole] == pytest.approx([0.02 * rate for rate in rates])
    first = run_in(in_folder, config)
    list(first.records(stop=lambda: first.step >= 5))
    again = Run(checkpoint.read_config(in_folder), in_folder)
    again.restore()
    assert [(r["lr"], r["loss"]) for r in again.records()] == [(r["lr"], r["loss"]) for r in whole[5:]]


def test_a_schedule_goes_over_the_most_steps_of_a_run_without_a_total() -> None:
    run = Run(resolve("rnn", "adding", settings={"schedule": "linear"}, options={"length": 3, "lr": 1.0}), None)
    assert run.schedule.rates(5000) == [0.75]
    advised = Run(resolve("rnn", "charlm", settings={"schedule": "linear"}, options={"length": 3, "lr": 1.0}), None)
    assert advised.schedule.rates(250) == [0.75]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("--set schedule=cosin", "no schedule is called 'cosin'. Did you mean 'cosine'?"),
        ("--set optimizer.schedule=5", "schedule must be text, not 5"),
        ("--set warmup=0", "warmup must be a number above 0, not 0"),
        ("--set warmup=1.5", "warmup must be an integer, not 1.5"),
        ("--set warmup=5 --steps 5", "warmup=5 takes all 5 steps of the run"),
        ("--set warmpu=5", "Did you mean 'warmup'?"),
    ],
)
def test_the_command_refuses_a_wrong_schedule_before_it_runs(in_folder: Path, capsys, words: str, answer: str) -> None:
    assert command(f"train lstm --task copy --dry-run {words}".split()) == 2
    assert answer in " ".join(capsys.readouterr().err.split())


def test_the_command_shows_the_schedule_it_would_follow(in_folder: Path, capsys) -> None:
    asked = "train lstm --task copy --steps 50 --set schedule=onecycle --set warmup=9 --dry-run --json"
    assert command(asked.split()) == 0
    shown = json.loads(capsys.readouterr().out)["optimizer"]
    assert (shown["schedule"], shown["warmup"]) == ("onecycle", 9)


def test_a_short_patience_waits_for_a_judgement() -> None:
    config = resolve("rnn", "adding", options={"hidden": 2, "batch": 2, "length": 3, "patience": 1, "lr": 1e-9})
    run = Run(config, None)
    steps = len(list(run.records()))
    assert steps % 20 == 0
    assert steps == run.best_step + 20


def test_a_run_that_patience_ended_does_not_go_on(in_folder: Path) -> None:
    config = resolve("rnn", "adding", options={"hidden": 2, "batch": 2, "length": 3, "patience": 25, "lr": 1e-9})
    steps = len(list(run_in(in_folder, config).records()))
    again = Run(config, in_folder)
    again.restore()
    assert list(again.records()) == []
    assert again.step == steps


def test_patience_ends_a_run_that_no_longer_gets_better() -> None:
    config = resolve("rnn", "adding", options={"steps": 500, "hidden": 2, "batch": 2, "length": 3, "patience": 40,
                                               "lr": 1e-9})  # fmt: skip
    run = Run(config, None)
    steps = len(list(run.records()))
    assert steps < 500
    assert steps - run.best_step == 40
    assert run.status == "finished"


@pytest.mark.parametrize("stopped_at", [1, 4])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, stopped_at: int) -> None:
    config = resolve("lstm", "copy", options={"steps": 8, "hidden": 6, "batch": 4, "length": 3, "layers": 2},
                     settings={"dropout": 0.3})  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    list(run_in(whole, config).records())
    first = run_in(broken, config)
    list(first.records(stop=lambda: first.step >= stopped_at))
    assert first.status == "interrupted"
    with open(broken / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": stopped_at + 1, "loss": 0}) + '\n{"step": 99')  # as after a kill
    again = Run(checkpoint.read_config(broken), broken)
    assert again.restore()
    list(again.records())
    assert metrics(whole) == metrics(broken)
    ours, theirs = checkpoint.read(whole)[0], checkpoint.read(broken)[0]
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_a_run_without_a_checkpoint_starts_over(in_folder: Path) -> None:
    run = run_in(in_folder, small())
    (in_folder / "metrics.jsonl").write_text('{"step": 1}\n')
    assert not run.restore()
    list(run.records())
    assert [r["step"] for r in metrics(in_folder)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("damage", ["cut", "foreign", "other_model"])
def test_a_damaged_checkpoint_is_refused(in_folder: Path, damage: str) -> None:
    list(run_in(in_folder, small()).records())
    path = in_folder / "checkpoint.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "foreign":
        mg.save(path, mg.nn.Linear(1, 1))
    run = Run(small(hidden=7) if damage == "other_model" else small(), in_folder)
    with pytest.raises(WeightsError, match=r"whole safetensors|not a minigrad checkpoint|do not fit"):
        run.restore()


def test_divergence_names_parameter_and_time_step_and_keeps_the_checkpoint(in_folder: Path) -> None:
    config = resolve("rnn", "copy", options={"steps": 50, "hidden": 6, "batch": 4, "length": 3, "lr": 1e30},
                     settings={"nonlinearity": "relu"})  # fmt: skip
    run = run_in(in_folder, config)
    with pytest.raises(DivergedError, match=r"time step \d+.*gradient of \w+"):
        list(run.records())
    assert run.summary()["status"] == "diverged"


def test_training_stops_when_the_task_is_solved(in_folder: Path) -> None:
    config = resolve("gru", "adding", options={"length": 2, "hidden": 16, "batch": 64, "lr": 0.02})
    run = run_in(in_folder, config)
    records = list(run.records())
    assert run.summary()["status"] == "solved"
    assert len(records) < 1000
    assert run.average_loss < 0.005


# --- configuration ------------------------------------------------------------------------------------------------


def test_options_beat_settings_beat_the_file_beats_advice() -> None:
    file = {"hidden": 5, "batch": 5, "lr": 5.0, "model": {"chrono": 5}, "optimizer": {"name": "sgd", "momentum": 0.5}}
    config = resolve("lstm", "copy", file=file, settings={"batch": 6, "hidden": 6}, options={"hidden": 7})
    assert (config["hidden"], config["batch"], config["lr"]) == (7, 6, 5.0)
    assert config["model"] == {"name": "lstm", "chrono": 5}
    assert config["optimizer"] == {"name": "sgd", "momentum": 0.5}
    assert resolve("lstm", "copy")["model"]["chrono"] > 0
    assert "chrono" not in resolve("gru", "copy")["model"]
    assert resolve("lstm", "copy", settings={"betas": [0.5, 0.75]})["optimizer"]["betas"] == [0.5, 0.75]
    assert "betas" not in resolve("lstm", "copy", options={"optimizer": "sgd"})["optimizer"]
    assert resolve(None, None, file={"model": {"name": "gru"}, "task": "adding"})["model"]["name"] == "gru"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"settings": {"chorno": 3}}, "Did you mean 'chrono'"),
        ({"settings": {"chrono": "x"}}, "chrono must be an integer"),
        ({"settings": {"model.lr": 3}}, "has no option 'lr'"),
        ({"file": {"model": {"hidden_size": 3}}}, "has no option 'hidden_size'"),
        ({"file": {"steps": 1.5}}, "steps must be an integer"),
        ({"file": {"bidirectional": 1}}, "true or false"),
        ({"settings": {"betas": 0.9}}, "betas must be a list of 2"),
        ({"settings": {"betas": [0.9, "x"]}}, "betas must be a number"),
        ({"options": {"steps": 0}}, "from 1 to"),
        ({"options": {"lr": float("nan")}}, "lr must be a finite number, not nan"),
        ({"options": {"lr": 0.0}}, "lr must be a number above 0"),
        ({"options": {"trace": "tiem"}}, "Did you mean 'time'"),
        ({"options": {"device": "gpu"}}, "device must be one of cpu, cuda"),
        ({"options": {"optimizer": "adm"}}, "Did you mean 'adam'"),
        ({"options": {"unroll": "ful"}}, "Did you mean 'full'"),
    ],
)
def test_wrong_keys_and_values_are_refused(arguments: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve("lstm", "copy", **arguments)


def test_sizes_that_memory_cannot_hold_are_refused() -> None:
    with pytest.raises(UsageError, match="GiB"):
        Run(resolve("lstm", "copy", options={"hidden": 100_000}), None)


@pytest.mark.parametrize("name", ["", "a\0b", "none/c.toml"])
def test_a_configuration_that_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="the configuration"):
        read_toml(name)


def test_a_configuration_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbfsteps = 3\n")
    assert read_toml(tmp_path / "c.toml") == {"steps": 3}


def test_settings_are_read_as_toml_or_text() -> None:
    assert parse_setting("a=1") == ("a", 1)
    assert parse_setting("a=relu") == ("a", "relu")
    assert parse_setting("a=[0.9, 0.99]") == ("a", [0.9, 0.99])
    assert parse_setting("text=a=b") == ("text", "a=b")
    for text in ("2020-01-01", "2020-01-01 10:00:00", "10:00:00"):
        assert parse_setting(f"column={text}") == ("column", text)
    with pytest.raises(UsageError, match="key=value"):
        parse_setting("abc")
