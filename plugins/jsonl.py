"""A logger that appends each record to `metrics.jsonl`, one JSON object a line."""

import json
from pathlib import Path
from typing import Any


class JSONL:
    """Write records to `metrics.jsonl` in the run's folder; a line is there as soon as its step is done."""

    def __init__(self, run_folder: str | Path) -> None:
        self._file = open(Path(run_folder) / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115

    def log(self, record: dict[str, Any]) -> None:
        """Append one record."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def close(self) -> None:
        """No more records follow."""
        self._file.close()
