"""A run as one page of HTML or one picture: everything in the file, nothing fetched, light and dark.

What was recorded comes from `metrics.jsonl`; gates, connectivity and alignment are computed from the checkpoint.
"""

import json
import shlex
from html import escape
from typing import Any

import numpy as np

from minigrad import svg
from minigrad.errors import UsageError
from minigrad.story import POINTS, Story
from minigrad.svg import limits, resample
from minigrad_cli.output import echo


def command(config: dict[str, Any]) -> str:
    """How to make this run again."""
    words = ["minigrad", "train", config["model"]["name"], "--task", config["task"]["name"]]
    for key, value in config.items():
        if key == "bidirectional":
            words += ["--bidirectional"] * value
        elif not isinstance(value, dict):
            words += ["--set", f"loggers={value}"] if key == "loggers" else [f"--{key}", str(value)]
    words += ["--optimizer", config["optimizer"]["name"], "--unroll", config["unroll"]["name"]]
    for table in ("model", "task", "optimizer", "unroll"):
        for key, value in config[table].items():
            if key != "name":
                words += ["--set", f"{table}.{key}={json.dumps(value)}"]
    return shlex.join(words)


def figures(stories: list[Story]) -> list[str]:
    """The pictures that records give; several runs lie over each other."""
    baseline = _baseline(stories[0])
    several = len(stories) > 1
    found = [
        svg.curves(
            "Loss", {s.name: s.column("loss") for s in stories}, x="training step", level=("baseline", baseline)
        ),
        svg.curves("Accuracy", {s.name: s.column("accuracy") for s in stories}, x="training step"),
        svg.curves(
            "Gradient norm before clipping",
            {s.name: s.column("grad_norm") for s in stories},
            x="training step",
            log=True,
        ),
    ]
    last: dict[str, Any] = {}
    for story in stories:
        for name, rows in story.by_time().items():
            label = f"{story.name} {name}" if several else name
            norms = rows[-1][1]
            last[label] = (range(len(norms)), norms)
    shared = limits([norms for s in stories for rows in s.by_time().values() for _, norms in rows])
    for story in stories:
        found += story.heat_maps(shared)
    found.insert(3, svg.curves("‖dL/d carry_t‖ at the last training step", last, x="time step t", log=True))
    for story in stories:
        names = list((story.records[-1].get("param_grad_norm") or {}) if story.records else {})[:12]
        series = {
            n.removeprefix("recurrent."): (
                [float(r["step"]) for r in story.records],
                [r["param_grad_norm"][n] for r in story.records],
            )
            for n in names
        }
        series = {n: (resample(a, POINTS), resample(b, POINTS)) for n, (a, b) in series.items()}
        found.append(svg.curves(f"Gradient norm by parameter, {story.name}", series, x="training step", log=True))
    return [figure for figure in found if figure]


def _baseline(story: Story) -> float:
    """Of the run's task, as it was when the run was trained; files of the user's may be gone."""
    from minigrad import origin
    from minigrad.config import make_task
    from minigrad.registry import load

    known = origin.read(story.folder).get("baseline")
    if known is None:
        known = make_task(load("tasks", story.config["task"]["name"]), story.config).baseline
    return float(known)


