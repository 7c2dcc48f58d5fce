"""What minigrad expects of cells, models, tasks, unrolls and loggers, as checks that anybody can run."""

from minigrad.conformance.cells import check_cell
from minigrad.conformance.loggers import check_logger
from minigrad.conformance.others import check_model, check_task, check_unroll
from minigrad.conformance.report import CellReport

__all__ = ["CellReport", "check_cell", "check_logger", "check_model", "check_task", "check_unroll"]
