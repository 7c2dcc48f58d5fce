"""The options of a training run, for every command that trains."""

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem


def completes(*kinds: str) -> Callable[..., list[str]]:
    """For a shell that completes: the installed names of these kinds, read without an import."""

    def names(_context: Any, _parameter: Any, begun: str) -> list[str]:
        from minigrad import registry

        return sorted({name for kind in kinds for name in registry.names(kind) if name.startswith(begun)})

    return names


def completes_run(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    """For a shell that completes: a run is a folder."""
    return [CompletionItem(begun, type="dir")]


PROGRESS = ("auto", "bar", "lines", "none")
RUN = [
    click.option("--task", help="What to learn; `minigrad tasks` lists them.", shell_complete=completes("tasks")),
    click.option("--steps", type=int, help="Run that many steps, no fewer. Without it: until solved."),
    click.option("--batch", type=int, help="Sequences a step.  [32]"),
    click.option("--length", type=int, help="The task's own length."),
    click.option("--hidden", type=int, help="Hidden size.  [128]"),
    click.option("--layers", type=int, help="Recurrent layers.  [1]"),
    click.option("--bidirectional", is_flag=True, default=None, help="Read the sequence from both ends."),
    click.option("--lr", type=float, help="Learning rate.  [the task's advice, or 0.001]"),
    click.option("--optimizer", help="sgd, rmsprop, adam or adamw.  [adam]"),
    click.option("--clip", type=float, help="Largest gradient norm.  [1]"),
    click.option("--seed", type=int, help="Of weights and data.  [0]"),
    click.option("--unroll", help="How far a gradient goes back in time.  [full]", shell_complete=completes("unrolls")),
    click.option("--window", type=int, metavar="K", help="Steps that a gradient goes back; with --unroll tbptt."),
    click.option("--patience", type=int, metavar="N", help="Stop after N steps without a better loss."),
    click.option("--device", help="Where to compute: cpu or cuda."),
    click.option("--trace", help="off, params or time: which gradient norms are kept.  [time]"),
    click.option("--config", "config_file", metavar="FILE.toml", help="Read options from a file."),
    click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="An option of the model, task, …."),
    click.option("--progress", type=click.Choice(PROGRESS), default="auto", show_default=True),
    click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end."),
]


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a training run."""
    for option in reversed(RUN):
        command = option(command)
    return command


def given_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those that were given, as `minigrad.config.resolve` takes them."""
    given = {key: value for key, value in options.items() if value is not None}
    if "window" in given:
        given["unroll.window"] = given.pop("window")
    return given
