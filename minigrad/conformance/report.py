"""Running checks one after the other, and what came of them. Imports `errors`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minigrad.errors import CheckError, MinigradError, placed

Check = Callable[..., str | None]


@dataclass
class CellReport:
    """What was checked: for each check "passed", perhaps with a remark, or "expected to fail: …" with its reason."""

    name: str
    results: dict[str, str] = field(default_factory=dict)

    @property
    def checks(self) -> int:
        """How many checks ran."""
        return len(self.results)


def run_one(checks: Mapping[str, Check], name: str, target: Any, *arguments: Any) -> str:
    """Run one check. A failure that the target expects, `expected_failures = {check: reason}`, must come.

    Raises:
        CheckError: naming the check, with the reason it failed.
    """
    expected = getattr(target, "expected_failures", {}).get(name)
    called = getattr(target, "__name__", type(target).__name__)
    if expected is not None and not str(expected).strip():
        raise CheckError(f"{called}: the expected failure of {name!r} has no reason. Say why it is expected.")
    try:
        remark = checks[name](target, *arguments)
    except CheckError as error:
        reason = str(error)
    except MinigradError as error:
        reason = f"{type(error).__name__}: {placed(error, 'in this check')}"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    else:
        if expected is not None:
            raise CheckError(f"{called}: {name!r} was expected to fail ({expected}) and passed. Take the remark out.")
        return f"passed: {remark}" if remark else "passed"
    if expected is not None:
        return f"expected to fail: {expected}"
    raise CheckError(f"{called} fails {name!r}: {reason}")


def run_all(checks: Mapping[str, Check], target: Any, *arguments: Any) -> CellReport:
    """Run every check; the first failure ends it.

    Raises:
        CheckError: see `run_one`; also for an expected failure of a check that does not exist.
    """
    called = getattr(target, "__name__", type(target).__name__)
    for name in getattr(target, "expected_failures", {}):
        if name not in checks:
            raise CheckError(
                f"{called}: there is no check {name!r} to be expected to fail. Checks: {', '.join(checks)}."
            )
    report = CellReport(called)
    for name in checks:
        report.results[name] = run_one(checks, name, target, *arguments)
    return report
