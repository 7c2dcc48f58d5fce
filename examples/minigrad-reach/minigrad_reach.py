"""`minigrad reach CELL…`: how far back in time a gradient reaches in a cell that has learned nothing yet.

‖dL/dh_t‖ for L = Σ y_T, seen from the last step T, as a share of what it is there; the mean over a batch.
"""

import click

minigrad_api = 1


@click.command(short_help="How far back in time a gradient reaches.")
@click.argument("cells", nargs=-1, required=True)
@click.option("--length", type=click.IntRange(2), default=100, show_default=True, help="T, steps.")
@click.option("--hidden", type=click.IntRange(1), default=64, show_default=True, help="H, size of the carry.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and inputs.")
def reach(cells: tuple[str, ...], length: int, hidden: int, seed: int) -> None:
    """How much of the gradient at the last step is left some steps before it, in each of CELLS.

    \b
    minigrad reach rnn lstm gru
    minigrad reach lstm --length 1000
    """
    import minigrad as mg  # here, so that `minigrad --help` stays quick

    distances = [d for d in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if d < length]
    click.echo(f"{'steps back':<14}" + "".join(f"{d:>10}" for d in distances))
    for name in cells:
        mg.seed(seed)
        layer = mg.nn.Recurrent(name, 10, hidden)
        xs = mg.random.generator().normal(size=(length, 16, 10)).astype(mg.float32)
        with mg.trace() as trace:
            layer(xs)[0][-1].sum().backward()
        norms = trace.scans[0].carry_grad_norm[0].mean(axis=1)  # [T], of h
        left = "".join(f"{norms[-1 - d] / norms[-1]:>10.1e}" for d in distances)
        click.echo(f"{name:<14}{left}")
