"""`minigrad show`: a cell's step as a graph, and the backward that is derived from it."""

from typing import Any

import click

SIZE = click.IntRange(1, 100_000)


@click.command(short_help="A cell's graph and its backward.")
@click.argument("cell")
@click.option("--graph", "part", flag_value="graph", default="graph", help="What one step computes.  [default]")
@click.option("--backward", "part", flag_value="backward", help="What its backward computes, derived from the graph.")
@click.option("--batch", type=SIZE, default=32, show_default=True, help="B, rows of the batch.")
@click.option("--input", "input_size", type=SIZE, default=10, show_default=True, help="D, size of x.")
@click.option("--hidden", type=SIZE, default=64, show_default=True, help="H, size of the carry.")
def show(cell: str, part: str, batch: int, input_size: int, hidden: int) -> None:
    """What is derived from one step of CELL.

    \b
    minigrad show lstm
    minigrad show gru --backward
    """
    from minigrad import registry

    module = registry.load("cells", cell)(input_size, hidden)
    list(module.named_parameters())  # names the weights
    graph = _trace(module, batch, input_size)
    if part == "graph":
        click.echo(f"One step of {cell}: B = {batch} rows, D = {input_size} inputs, H = {hidden} units.")
        click.echo("{ inputs ; weights -> equations in results }, the results being the next carry, then y.\n")
        click.echo(str(graph))
        return
    _show_backward(cell, graph)


def _trace(module: Any, batch: int, input_size: int) -> Any:
    import numpy as np

    from minigrad.arraytype import ArrayType
    from minigrad.ir.trace import trace
    from minigrad.tree import flatten, paths, unflatten

    carry, structure = flatten(module.initial_carry(batch))
    own = list(getattr(module, "carry_names", ()))
    names = own if len(own) == len(carry) else paths(structure, "carry")

    def step(*values: Any) -> list[Any]:
        made, y = module.step(unflatten(structure, values[:-1]), values[-1])
        return flatten(made)[0] + flatten(y)[0]

    types = [ArrayType(leaf.shape, leaf.dtype) for leaf in carry]
    x = ArrayType((batch, input_size), np.dtype(np.float32))
    return trace(step, [*types, x], [*names, "x"], [*(f"{name}'" for name in names), "y"])


def _show_backward(cell: str, graph: Any) -> None:
    from minigrad.ir.backward import derive
    from minigrad.ir.graph import atom_name

    backward = derive(graph)
    click.echo(f"The backward of one step of {cell}, derived from its graph (minigrad show {cell}).")
    click.echo("{ values kept from the forward, cotangents g_… of its results -> equations in gradients }\n")
    click.echo(str(backward.graph))
    click.echo()
    for variable, g in zip(backward.wrt, backward.graph.outs, strict=True):
        click.echo(f"dL/d {variable.name} = {atom_name(g)}")
