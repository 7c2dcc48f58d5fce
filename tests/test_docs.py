"""What the documents say runs: the examples, the README's Python, and the names that they mention."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad_cli.main import run

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def python_blocks() -> list:
    found = []
    for path in DOCUMENTS:
        blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
        found += [pytest.param(path, "\n".join(blocks), id=path.name)] if blocks else []
    return found


@pytest.mark.parametrize(("path", "source"), python_blocks())
def test_the_python_of_a_document_runs_from_top_to_bottom(path: Path, source: str, in_folder: Path) -> None:
    exec(compile(source, str(path), "exec"), {"__name__": "document"})


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_an_example_runs(path: Path) -> None:
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 4


def shown_files() -> list:
    found = []
    for path in DOCUMENTS:
        for target, block in re.findall(
            r"^\[[^\]]+\]\(([^)]+)\)\n\n```\w+\n(.*?)```", path.read_text(), re.DOTALL | re.MULTILINE
        ):
            found.append(pytest.param((path.parent / target).resolve(), block, id=f"{path.stem}-{Path(target).name}"))
    return found


@pytest.mark.parametrize(("file", "block"), shown_files())
def test_a_file_that_a_page_shows_is_that_file(file: Path, block: str) -> None:
    assert block == file.read_text()


def test_the_guide_shows_whole_files() -> None:
    assert len(shown_files()) >= 6


def test_the_model_that_the_guide_shows_is_what_the_scaffold_writes(in_folder: Path) -> None:
    assert run(["plugin", "new", "two-layers", "--kind", "model", "--out", "x"]) == 0
    written = (in_folder / "x" / "minigrad_two_layers.py").read_text()
    assert f"```py\n{written}```" in (ROOT / "docs" / "plugins" / "model.md").read_text()


def test_links_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_doctests() -> None:
    import doctest
    import importlib

    for name in ("functional", "recurrence"):
        module = importlib.import_module(f"minigrad.{name}")
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0
