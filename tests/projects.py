"""A plugin's project as pip would install it: its module on the path, and its metadata beside it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path


class Installed:
    """A project that is on the path of the processes that it runs. `.ci/run` does the same with pip."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = tomllib.loads((folder / "pyproject.toml").read_text())
        name, version = self.project["project"]["name"], self.project["project"]["version"]
        (module,) = self.project["tool"]["setuptools"]["py-modules"]
        assert (folder / f"{module}.py").exists()
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = self.project["project"]["entry-points"]
        lines = [f"[{group}]\n" + "".join(f"{n} = {t}\n" for n, t in some.items()) for group, some in points.items()]
        (info / "entry_points.txt").write_text("".join(lines))

    def process(self, *command: str, cwd: Path) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        return subprocess.run(
            [sys.executable, "-m", *command], env=environment, capture_output=True, text=True, check=False, cwd=cwd
        )

    def passes_its_tests(self, cwd: Path) -> None:
        done = self.process(
            "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-c", os.devnull, str(self.folder), cwd=cwd
        )
        assert done.returncode == 0, done.stdout

    def runs(self, *arguments: str, cwd: Path) -> str:
        """What the command prints, stdout and stderr."""
        done = self.process("minigrad_cli.main", *arguments, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr
