"""`minigrad train`: put the configuration together, run, show, and say how it ended."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import click

from minigrad.errors import DivergedError, MinigradError, UsageError
from minigrad_cli.options import completes, completes_run, given_options, run_options
from minigrad_cli.output import echo, echo_json
from minigrad_cli.words import bits, clock, percent

EXIT_INTERRUPTED = 130
FIXED = ("hidden", "layers", "bidirectional", "length", "seed", "optimizer.name")  # of a run under way


@click.command(short_help="Train a model on a task.")
@click.argument("model", required=False, shell_complete=completes("models"))
@run_options
@click.option("--out", help="Folder of the new run.  [runs/MODEL-TASK-N]")
@click.option(
    "--resume", metavar="RUN", shell_complete=completes_run, help="Go on with a run; needs no model, no task."
)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and write nothing.")
def train(
    model: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    out: str | None,
    resume: str | None,
    progress: str,
    as_json: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Train MODEL on a task, watch the gradient go back through time, and save a run.

    \b
    minigrad train lstm --task copy
    minigrad train gru --task adding --length 100 --steps 2000
    minigrad train lstm --task copy --steps 3000 --set schedule=cosine
    minigrad train --resume runs/lstm-copy-1 --steps 4000
    minigrad train --resume runs/lstm-copy-1 --set lr=0.001

    Ctrl-C finishes the step, saves, and ends with exit code 130.
    """
    from minigrad.config import parse_setting, read_toml, resolve

    given = given_options(options)
    task = given.pop("task", None)
    chosen = dict(parse_setting(text) for text in settings)
    changes: dict[str, Any] = {}
    if resume is not None:
        wrong = [name for name, value in (("MODEL", model), ("--task", task), ("--config", config_file)) if value]
        config, changes = _resumed(resume, wrong, chosen, given)
    else:
        file = {} if config_file is None else read_toml(config_file)
        config = resolve(model, task, file=file, file_name=config_file or "", settings=chosen, options=given)
    if dry_run:
        _print_config(config, as_json)
        return 0
    if resume is not None and (changes or out is not None):
        resume = _fork(resume, config, changes, out)
    if resume is None:
        return _train(config, resume=None, out=out, progress=progress, as_json=as_json)
    from minigrad.checkpoint import held

    with held(Path(resume)):
        return _train(config, resume=resume, out=out, progress=progress, as_json=as_json)


