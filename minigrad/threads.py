"""One pool of threads for all kernels. Imports nothing of minigrad.

Kernels let go of Python's lock, so these are ordinary threads: nothing to start in each library, nothing that spins. A
worker is handed its part through a lock: with the standard library's queues and futures a part begins 35 µs later, and
a small layer has six of them.
"""

import os
import threading
from collections.abc import Callable
from functools import cache

WORTH = 32_000_000  # operations a thread: waking one takes as long as some of these
Part = Callable[[int, int], None]


@cache
def count() -> int:
    """How many threads compute: `MINIGRAD_NUM_THREADS`, else one for each processor that this process may use.

    Results do not depend on it, not by a bit.
    """
    named = os.environ.get("MINIGRAD_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """A thread that calls `run(first, last)` when `go` is released, then releases `done`; `error`: what was raised."""

    def __init__(self) -> None:
        self.go, self.done = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.done.acquire()
        self.error: BaseException | None = None
        threading.Thread(target=self._work, daemon=True, name="minigrad").start()

    def start(self, run: Part, first: int, last: int) -> None:
        """Let it run a part; `done` says when it has."""
        self.run, self.first, self.last, self.error = run, first, last, None
        self.go.release()

    def _work(self) -> None:
        while True:
            self.go.acquire()
            try:
                self.run(self.first, self.last)
            except BaseException as error:  # it is raised where the part was asked for
                self.error = error
            self.done.release()


@cache
def _pool(_process: int) -> tuple[list[Worker], threading.Lock]:
    """The workers of a process, and who has them: a forked one inherits no threads."""
    return [Worker() for _ in range(count() - 1)], threading.Lock()


def share(n: int, work: int, run: Part) -> None:
    """Call `run(first, last)` on parts of 0 .. n, one a thread, if `work` operations are worth it; wait for all."""
    parts = min(count(), n, max(1, work // (WORTH // 2)))
    if parts < 2:
        run(0, n)
        return
    workers, free = _pool(os.getpid())
    if not free.acquire(blocking=False):  # another thread of the user's has them
        run(0, n)
        return
    marks = [n * i // parts for i in range(parts + 1)]
    busy = workers[: parts - 1]
    for worker, first, last in zip(busy, marks[1:], marks[2:], strict=False):
        worker.start(run, first, last)
    try:
        run(0, marks[1])
    finally:
        for worker in busy:
            worker.done.acquire()
        errors = [worker.error for worker in busy if worker.error is not None]
        free.release()
    if errors:
        raise errors[0]
