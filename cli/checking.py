"""`minigrad check`: whether a plugin does what the rest of minigrad expects of it."""

from typing import Any

import click

from minigrad.errors import CheckError, UsageError, did_you_mean
from minigrad_cli.options import completes
from minigrad_cli.output import echo, echo_json

KINDS = ("cells", "models", "tasks", "unrolls", "loggers")


@click.command(short_help="Run the conformance checks.")
@click.argument("name", shell_complete=completes(*KINDS))
@click.option("--kind", type=click.Choice(KINDS), help="Where a name stands for several things.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="An option of the plugin.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check(name: str, kind: str | None, settings: tuple[str, ...], as_json: bool) -> int:
    """Check the cell, model, task, unroll or logger NAME; exit code 1 if a check fails.

    \b
    minigrad check lstm
    minigrad check lstm --set peephole=true --json
    minigrad check copy
    """
    from minigrad import check as checks
    from minigrad import registry
    from minigrad.config import parse_setting

    plain = name.rpartition(":")[2]
    found = [k for k in KINDS if any(e.name == plain for e in registry.entries(k))]
    if kind is not None:
        found = [kind]
    if len(found) > 1:
        raise UsageError(f"{name!r} is found among {' and '.join(found)}. Say which: --kind {found[0]}.")
    if not found:
        known = [n for k in KINDS for n in registry.names(k)]
        raise UsageError(f"nothing to check is called {name!r}.{did_you_mean(plain, known)}")
    run: Any = getattr(checks, f"check_{found[0].removesuffix('s')}")
    target = registry.load(found[0], name)
    options = dict(parse_setting(text) for text in settings)
    if options and found[0] == "loggers":
        raise UsageError("a logger takes no options; leave out --set.")
    result: dict[str, Any] = {"name": name, "kind": found[0]}
    try:
        report = run(target, **options)
    except CheckError as error:
        if not as_json:
            raise
        echo_json({**result, "passed": False, "reason": str(error)})
        return 1
    if as_json:
        echo_json({**result, "passed": True, "checks": report.checks, "results": report.results})
        return 0
    for check_name, outcome in report.results.items():
        echo(f"{check_name.replace('_', ' '):<46} {outcome}")
    echo(f"{report.checks} checks passed")
    return 0
