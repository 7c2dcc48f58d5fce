"""The three distributions in `examples/`: each passes its own tests and does what its README says."""

import shutil
from pathlib import Path

import pytest
from projects import Installed

EXAMPLES = sorted(path.parent for path in (Path(__file__).parent.parent / "examples").glob("*/pyproject.toml"))
SHORT = ["--steps", "2", "--progress", "none", "--hidden", "6"]
USED = {
    "minigrad-mgu": {
        "check mgu": "10 checks passed",
        "show mgu": "h' = (1 - f) · h + f · n",
        "show mgu --backward": "dL/d uh.weight = ",
        "train mgu --task copy": "run ",
        "compare mgu gru --task adding --length 50": "mgu",
    },
    "minigrad-lynx": {"check lynx": "5 checks passed", "train gru --task lynx --out one": "loss", "eval one": "loss"},
    "minigrad-reach": {"reach rnn lstm gru": "steps back", "--help": "reach"},
}


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_passes_its_tests_and_does_what_its_readme_says(folder: Path, in_folder: Path) -> None:
    project = Installed(
        Path(shutil.copytree(folder, in_folder / folder.name, ignore=shutil.ignore_patterns("*build*", "*.egg-info")))
    )
    project.passes_its_tests(in_folder)
    readme = (folder / "README.md").read_text()
    for command, words in USED[folder.name].items():
        short = SHORT if command.startswith(("train", "compare")) else []
        assert words in project.runs(*command.split(), *short, cwd=in_folder)
        shown = command.split(" --")[0] if command.startswith(("train", "eval", "show", "--")) else command
        assert shown.split()[0] in readme or command == "--help"
    assert folder.name in project.runs("plugins", cwd=in_folder)


def test_all_examples_are_tried() -> None:
    assert [path.name for path in EXAMPLES] == sorted(USED)
