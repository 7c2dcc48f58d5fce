"""A logger that appends each record to `metrics.jsonl`, one JSON object a line; what is not finite is `null`."""

import json
from math import isfinite
from pathlib import Path
from typing import Any

import minigrad as mg


class JSONL:
    """Write records to `metrics.jsonl` in the run's folder; a line is there as soon as its step is done."""

    def __init__(self, run_folder: str | Path) -> None:
        # Without a buffer nothing is left to be written when the disk is full.
        self._file = open(Path(run_folder) / "metrics.jsonl", "ab", buffering=0)  # noqa: SIM115

    def log(self, record: dict[str, Any]) -> None:
        """Append one record.

        Raises:
            OSError: naming the file, if it cannot be written.
        """
        strict = mg.tree.tree_map(lambda x: None if isinstance(x, float) and not isfinite(x) else x, record)
        line = (json.dumps({key: strict[key] for key in record}, allow_nan=False) + "\n").encode()
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise type(error)(error.errno, error.strerror, self._file.name) from None

    def close(self) -> None:
        """No more records follow."""
        self._file.close()
