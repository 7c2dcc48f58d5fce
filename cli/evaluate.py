"""`minigrad eval`: how good a saved run is, on data it has not seen."""

from math import log
from pathlib import Path
from typing import Any

import click

from minigrad.errors import UsageError
from minigrad_cli.options import completes_run
from minigrad_cli.output import echo, echo_json
from minigrad_cli.words import bits, percent


@click.command("eval", short_help="Loss and accuracy of a saved run.")
@click.argument("run_folder", metavar="RUN", shell_complete=completes_run)
@click.option("--length", type=int, help="Evaluate at another length than trained.")
@click.option("--batches", type=click.IntRange(1), default=20, show_default=True, help="Batches to average over.")
@click.option("--beam", type=click.IntRange(1), help="Search the answers with that many beams (seq2seq).")
@click.option("--examples", type=click.IntRange(1), help="Print that many questions and answers, with their alignment.")
@click.option("--sample", type=click.IntRange(1), help="Generate that many characters (tasks that can).")
@click.option("--prompt", help="What the sample goes on from; only what follows it is printed.")
@click.option("--temperature", type=float, help="Of the sample: 0 takes the likeliest character each time.  [1]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the sample.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def evaluate(
    run_folder: str,
    length: int | None,
    batches: int,
    beam: int | None,
    examples: int | None,
    sample: int | None,
    prompt: str | None,
    temperature: float | None,
    seed: int,
    as_json: bool,
) -> None:
    """Loss and accuracy of RUN on fresh data, from the held-out part where the task has one.

    \b
    minigrad eval runs/lstm-copy-1
    minigrad eval runs/lstm-copy-1 --length 40
    minigrad eval runs/lstm-charlm-1 --sample 99 --prompt "To be" --temperature 0.5
    minigrad eval runs/seq2seq-reversal-1 --beam 4 --examples 2
    """
    from minigrad import train
    from minigrad_cli import answers

    if length is not None and length < 1:
        raise UsageError(f"--length must be 1 or more, not {length}.")
    how = {k: v for k, v in (("prompt", prompt), ("temperature", temperature)) if v is not None}
    if how and sample is None:
        raise UsageError(f"--{next(iter(how))} is of a sample. Say how long: --sample 200.")
    run = train.trained(run_folder, **({} if length is None else {"length": length}))
    result = train.evaluate(run, batches=batches)
    if run.task.loss == "cross_entropy":
        result["bits"] = result["loss"] / log(2)
    if beam is not None:
        result |= answers.searched(run, beam, batches)
    if examples is not None:
        result["examples"] = answers.some(run, examples, beam)
    if sample is not None:
        result["sample"] = _sample(run, sample, seed, how)
    if as_json:
        echo_json({"run": str(Path(run_folder)), **result})
        return
    _print(run, result)


def _sample(run: Any, count: int, seed: int, how: dict[str, Any]) -> str:
    import inspect

    import numpy as np

    draw, name = getattr(run.task, "sample", None), run.config["task"]["name"]
    if draw is None:
        raise UsageError(f"the task {name} cannot generate. --sample is for tasks such as charlm.")
    unknown = [key for key in how if key not in inspect.signature(draw).parameters]
    if unknown:
        raise UsageError(f"the task {name} takes no {unknown[0]} when it generates. Leave out --{unknown[0]}.")
    return str(draw(run.model, np.random.default_rng(seed), count, **how))


def _print(run: Any, result: dict[str, Any]) -> None:
    where = "held-out" if hasattr(run.task, "test_batch") else "fresh"
    echo(f"after {result['steps']} steps, on {result['batches']} {where} batches of {run.config['batch']}")
    loss = result["loss"]
    echo(f"loss      {loss:.4f}{bits(run.task, loss)}  (baseline {result['baseline']:.4f})")
    if result["accuracy"] is not None:
        echo(f"accuracy  {percent(result['accuracy'])}")
    from minigrad_cli import answers

    if "beam" in result:
        echo(f"beam {result['beam']:<3}  {percent(result['beam_accuracy'])}")
    for example in result.get("examples", ()):
        echo("\n" + "\n".join(answers.lines(example)), as_it_is=True)
    if "sample" in result:
        echo(f"\n{result['sample']}", as_it_is=True)
