"""`minigrad show`: what is derived from a recurrence: its equations, graph, backward, and the code that runs it."""

import shutil
from typing import Any

import click

from minigrad_cli.options import completes
from minigrad_cli.output import echo

SIZE = click.IntRange(1, 100_000)
PARTS = {
    "equations": "What a step computes, as a paper would print it.",
    "graph": "The step as a graph, and what of it runs before, in and after the loop.",
    "backward": "Its backward, derived from the graph.",
    "source": "The Numba module that is generated from both, and what runs around it.",
    "cuda": "The same module for a GPU; needs none.",
}


@click.command(short_help="A recurrence's equations, picture, graph, backward and code.")
@click.argument("model", shell_complete=completes("models"))
@click.option("--equations", "part", flag_value="equations", help=PARTS["equations"])
@click.option("--graph", "part", flag_value="graph", help=PARTS["graph"])
@click.option("--backward", "part", flag_value="backward", help=PARTS["backward"])
@click.option("--source", "part", flag_value="source", help=PARTS["source"])
@click.option("--cuda", "part", flag_value="cuda", help=PARTS["cuda"])
@click.option("--batch", type=SIZE, default=32, show_default=True, help="B, rows of the batch.")
@click.option("--input", "input_size", type=SIZE, default=10, show_default=True, help="D, size of x, of a cell.")
@click.option("--hidden", type=SIZE, default=64, show_default=True, help="H, size of the carry.")
@click.option("--task", default="reversal", show_default=True, help="What a model that is no cell is built for.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="An option of the cell or model.")
def show(
    model: str, part: str | None, batch: int, input_size: int, hidden: int, task: str, settings: tuple[str, ...]
) -> None:
    """What is derived from one step of MODEL: its equations and their picture, or what an option names.

    A model that is put together of modules is run once, and each of its scans is shown.

    \b
    minigrad show lstm
    minigrad show gru --backward
    minigrad show lstm --set peephole=true
    minigrad show seq2seq --set attention=additive
    minigrad show lstm --source | less
    """
    from minigrad import registry
    from minigrad.config import parse_setting

    chosen = dict(parse_setting(text) for text in settings)
    if registry.find("models", model).kind != "cells":
        _show_model(model, part, task, {"batch": batch, "hidden": hidden}, chosen)
        return
    import minigrad as mg
    from minigrad import recurrence
    from minigrad.config import cell_options

    cell = mg.nn.Recurrent(model, input_size, hidden, **cell_options(model, chosen)).cells[0]
    steps = recurrence.Steps(cell.step, cell.initial_carry(batch), mg.zeros((1, batch, input_size)), None, None, False)
    sizes = f"B = {batch} rows, D = {input_size} inputs, H = {hidden} units"
    _show_scan(model, f"One step of {model}: {sizes}.", steps, part)


def _show_model(model: str, part: str | None, task: str, options: dict[str, Any], settings: dict[str, Any]) -> None:
    """The modules of a model and what they weigh, then each scan that it runs on a batch of the task."""
    import numpy as np

    from minigrad import recurrence
    from minigrad.config import resolve
    from minigrad.mode import no_grad
    from minigrad.train import Run
    from minigrad_cli.drawing import tree

    run = Run(resolve(model, task, file={}, settings=settings, options=options), None)
    seen: list[Any] = []
    with no_grad(), recurrence.listening(seen.append):
        run.task.batch(np.random.default_rng(0), options["batch"]).feed(run.model.train())
    if part is None:
        lines = tree([(0, type(run.model).__name__, _weights(run.model)), *_inside(run.model, 1)])
        echo("\n".join(lines))
        weights = sum(p.size for p in run.model.parameters())
        echo(f"{weights:,} parameters; built for the task {task}")
        if not seen:
            echo("\nno recurrence: each step sees the others at once, and a gradient reaches all of them directly")
    elif not seen:
        from minigrad.errors import UsageError

        raise UsageError(f"{model} runs no scan, so there is no step to derive from: minigrad show {model}.")
    for i, steps in enumerate(seen):
        title = f"Scan {i + 1} of {len(seen)} in {model}: {steps.name}, T = {steps.length}."
        echo(("\n" if i or part is None else "") + title)
        _show_scan(steps.name.rpartition(" ")[2].rpartition(".")[2], title, steps, part)


def _inside(module: Any, depth: int) -> Any:
    """Every module within another: depth, name and class, own weights."""
    for name, child in module.children():
        yield depth, f"{name}: {type(child).__name__}", _weights(child)
        yield from _inside(child, depth + 1)


def _weights(module: Any) -> list[tuple[str, Any]]:
    from minigrad.nn import Parameter

    return [(name, p.shape) for name, p in vars(module).items() if isinstance(p, Parameter)]


def _show_scan(name: str, title: str, steps: Any, part: str | None) -> None:
    """What is derived from the step of one scan."""
    from minigrad import compiled
    from minigrad.ir.equations import equations
    from minigrad.ir.graph import name_variables

    graph = compiled.traced(steps)
    name_variables(graph)
    lines = equations(graph)
    if part in (None, "equations"):
        echo("\n".join(lines))
        if part is None:
            _draw(name, steps, graph, lines)
    elif part == "graph":
        echo(title)
        echo("{ inputs ; weights -> equations in results }, the results being the next carry, then y.\n")
        echo(str(graph))
        echo(f"\nWhat runs when, once products are joined and splits moved to them:\n\n{_parts(compiled.find(steps))}")
    elif part == "source":
        program = compiled.find(steps).program
        echo(f"{program.text}\n\n# What runs around the two, for these sizes:\n\n{program.host}", as_it_is=True)
    elif part == "cuda":
        from minigrad.codegen.cuda import module_text

        program = compiled.find(steps).program
        echo(module_text(program.forward, program.backward)[0], as_it_is=True)
    else:
        _show_backward(name, compiled.find(steps).program)


def _draw(name: str, steps: Any, graph: Any, lines: list[str]) -> None:
    """The recurrence rolled up, and some of its steps side by side."""
    from minigrad_cli.drawing import rolled, short, unrolled

    width = shutil.get_terminal_size((80, 24)).columns
    n, m = len(steps.carry), len(steps.xs)
    carry, xs = ([v.name for v in some] for some in (graph.inputs[:n], graph.inputs[n : n + m]))
    x, y = short(xs, "x"), short(graph.results[n:], "y")
    echo("\nrolled up: the same step, T times\n")
    echo("\n".join(rolled(lines, x, carry, graph.results[:n], y, width)), as_it_is=True)
    echo("\nlaid out; gradients run right to left\n")
    echo("\n".join(unrolled(name, x, carry, y, width)), as_it_is=True)


def _parts(call: Any) -> str:
    """The forward's equations by the time they run."""
    parts = call.program.forward.parts
    when = {"once": parts.once, "before": parts.before, "loop": parts.loop, "after": parts.after}
    return "\n".join(f"  {name:<7} {e}" for name, some in when.items() for e in some)


def _show_backward(cell: str, program: Any) -> None:
    from minigrad.ir.graph import atom_name

    graph = program.backward.graph
    echo(f"The backward of one step of {cell}, derived from its graph.")
    echo("{ values kept from the forward, cotangents g_… of its results ; weights -> equations in gradients }\n")
    echo(str(graph))
    echo()
    for variable, g in zip(program.active, graph.outs, strict=False):
        echo(f"dL/d {variable.name} = {atom_name(g)}")
