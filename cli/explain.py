"""`minigrad explain`: a lesson, page by page."""

import importlib
import shutil
import sys
import textwrap

import click

from minigrad.errors import UsageError, did_you_mean
from minigrad_cli.output import echo

LESSONS = {
    "bptt": "the reverse pass of a three-step network, node by node",
    "vanishing": "why a gradient shrinks or grows on its way back",
    "forget-bias": "what an LSTM at rest remembers",
    "tbptt": "what truncation leaves out",
    "clipping": "what clipping by norm and by value do to a gradient",
    "attention": "how a decoder learns where to look",
}


@click.command(short_help="A lesson, computed in front of you.")
@click.argument("lesson", required=False)
@click.option("--all", "at_once", is_flag=True, help="Print every page without waiting, as in a pipe.")
def explain(lesson: str | None, at_once: bool) -> None:
    """A short guided run about LESSON; every figure is computed while you read.

    \b
    minigrad explain              the lessons
    minigrad explain bptt
    """
    if lesson is None:
        for name, what in LESSONS.items():
            echo(f"{name:<12} {what}")
        return
    if lesson not in LESSONS:
        raise UsageError(
            f"there is no lesson {lesson!r}.{did_you_mean(lesson, LESSONS)} Lessons: {', '.join(LESSONS)}."
        )
    waits = sys.stdin.isatty() and sys.stdout.isatty() and not at_once
    module = importlib.import_module(f"minigrad_cli.lessons.{lesson.replace('-', '_')}")
    for i, page in enumerate(module.pages()):
        if i:
            echo()
            if waits:
                click.prompt("Enter goes on", default="", show_default=False, prompt_suffix=" ", err=True)
        echo(fit(page, min(shutil.get_terminal_size((80, 24)).columns, 100)), as_it_is=True)


def fit(page: str, width: int) -> str:
    """The page with its prose wrapped to the width; lines that begin with a space, or with a picture's axis, stay."""
    blocks = []
    for block in page.split("\n\n"):
        lines = block.split("\n")
        prose = not any(line[:1] in (" ", "'") or "│" in line for line in lines)
        blocks.append(textwrap.fill(" ".join(lines), width) if prose else block)
    return "\n\n".join(blocks)