def _resumed(run: str, wrong: list[str], settings: Any, options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration of a run that is to go on, and what is changed in it but the total of steps."""
    from minigrad.checkpoint import read_config
    from minigrad.config import resolve

    before = read_config(run)
    if wrong:
        raise UsageError(f"--resume goes on with the model and task of {run}; leave out {', '.join(wrong)}.")
    config = resolve(None, None, file=before, settings=settings, options=options, advised=False)
    flat = [{f"{k}.{i}": w for k, v in c.items() if isinstance(v, dict) for i, w in v.items()}
            | {k: v for k, v in c.items() if not isinstance(v, dict)} for c in (before, config)]  # fmt: skip
    names = [k for k in {**flat[0], **flat[1]} if flat[0].get(k) != flat[1].get(k)]
    fixed = [k for k in names if k in FIXED or k.startswith(("model.", "task."))]
    if fixed:
        raise UsageError(
            f"--resume: {', '.join(fixed)} cannot change in a run that is under way. Start a new run for that."
        )
    return config, {k: [flat[0].get(k), flat[1].get(k)] for k in names if k != "steps"}


def _fork(run: str, config: dict[str, Any], changes: dict[str, Any], out: str | None) -> str:
    """A new run that goes on from another one with something changed; what, is said and written to `fork.json`."""
    from minigrad import checkpoint
    from minigrad.files import write_atomically
    from minigrad.origin import DATA

    found = checkpoint.read(run)
    if found is None:
        raise UsageError(f"{run} has no checkpoint yet to go on from. Go on with it as it is: --resume {run}.")
    folder = checkpoint.new_folder(out, f"{config['model']['name']}-{config['task']['name']}", config)
    for name in (checkpoint.METRICS, checkpoint.CHECKPOINT, DATA):
        if (Path(run) / name).exists():
            write_atomically(folder / name, (Path(run) / name).read_bytes())
    told = {"from": run, "step": found[1]["step"], "changes": changes}
    write_atomically(folder / "fork.json", (json.dumps(told, indent=1) + "\n").encode())
    for key, (old, new) in changes.items():
        echo(f"{key}: {old} -> {new}", err=True)
    echo(f"minigrad: {folder} goes on from step {told['step']} of {run}, which stays as it is", err=True)
    return str(folder)


def _print_config(config: dict[str, Any], as_json: bool) -> None:
    import tomli_w

    echo(json.dumps(config) if as_json else tomli_w.dumps(config), nl=as_json, as_it_is=True)


def _train(config: dict[str, Any], *, resume: str | None, out: str | None, progress: str, as_json: bool) -> int:
    from minigrad import checkpoint
    from minigrad.train import Run
    from minigrad_cli.progress import choose
    from minigrad_cli.view import TrainView

    name = f"{config['model']['name']}-{config['task']['name']}"
    run = Run(config, Path(resume) if resume is not None else None)  # whatever is wrong shows before a folder is made
    if run.folder is None:
        run.folder = checkpoint.new_folder(out, name, config)
    else:
        if not run.restore():
            echo(f"minigrad: {resume} was stopped before its first checkpoint: it starts over.", err=True)
        checkpoint.write_config(run.folder, config)
    title = f"{config['model']['name']} on {config['task']['name']}"
    shown = choose(progress, TrainView(title, config.get("steps"), float(run.task.baseline)))
    listen(shown)
    shown.note(f"{title}: {sum(p.size for p in run.model.parameters()):,} parameters, run {run.folder}")
    error: MinigradError | None = None
    mine = checkpoint.held(run.folder) if resume is None else nullcontext()  # the caller holds one that goes on
    with mine, stop_on_signal() as stop, _forgotten_if_empty(run, resume is None):
        try:
            with shown.running():
                for record in run.records(stop):
                    shown.view.update(record)
                    shown.show()
                shown.show(last=True)
        except DivergedError as diverged:
            error = diverged
    _report(run, as_json)
    if error is not None:
        raise error
    return EXIT_INTERRUPTED if run.status == "interrupted" else 0


@contextmanager
def _forgotten_if_empty(run: Any, new: bool) -> Iterator[None]:
    """Take away the folder of a new run that failed before its first step: there is nothing to go on with."""
    try:
        yield
    except BaseException:
        if new and run.step == 0:
            for name in (
                "config.toml",
                "metrics.jsonl",
                "data.json",
            ):  # ours alone: the folder may have been there before
                (run.folder / name).unlink(missing_ok=True)
            with suppress(OSError):
                run.folder.rmdir()
        raise


def listen(shown: Any) -> None:
    """Let what shows the progress say that something is being compiled."""
    from minigrad import jit

    jit.listener = lambda kernel: shown.note(f"compiling {kernel} (once)…")


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and a polite kill into a question to ask after each step; the second one interrupts at once."""
    asked = []

    def ask(number: int, _frame: Any) -> None:
        asked.append(number)
        signal.signal(number, before[number])

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(run: Any, as_json: bool) -> None:
    """The result, on stdout; with what was held out, where the task keeps something back."""
    from minigrad.train import evaluate

    summary = run.summary()
    if as_json:
        echo_json(summary)
        return
    words = {
        "solved": f"solved at step {summary['steps']}",
        "finished": f"{summary['steps']} steps done" + (", solved" if summary["solved"] else ""),
        "interrupted": f"interrupted after step {summary['steps']}",
        "diverged": f"diverged after step {summary['steps']}",
    }
    echo(f"{words[summary['status']]} in {clock(summary['seconds'])}")
    if summary["loss"] is not None:
        echo(
            f"loss      {summary['loss']:.4f}{bits(run.task, summary['loss'])}  (baseline {summary['baseline']:.4f}, "
            f"mean of the last {len(run.recent)} steps)"
        )
    if summary["accuracy"] is not None:
        echo(f"accuracy  {percent(summary['accuracy'])}")
    if hasattr(run.task, "test_batch") and run.status != "diverged":
        held_out = evaluate(run, batches=5)["loss"]
        echo(f"held out  {held_out:.4f}{bits(run.task, held_out)}")
    echo(f"run       {summary['run']}")
    if summary["status"] == "interrupted":
        echo(f"go on with: minigrad train --resume {summary['run']}")
