"""What a plugin's author checks with: gradients against finite differences, and cells, models, tasks, unrolls
and loggers against what the rest of minigrad expects of them.

Imports `gradcheck`, `conformance` and the library below them.
"""

from collections.abc import Callable, Iterable
from typing import Any

from minigrad.conformance import CellReport, check_cell, check_logger, check_model, check_task, check_unroll
from minigrad.conformance.cells import CHECKS
from minigrad.conformance.report import run_one
from minigrad.gradcheck import Report, check_grads

__all__ = [
    "CellReport", "Report", "check_cell", "check_grads", "check_logger", "check_model", "check_task", "check_unroll",
    "parametrize_with_checks",
]  # fmt: skip


def parametrize_with_checks(cells: Iterable[type]) -> Callable[[Any], Any]:
    """For pytest: run the decorated test once for each cell and each check, as `test(cell, check)`; call `check(cell)`.

    >>> @parametrize_with_checks([])
    ... def test_my_cells(cell, check):
    ...     check(cell)
    """
    import pytest

    def bound(name: str) -> Callable[[type], str]:
        return lambda cell: run_one(CHECKS, name, cell)

    some = [pytest.param(c, bound(name), id=f"{c.__name__}-{name}") for c in cells for name in CHECKS]
    return pytest.mark.parametrize(("cell", "check"), some)
