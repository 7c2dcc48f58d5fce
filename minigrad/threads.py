"""One pool of threads for all kernels. Imports nothing of minigrad.

Kernels let go of Python's lock, so these are ordinary threads: nothing to start in each library, nothing that spins.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

WORTH = 16_000_000  # operations a thread: waking one takes as long as some of these


@cache
def count() -> int:
    """How many threads compute: `MINIGRAD_NUM_THREADS`, else one for each processor that this process may use.

    Results do not depend on it, not by a bit.
    """
    named = os.environ.get("MINIGRAD_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(_process: int) -> ThreadPoolExecutor:
    """The pool of a process: a forked one inherits no threads."""
    return ThreadPoolExecutor(count() - 1, thread_name_prefix="minigrad")


def share(n: int, work: int, run: Callable[[int, int], None]) -> None:
    """Call `run(first, last)` on parts of 0 .. n, one a thread, if `work` operations are worth it; wait for all."""
    parts = min(count(), n, max(1, work // (WORTH // 2)))
    if parts < 2:
        run(0, n)
        return
    marks = [n * i // parts for i in range(parts + 1)]
    others = [_pool(os.getpid()).submit(run, a, b) for a, b in zip(marks[1:], marks[2:], strict=False)]
    run(0, marks[1])
    for other in others:
        other.result()
