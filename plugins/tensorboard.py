"""A logger for TensorBoard: `minigrad train … --set loggers=tensorboard`, then `tensorboard --logdir runs`.

Needs the extra `minigrad[tensorboard]`: tensorboardX writes the files without TensorFlow or PyTorch.
"""

from pathlib import Path
from typing import Any

import minigrad as mg


class TensorBoard:
    """Write the figures of each record to the run's folder, by their names; of a list, its first and last figure.

    Raises:
        UsageError: if tensorboardX is not installed.
    """

    def __init__(self, run_folder: str | Path) -> None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError:
            raise mg.errors.UsageError(
                "the logger tensorboard needs tensorboardX: pip install 'minigrad[tensorboard]'."
            ) from None
        self._folder = Path(run_folder)
        self._writer: Any = None

    def log(self, record: dict[str, Any]) -> None:
        """Write one record. The first one says where a resumed run takes over from what was written before."""
        from tensorboardX import SummaryWriter

        step = record["step"]
        if self._writer is None:
            self._writer = SummaryWriter(str(self._folder), purge_step=step)
        for key, figure in record.items():
            if isinstance(figure, dict):
                for name, inner in figure.items():
                    self._add(f"{key}/{name}", inner, step)
            elif key not in ("step", "seconds"):
                self._add(key, figure, step)

    def _add(self, name: str, figure: Any, step: int) -> None:
        if isinstance(figure, list):
            for which, one in (("first", figure[0]), ("last", figure[-1])):
                self._writer.add_scalar(f"{name}/{which}", one, step)
        else:
            self._writer.add_scalar(name, figure, step)

    def close(self) -> None:
        """No more records follow."""
        if self._writer is not None:
            self._writer.close()
