"""The checks for loggers: one gets the records of a short run, in a folder of its own. Imports `report`."""

from collections.abc import Callable
from contextlib import closing, redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from minigrad.conformance.report import CellReport, run_all
from minigrad.errors import CheckError

RECORDS: list[dict[str, Any]] = [
    {"step": 1, "loss": 2.3, "grad_norm": 0.5, "lr": 0.01, "seconds": 0.1},
    {"step": 2, "loss": 2.2, "grad_norm": 0.4, "lr": 0.01, "seconds": 0.2, "accuracy": 0.1,
     "param_grad_norm": {"recurrent.weight_hh_l0": 0.3, "readout.bias": 0.1}, "update_ratio": {"readout.bias": 1e-3},
     "time_grad_norm": {"l0.h": [1e-9, 0.0, 0.5]}, "gates": {"i": [0.5, 0.0]}},
    {"step": 3, "loss": 2.1, "grad_norm": float("inf"), "lr": 0.01, "seconds": 0.3},
]  # fmt: skip


def check_logger(logger: Any) -> CellReport:
    """Check that a logger takes every record of a run, keeps to the run's folder, and goes on after a resume.

    Raises:
        CheckError: naming the first check that fails, with the reason.
    """
    with TemporaryDirectory() as folder:
        return run_all(LOGGER_CHECKS, logger, Path(folder))


def it_takes_every_record(logger: Any, folder: Path) -> None:
    """Records with and without accuracy and traces, a figure that is not finite; close() after none and after some."""
    logger(_made(folder / "none")).close()
    with closing(logger(_made(folder / "some"))) as made:
        for record in RECORDS:
            made.log(deepcopy(record))


def it_changes_no_record(logger: Any, folder: Path) -> None:
    """Other loggers get the same record after it."""
    with closing(logger(_made(folder / "unchanged"))) as made:
        for record in RECORDS:
            given = deepcopy(record)
            made.log(given)
            if given != record:
                raise CheckError(f"log() changed the record of step {record['step']}: other loggers read it too.")


def it_goes_on_after_a_resume(logger: Any, folder: Path) -> None:
    """A second logger in the same folder follows the first, and does not lose what that wrote."""
    place = _made(folder / "resumed")
    for record in RECORDS[:2]:
        with closing(logger(place)) as made:
            made.log(deepcopy(record))
        kept = {path: path.stat().st_size for path in place.rglob("*") if path.is_file()}
        if record["step"] == 1:
            before = kept
    lost = [path.name for path, size in before.items() if kept.get(path, -1) < size]
    if lost:
        raise CheckError(f"after a resume {', '.join(lost)} holds less than before: open files to append.")


def it_leaves_results_alone(logger: Any, folder: Path) -> None:
    """Nothing goes to stdout, where `--json` prints its object."""
    with redirect_stdout(StringIO()) as said:
        it_takes_every_record(logger, folder / "quiet")
    if said.getvalue():
        raise CheckError(f"it prints to stdout: {said.getvalue()[:60]!r}. Use stderr, or a file in the run's folder.")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


LOGGER_CHECKS: dict[str, Callable[..., str | None]] = {
    check.__name__: check
    for check in (it_takes_every_record, it_changes_no_record, it_goes_on_after_a_resume, it_leaves_results_alone)
}
