"""The cache of compiled kernels: used by a second process, and mended where it was damaged. Each case has its own."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minigrad import jit

PROGRAM = """
import numpy as np, minigrad as mg
from cell import step
h = mg.tensor([[2.0]], requires_grad=True)
last, ys = mg.scan(step, h, np.ones((3, 1, 1), np.float32), compiled=True)
last.backward()
print(last.item(), h.grad.item())
"""


def run(folder: Path, cache: Path | str | None = None, scale: float = 0.5) -> tuple[str, str]:
    """Run the program in a process of its own; what it printed, and what was said on the way."""
    (folder / "program.py").write_text(PROGRAM)
    (folder / "cell.py").write_text(f"def step(h, x):\n    return h * {scale} + x, h\n")
    environment = {"MINIGRAD_CACHE_DIR": str(cache or folder / "cache"), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


RESULT = "2.0 0.125"


def test_a_second_process_compiles_nothing_and_an_edited_cell_is_seen(tmp_path: Path) -> None:
    printed, said = run(tmp_path)
    assert printed == RESULT
    assert "compiling" in said
    assert run(tmp_path) == (RESULT, "")
    assert run(tmp_path, scale=2.0)[0] == "23.0 8.0"
    assert (tmp_path / "cache" / "kernels").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_damaged_files_are_made_again(tmp_path: Path, damage: str) -> None:
    run(tmp_path)
    files = [f for f in (tmp_path / "cache").rglob("*") if f.suffix in (".nbi", ".nbc", ".py")]
    assert {f.suffix for f in files} == {".nbi", ".nbc", ".py"}
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"# something else\n" * 3)
    assert run(tmp_path)[0] == RESULT
    assert run(tmp_path) == (RESULT, "")


def test_a_folder_that_cannot_be_used_is_said_once(tmp_path: Path) -> None:
    printed, said = run(tmp_path, "/dev/null/cache")
    assert printed == RESULT
    assert said.count("compiled anew in each process") == 1


def test_a_folder_of_others_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "cache" / "kernels").mkdir(parents=True)
    (tmp_path / "cache" / "kernels").chmod(0o777)
    printed, said = run(tmp_path)
    assert printed == RESULT
    assert said.count("others may write to it") == 1
    assert not list((tmp_path / "cache").rglob("*.nbi"))


def test_four_processes_start_cold_at_once(tmp_path: Path) -> None:
    folders = [tmp_path / str(i) for i in range(4)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda folder: run(folder, tmp_path / "cache")[0], folders))
    assert found == [RESULT] * 4
    assert run(folders[0], tmp_path / "cache") == (RESULT, "")


def test_another_numba_has_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = jit.kernel_folder.__wrapped__("cpu")
    monkeypatch.setattr(jit, "version", lambda package: "0.0")
    other = jit.kernel_folder.__wrapped__("cpu")
    assert mine is not None
    assert other not in (None, mine)
    assert mine.parent == other.parent
