"""The entry point: the command group, and the one place where an error becomes a paragraph and an exit code.

Nothing heavy is imported here: `minigrad --help` must be quick, so each command's module is loaded when it is called.
"""

import importlib
import os
import shutil
import sys
import traceback
from contextlib import suppress
from typing import Any

import click

from minigrad_cli.output import LEAST, Formatter, echo

# One BLAS thread: at these sizes a second one gains nothing and spins on the core that others need.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

MOST = 100  # columns of a page of help
COMMANDS = {
    "train": ("train", "Train a model on a task; show loss and gradient norms; save a run."),
    "compare": ("compare", "Train several models on one task, side by side."),
    "show": ("show", "What is derived from a cell: its graph and its backward."),
    "eval": ("evaluate", "Loss and accuracy of a saved run on fresh data."),
    "explain": ("explain", "How a gradient goes back through time, computed in front of you, a step at a time."),
    "runs": ("runs", "List saved runs."),
    "plot": ("plot", "Pictures of a saved run, in the terminal or as a page."),
    "check": ("checking", "Run the conformance checks on a cell, model, task, unroll or logger."),
    "plugin": ("plugin", "`plugin new NAME --kind cell|task|…` writes a project of your own."),
    "models": ("listing", "List the models, importing none."),
    "tasks": ("listing", "List the tasks, importing none."),
    "plugins": ("listing", "List every plugin and where it comes from."),
    "bench": ("bench", "Speed against the peers that are installed."),
    "info": ("info", "Versions, threads, cache and devices."),
    "completion": ("completion", "Lines for your shell that complete commands and names."),
    "cache": ("cache", "Where compiled kernels are; `cache clear` deletes them."),
}


class Group(click.Group):
    """Built-in commands by name, and those of plugins; a module is imported when its command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Built-in commands in the order of use, then plugins' commands."""
        from minigrad import registry

        return [*COMMANDS, *(name for name in registry.names("commands") if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself; a plugin's is imported here."""
        from minigrad import registry

        if cmd_name in COMMANDS:
            module = importlib.import_module(f"minigrad_cli.{COMMANDS[cmd_name][0]}")
            return getattr(module, {"eval": "evaluate"}.get(cmd_name, cmd_name))
        if cmd_name not in registry.names("commands"):
            return None
        return registry.load("commands", cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a command, or name the nearest one."""
        name = click.utils.make_str(args[0])
        if not name.startswith("-") and name not in (known := self.list_commands(ctx)):
            from minigrad.errors import did_you_mean

            ctx.fail(f"there is no command {name!r}.{did_you_mean(name, known)} Commands: {', '.join(known)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A line for each command, without importing any."""
        rows = [
            (name, COMMANDS[name][1] if name in COMMANDS else "(from a plugin)") for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def version() -> str:
    """minigrad's version."""
    from minigrad import __version__

    return __version__


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), message="minigrad %(version)s")
def cli() -> None:
    """Recurrent networks that are learned, and seen learning.

    \b
    minigrad train lstm --task copy      watch the gradient go back through time
    minigrad train gru --task adding --steps 2000 --length 100
    minigrad train lstm --task charlm --set text=book.txt
    """
    if os.environ.get("MINIGRAD_STRICT_PLUGINS") == "1":
        from minigrad import registry

        for kind in registry.KINDS:
            for entry in registry.entries(kind):
                registry.load_entry(registry.find(kind, entry.name))


def main() -> None:
    """Run the command. Every known error ends in one paragraph on stderr and its exit code; see API's list of codes."""
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Run the command with these arguments and return its exit code."""
    if sys.stdout is None:  # it was closed: results go nowhere
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives
    from minigrad.errors import MinigradError
    from minigrad.files import FULL

    try:
        click.Context.formatter_class = Formatter  # of plugins' commands too
        columns = max(min(shutil.get_terminal_size().columns, MOST), LEAST) - 2
        result = cli.main(args, prog_name="minigrad", standalone_mode=False, terminal_width=columns)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _say(error.format_message(), 2 if isinstance(error, click.UsageError) else 1)
    except MinigradError as error:
        return _blamed(error, str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted.", 130)
    except BrokenPipeError:
        _let_go_of_output()
        return 1
    except MemoryError as error:
        return _say(f"out of memory: {error}. Make --hidden, --batch or --length smaller.", 1)
    except OSError as error:
        _let_go_of_output()
        where = f"{error.filename}: " if error.filename else ""
        remedy = " Make room there. What was written before is whole, and a run goes on with --resume."
        remedy = remedy if error.errno in FULL else ""
        return _blamed(error, f"{where}{error.strerror or error}.{remedy}", 1)
    except Exception as error:
        return _blamed(error, f"{type(error).__name__}: {error}", 1)


def _let_go_of_output() -> None:
    """Where stdout can no longer be written, what is still buffered must not raise again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _blamed(error: Exception, message: str, code: int) -> int:
    """Name the plugin in whose code a failure arose, and end with its exit code; usage errors stay the user's."""
    from minigrad_cli.blame import blame

    culprit = blame(error) if code == 1 else None
    if culprit is not None:
        return _say(f"{culprit}: {message}", 4)
    from minigrad.errors import MinigradError

    if isinstance(error, (MinigradError, OSError)):
        return _say(message, code)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return _say(
        f"a defect of minigrad itself, in {frame.filename}, line {frame.lineno}: {message}. Please report it.", 1
    )


def _say(message: str, code: int) -> int:
    with suppress(OSError):  # stderr may be full too: the exit code still tells
        echo(f"minigrad: {message}", err=True)
    return code


if __name__ == "__main__":
    main()
