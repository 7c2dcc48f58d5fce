"""`minigrad plot`: a run, or several of a comparison, in the terminal or as a file."""

from pathlib import Path
from typing import Any

import click

from minigrad.errors import UsageError
from minigrad_cli.charts import MARKS, heat, log_columns, overlay, picked, spark
from minigrad_cli.options import completes_run
from minigrad_cli.output import echo
from minigrad_cli.words import percent


@click.command(short_help="Pictures of a saved run.")
@click.argument("run_folder", metavar="RUN", shell_complete=completes_run)
@click.option("--out", metavar="FILE.html|FILE.svg", help="Write a report instead, in one file that needs no network.")
def plot(run_folder: str, out: str | None) -> None:
    """Loss and gradients of RUN; of all models, for the folder that `minigrad compare` made.

    \b
    minigrad plot runs/lstm-copy-1
    minigrad plot runs/compare-adding-1 --out report.html
    """
    from minigrad import origin
    from minigrad_cli.report import Story, html, picture

    folder = Path(run_folder)
    inside = sorted(p.parent for p in folder.glob("*/config.toml")) if run_folder and folder.is_dir() else []
    folders = inside if inside and not (folder / "config.toml").exists() else [run_folder]
    stories = [Story(one) for one in folders]
    if not any(story.records for story in stories):
        raise UsageError(f"{run_folder} has no records yet.")
    stories = [story for story in stories if story.records]
    for story in stories:
        for path in origin.changed(story.folder, story.config["task"]):
            echo(f"minigrad: {path} changed after {story.folder} was trained on it", err=True)
    if out is None:
        _show(stories)
        return
    from minigrad.files import FULL, write_atomically

    kinds = {".html": html, ".svg": picture}
    kind = Path(out).suffix.lower()
    if kind not in kinds:
        raise UsageError(f"--out {out}: a report is a .html or a .svg file.")
    text = kinds[kind](stories).encode()
    try:
        write_atomically(Path(out), text)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UsageError(f"--out {out}: {error.strerror}. Name another file.") from None
    echo(f"{out}  {len(text) / 1e6:.2f} MB")


def _show(stories: list[Any]) -> None:
    import shutil

    from minigrad.svg import unseen

    width = max(shutil.get_terminal_size((80, 24)).columns, 20)
    room = max(width - 34, 8)
    for mark, story in zip(MARKS, stories, strict=False):
        r = story.records[-1]
        accuracy = f"  accuracy {percent(r['accuracy'])}" if r.get("accuracy") is not None else ""
        echo(f"{mark} {story.name} on {story.config['task']['name']}, step {r['step']}{accuracy}")
        echo(f"  loss     {r['loss']:<8.4f} {spark([x['loss'] for x in story.records], room)}")
        echo(f"  gradient {r['grad_norm']:<8.3g} {spark([x['grad_norm'] for x in story.records], room)}")
    curves = {}
    for mark, story in zip(MARKS, stories, strict=False):
        by_time = story.by_time()
        for name, rows in by_time.items():
            lines, (low, high) = heat([norms for _, norms in rows], width - 8, 8)
            gap = unseen(norms for _, norms in rows)
            echo(f"\n‖dL/d {name}_t‖ of {story.name}: {low:.1e} '·' to {high:.1e} '█'; time to the right")
            if gap:
                echo(gap)
            for i, line in enumerate(lines):
                echo(f"{rows[picked(len(rows), 8)[i]][0]:>7} {line}".rstrip(), as_it_is=True)
            curves.setdefault(mark, rows[-1][1])
    if len(curves) == 1:
        (values,) = curves.values()
        gap = unseen([values])
        echo("\nthe same at the last training step, log scale" + (f"; {gap}" if gap else ""))
        echo("\n".join(line.rstrip() for line in log_columns(values, width, 6)), as_it_is=True)
    elif curves:
        gap = unseen(curves.values(), "where a curve is not")
        echo("\nall of them at their last training step, log scale" + (f"; {gap}" if gap else ""))
        echo("\n".join(overlay(curves, width, 10)), as_it_is=True)
