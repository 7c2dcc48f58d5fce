"""Every test starts from the same random numbers, and keeps its kernels and runs out of the user's folders."""

import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")  # a machine with a GPU says 0, and the same tests run there
# One cache for all workers, so that each kernel is compiled once.
os.environ.setdefault("MINIGRAD_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"minigrad-tests-{os.getuid()}"))


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    import minigrad as mg

    mg.seed(0)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