def looked_inside(story: Story) -> list[str]:
    """The pictures that the trained model gives: gates, connectivity, alignment; none without the data it learned."""
    from minigrad import checkpoint, nn
    from minigrad.connectivity import connectivity
    from minigrad.gates import openness
    from minigrad.train import trained

    if checkpoint.read(story.folder) is None:
        return []
    try:
        run = trained(story.folder)
    except UsageError as error:
        echo(f"minigrad: the report goes without gates and connectivity of {story.name}: {error}", err=True)
        return []
    model = run.model
    batch = getattr(run.task, "test_batch", run.task.batch)(np.random.default_rng(1), 8)
    found = []
    layer = getattr(model, "recurrent", None)
    if isinstance(layer, nn.Recurrent):
        gates = openness(layer.cells[0], batch.xs)
        for what, i in (("mean opening", 0), ("share wide open or shut", 1)):
            series = {name: (range(len(v[i])), [float(x) for x in v[i]]) for name, v in gates.items()}
            found.append(svg.curves(f"Gates of {story.name}, layer 0: {what}", series, x="time step t"))
    outputs, moved = connectivity(model, batch)
    found.append(
        svg.heat(
            f"Connectivity of {story.name}: ‖dy_t / dx_s‖",
            [resample(row, 128) for row in moved.tolist()],
            x="input step s",
            y="output step t",
            span=(outputs[0], outputs[-1]),
        )
    )
    alignment = getattr(model, "alignment", None)
    if alignment is not None and hasattr(run.task, "text"):
        model(batch.xs)
        n, task = run.task.answer, run.task
        rows = model.alignment.detach().numpy()[-n:, 0, : len(batch.xs) - n]
        texts = task.text(batch.xs[:-n, 0].argmax(-1)), task.text(batch.targets[-n:, 0])
        found.append(
            svg.heat("Where the answer looked", rows.tolist(), x="source", y="", span=(0, n), log=False, labels=texts)
        )
    return [figure for figure in found if figure]


def html(stories: list[Story]) -> str:
    """The page."""
    title = f"{', '.join(s.name for s in stories)} on {stories[0].config['task']['name']}"
    parts = [f"<h1>{escape(title)}</h1>", _summary(stories)]
    parts += [f"<figure>{figure}</figure>" for figure in figures(stories)]
    for story in stories:
        parts += [f"<figure>{figure}</figure>" for figure in looked_inside(story)]
    for story in stories:
        config = "".join(
            f"<tr><td>{escape(key)}</td><td>{escape(json.dumps(value))}</td></tr>"
            for key, value in story.config.items()
        )
        parts.append(
            f"<h2>{escape(story.name)}</h2><p>To make this run again:</p><pre>{escape(command(story.config))}</pre>"
        )
        parts.append(f"<details><summary>Configuration</summary><table>{config}</table></details>")
    page = (
        "body { color: var(--ink); background: var(--page); font: 15px/1.5 system-ui, sans-serif; max-width: 1340px;"
        " margin: 2em auto; padding: 0 1em; } figure { display: inline-block; margin: .5em 1em .5em 0; }"
        " pre { white-space: pre-wrap; } td, th { text-align: left; padding: 0 1em .2em 0; } svg { max-width: 100%;"
        " height: auto; }"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{svg.STYLE}{page}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _summary(stories: list[Story]) -> str:
    rows = []
    for s in stories:
        last = s.records[-20:]
        loss = float(np.mean([r["loss"] for r in last])) if last else float("nan")
        some = [r["accuracy"] for r in last if r.get("accuracy") is not None]
        accuracy = f"{100 * float(np.mean(some)):.1f} %" if some else ""
        rows.append(f"<tr><td>{escape(s.name)}</td><td>{s.records[-1]['step'] if last else 0}</td><td>{loss:.4f}</td>"
                    f"<td>{accuracy}</td></tr>")  # fmt: skip
    head = "<tr><th>model</th><th>steps</th><th>loss (last 20 steps)</th><th>accuracy</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def picture(stories: list[Story]) -> str:
    """One SVG with the pictures that records give, one below the other."""
    found = figures(stories)
    height = svg.HEIGHT + 10
    inner = [f'<g transform="translate(0 {i * height})">{figure}</g>' for i, figure in enumerate(found)]
    tall = height * len(found)
    return (
        f'<svg class="minigrad" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {svg.WIDTH} {tall}" '
        f'width="{svg.WIDTH}" height="{tall}"><style>{svg.STYLE}</style><rect width="100%" height="100%" '
        f'style="fill: var(--page)"/>{"".join(inner)}</svg>\n'
    )
