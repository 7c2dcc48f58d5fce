"""`minigrad show`: what is derived from a cell: its equations, graph, backward, and the code that runs it."""

from typing import Any

import click

SIZE = click.IntRange(1, 100_000)
PARTS = {
    "equations": "What a step computes, as a paper would print it.  [default]",
    "graph": "The step as a graph, and what of it runs before, in and after the loop.",
    "backward": "Its backward, derived from the graph.",
    "source": "The Numba module that is generated from both.",
}


@click.command(short_help="A cell's equations, graph, backward and code.")
@click.argument("cell")
@click.option("--equations", "part", flag_value="equations", default="equations", help=PARTS["equations"])
@click.option("--graph", "part", flag_value="graph", help=PARTS["graph"])
@click.option("--backward", "part", flag_value="backward", help=PARTS["backward"])
@click.option("--source", "part", flag_value="source", help=PARTS["source"])
@click.option("--batch", type=SIZE, default=32, show_default=True, help="B, rows of the batch.")
@click.option("--input", "input_size", type=SIZE, default=10, show_default=True, help="D, size of x.")
@click.option("--hidden", type=SIZE, default=64, show_default=True, help="H, size of the carry.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="An option of the cell.")
def show(cell: str, part: str, batch: int, input_size: int, hidden: int, settings: tuple[str, ...]) -> None:
    """What is derived from one step of CELL.

    \b
    minigrad show lstm
    minigrad show gru --backward
    minigrad show lstm --set peephole=true
    minigrad show lstm --source | less
    """
    import minigrad as mg
    from minigrad import compiled, recurrence, registry
    from minigrad.config import cell_options, parse_setting
    from minigrad.errors import UsageError
    from minigrad.ir.equations import equations
    from minigrad.ir.graph import name_variables

    if cell in registry.names("models") and cell not in registry.names("cells"):
        raise UsageError(
            f"{cell} is a model, put together of modules; what is derived is derived from a cell: minigrad show lstm. "
            f"Its parts are read in {registry.find('models', cell).target}."
        )
    options = cell_options(cell, dict(parse_setting(text) for text in settings))
    module = mg.nn.Recurrent(cell, input_size, hidden, **options).cells[0]
    xs = mg.zeros((1, batch, input_size))
    steps = recurrence.Steps(module.step, module.initial_carry(batch), xs, None, False)
    graph = compiled.traced(steps)
    name_variables(graph)
    sizes = f"B = {batch} rows, D = {input_size} inputs, H = {hidden} units"
    if part == "equations":
        click.echo("\n".join(equations(graph)))
        return
    if part == "graph":
        click.echo(f"One step of {cell}: {sizes}.")
        click.echo("{ inputs ; weights -> equations in results }, the results being the next carry, then y.\n")
        click.echo(str(graph))
        click.echo(
            f"\nWhat runs when, once products are joined and splits moved to them:\n\n{_parts(compiled.find(steps))}"
        )
        return
    program = compiled.find(steps).program
    if part == "source":
        click.echo(program.text, nl=False)
        return
    _show_backward(cell, program)


def _parts(call: Any) -> str:
    """The forward's equations by the time they run."""
    parts = call.program.forward.parts
    when = {"once": parts.once, "before": parts.before, "loop": parts.loop, "after": parts.after}
    return "\n".join(f"  {name:<7} {e}" for name, some in when.items() for e in some)


def _show_backward(cell: str, program: Any) -> None:
    from minigrad.ir.graph import atom_name

    graph = program.backward.graph
    click.echo(f"The backward of one step of {cell}, derived from its graph.")
    click.echo("{ values kept from the forward, cotangents g_… of its results ; weights -> equations in gradients }\n")
    click.echo(str(graph))
    click.echo()
    for variable, g in zip(program.active, graph.outs, strict=False):
        click.echo(f"dL/d {variable.name} = {atom_name(g)}")
