"""`minigrad bench`: our layers against those of PyTorch and JAX, where they are installed."""

import sys
from typing import Any

import click

from minigrad_cli.output import echo, echo_json

CELLS = ("rnn", "gru", "lstm")


@click.command(short_help="Speed against the peers that are installed.")
@click.option("--cell", "cells", multiple=True, type=click.Choice(CELLS), help="One cell, or several.  [all]")
@click.option(
    "--shape", default="100,32,10,128", show_default=True, metavar="T,B,D,H", help="Steps, batch, input, hidden."
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="For each of the libraries.")
@click.option("--seconds", type=click.FloatRange(0.01), default=1.0, show_default=True, help="For each figure.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def bench(cells: tuple[str, ...], shape: str, threads: int, seconds: float, as_json: bool) -> None:
    """Milliseconds of a forward and a backward, float32; each library in a process of its own, one after the other.

    A peer that is not installed is left out. Only the ratio of two figures means something: machines are shared.

    \b
    minigrad bench
    minigrad bench --cell lstm --shape 20,32,10,64 --threads 2
    """
    from importlib.util import find_spec

    from minigrad.errors import UsageError
    from minigrad_cli.peers import in_a_process

    try:
        sizes = tuple(int(n) for n in shape.split(","))
    except ValueError:
        sizes = ()
    if len(sizes) != 4 or min(sizes) < 1:
        raise UsageError(f"--shape takes T,B,D,H, four integers from 1 on, not {shape!r}.")
    rows = []
    for cell in cells or CELLS:
        row: dict[str, Any] = {"cell": cell, "shape": list(sizes), "threads": threads}
        for library in ("minigrad", "torch", "jax"):
            found = in_a_process(sys.executable, library, cell, sizes, threads, seconds) if find_spec(library) else None
            row[library] = None if found is None else 1e3 * found
        rows.append(row)
        if not as_json:
            _show(row, first=len(rows) == 1)
    if as_json:
        echo_json(rows)


def _show(row: dict[str, Any], first: bool) -> None:
    if first:
        echo(f"{'cell':<6}{'minigrad':>12}{'torch':>12}{'jax':>12}   times faster than the better of them")
    figures = "".join(f"{'–' if row[k] is None else f'{row[k]:.3f} ms':>12}" for k in ("minigrad", "torch", "jax"))
    peers = [row[k] for k in ("torch", "jax") if row[k] is not None]
    ratio = f"{min(peers) / row['minigrad']:.2f}" if peers and row["minigrad"] else "no peer is installed"
    echo(f"{row['cell']:<6}{figures}   {ratio}")
