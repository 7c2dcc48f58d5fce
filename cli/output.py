"""The one door for text to a terminal or a pipe: what a plugin or a file put into it cannot steer the terminal."""

import json
import re
from typing import Any

import click

# Control characters but for tab and new line, marks that turn the writing direction, and bytes that are no text.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def safe(text: str) -> str:
    """The text with `\\x1b` written out instead of the character, and so with all that are like it."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a line to stdout, or to stderr."""
    click.echo(safe(str(text)), err=err, nl=nl)


def echo_json(value: Any) -> None:
    """Write a value to stdout as one line of strict JSON: a figure that is not finite is `null`."""
    from math import isfinite

    def strict(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: strict(inner) for key, inner in x.items()}
        if isinstance(x, (list, tuple)):
            return [strict(inner) for inner in x]
        return None if isinstance(x, float) and not isfinite(x) else x

    click.echo(json.dumps(strict(value), allow_nan=False))
