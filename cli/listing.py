"""`minigrad models | tasks | plugins`: what is installed, read from metadata alone."""

import click

from minigrad import registry
from minigrad_cli.output import echo_json, table

WIDE = 60  # characters of a stranger's name that are shown
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")


def _list(kinds: tuple[str, ...], as_json: bool) -> None:
    found = sorted((e for kind in kinds for e in registry.entries(kind) if not e.fault), key=lambda e: e.name)
    if as_json:
        rows = [{"name": e.name, "kind": e.kind, "distribution": e.distribution, "version": e.version} for e in found]
        echo_json(rows)
        return
    table(("name", "from"), [(e.name, f"{e.distribution} {e.version}") for e in found])


@click.command()
@JSON
def models(as_json: bool) -> None:
    """List the models that `minigrad train` takes; every cell is one.

    \b
    minigrad models
    """
    _list(("cells", "models"), as_json)


@click.command()
@JSON
def tasks(as_json: bool) -> None:
    """List the tasks that `minigrad train --task` takes.

    \b
    minigrad tasks
    """
    _list(("tasks",), as_json)


@click.command()
@JSON
@click.option("--load", "load_them", is_flag=True, help="Import each plugin; say what is broken and why.")
def plugins(as_json: bool, load_them: bool) -> int:
    """List every plugin and where it comes from; import none unless asked to.

    Exit code 4 if --load, or MINIGRAD_STRICT_PLUGINS=1, finds a broken one.

    \b
    minigrad plugins
    minigrad plugins --load
    """
    import os

    strict = os.environ.get("MINIGRAD_STRICT_PLUGINS") == "1"
    rows, broken = [], False
    for kind in registry.KINDS:
        for entry in registry.entries(kind):
            state, reason = _known(entry)
            if load_them or strict:
                loaded = (state, reason) if state == "broken" else _try(entry)
                state, reason = loaded if state == "listed" or loaded[0] == "broken" else (state, reason)
                broken = broken or state == "broken"
            api = registry.declared_api(entry) or str(registry.API)
            rows.append((entry.name, kind, entry.distribution, entry.version, api, state, reason))
    header = ("name", "kind", "distribution", "version", "api", "state", "reason")
    if as_json:
        echo_json([dict(zip(header, row, strict=True)) for row in rows])
    else:
        table(
            header, [tuple(cell if len(cell) <= WIDE else f"{cell[:WIDE]}…" for cell in r[:-1]) + r[-1:] for r in rows]
        )
    return 4 if broken else 0


def _known(entry: registry.Entry) -> tuple[str, str]:
    """What metadata alone says of a plugin: state and reason."""
    if entry.fault:
        return "broken", entry.fault
    among = ("cells", "models") if entry.kind in ("cells", "models") else (entry.kind,)
    others = [e for kind in among for e in registry.entries(kind) if e.name == entry.name and e != entry]
    if others:
        return "claimed twice", f"{entry.distribution}:{entry.name} is this one; also by {others[0].distribution}"
    return "listed", ""


def _try(entry: registry.Entry) -> tuple[str, str]:
    """Load a plugin; what it prints while it is imported goes nowhere."""
    import contextlib
    import io

    from minigrad.errors import MinigradError

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            registry.load_entry(entry)
    except MinigradError as error:
        return "broken", str(error)
    return "loaded", ""
