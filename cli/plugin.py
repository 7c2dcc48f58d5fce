"""`minigrad plugin new`: an installable project with a plugin in it, its tests, and all that is around them."""

import keyword
import re
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from minigrad.errors import UsageError
from minigrad_cli.output import echo

USES = {
    "cell": "minigrad train {name} --task copy",
    "task": "minigrad train lstm --task {name}",
    "model": "minigrad train {name} --task adding",
    "unroll": "minigrad train lstm --task copy --unroll {name} --window 10",
    "command": "minigrad {name} lstm",
    "logger": "minigrad train lstm --task copy --set loggers={name}",
}


@click.group()
def plugin() -> None:
    """Plugins of your own.

    \b
    minigrad plugin new leaky --kind cell
    """


@plugin.command(short_help="Write an installable project with a plugin in it.")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(USES)), required=True, help="What it is.")
@click.option("--out", help="The project's folder.  [minigrad-NAME]")
def new(name: str, kind: str, out: str | None) -> None:
    """Write a project with a plugin NAME that installs, passes its own tests, and runs, unchanged.

    \b
    minigrad plugin new leaky --kind cell
    pip install -e './minigrad-leaky[test]' && pytest minigrad-leaky
    minigrad train leaky --task copy
    """
    from minigrad import registry

    if not re.fullmatch(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise UsageError(f"a plugin's name is made of a-z, 0-9, - and _ and begins with a letter; {name!r} is not.")
    taken = [k for k in registry.KINDS if any(e.name == name for e in registry.entries(k))]
    if f"{kind}s" in taken or (kind in ("cell", "model") and {"cells", "models"} & set(taken)):
        raise UsageError(f"a {kind} called {name!r} is installed already. Two of one name cannot both be used.")
    folder = Path(f"minigrad-{name}" if out is None else out)
    words = re.split(r"[_-]", name)
    called = "_".join(words) if kind == "command" else "".join(word.capitalize() for word in words)
    values = {
        "name": name,
        "module": f"minigrad_{'_'.join(words)}",
        "class_name": called,
        "kind": kind,
        "title": " ".join(words).capitalize(),
        "use": USES[kind].format(name=name),
    }
    texts = {
        path: Template(files("minigrad_cli").joinpath("templates", f"{template}.txt").read_text("utf-8"))
        for path, template in {
            "pyproject.toml": "pyproject.toml",
            "README.md": "README.md",
            f"{values['module']}.py": f"{kind}.py",
            f"tests/test_{'_'.join(words)}.py": f"{kind}_test.py",
            ".github/workflows/test.yml": "ci.yml",
        }.items()
    }
    _write(folder, {path: template.substitute(values) for path, template in texts.items()})
    echo(f"{folder} is written. Now:\n\n    pip install -e '{folder}[test]' && pytest {folder}\n    {values['use']}")


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Make the folder, which must not be there, with files in it; all of them or none."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{str(folder)!r} is there already. Name another folder with --out.") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no folder can have this name"
        raise UsageError(f"cannot write {folder}: {why}. Name another folder with --out.") from None
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise OSError(error.errno, error.strerror, str(folder)) from None
