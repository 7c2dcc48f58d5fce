"""A cell is never frozen: what a trace cannot see is refused with its reason and run by the loop; nothing of the user's is
touched. The right values are those of a plain Python loop over NumPy arrays.
"""

import cProfile
import itertools
import random
import secrets
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import ModuleType

import numpy as np
import pytest

import minigrad as mg
from minigrad import compiled, recurrence
from minigrad.errors import DefectError, ScanError

TOTAL = 0
STEPS = 6


def by_hand(step, count=STEPS):
    """h after each step of `h = step(h) + 1`, from one, as floats."""
    h, found = 1.0, []
    for _ in range(count):
        h = float(step(h)) + 1
        found.append(h)
    return found


def by_scan(step, road):
    def cell(h, x):
        h = step(h) + x
        return h, h

    _, ys = mg.scan(cell, np.ones((1, 1)), np.ones((STEPS, 1, 1)), compiled=road)
    return ys.numpy().reshape(-1).tolist()


class Counter:
    def __init__(self):
        self.n, self.seen = 0, []

    def __call__(self, h):
        self.n += 1
        return h * 0.0 if self.n % 3 == 0 else h * 2

    def keep(self, h):
        self.seen.append(1)
        return h * len(self.seen)


class Shared:
    total = 0

    def step(self, h):
        Shared.total += 1
        return h * Shared.total


def counting():
    n = 0

    def step(h):
        nonlocal n
        n += 1
        return h * n

    return step


def globally():
    global TOTAL
    TOTAL = 0

    def step(h):
        global TOTAL
        TOTAL += 1
        return h * TOTAL

    return step


def held(make, change):
    thing = make()
    return lambda h: h * change(thing)


def shared():
    Shared.total = 0
    return Shared().step


class Slotted:
    __slots__ = ("n",)

    def __init__(self):
        self.n = 0

    def __call__(self, h):
        self.n += 1
        return h * self.n


@dataclass(slots=True)
class Counted:
    n: int = 0


def raise_n(thing):
    thing.n += 1
    return thing.n


def named():
    def step(h):
        step.n += 1
        return h * step.n

    step.n = 0
    return step


def by_class():
    class Held:
        n = 0

    return held(lambda: Held, raise_n)


def by_module():
    module = ModuleType("authors_own")
    module.__file__ = "authors_own.py"
    module.n = 0
    return held(lambda: module, raise_n)


def by_bound_method():
    kept = []
    append, size = kept.append, kept.__len__
    return lambda h: (append(1), h * size())[1]


def keyword_default():
    def step(h, *, _n={"k": 0}):  # noqa: B006
        _n["k"] += 1
        return h * _n["k"]

    return step


def turn(table):
    first = next(iter(table))
    table[first] = table.pop(first)
    return float(next(iter(table)))


def grow(kept):
    kept.append(1)
    return len(kept)


def put(table):
    table["n"] = table.get("n", 0) + 1
    return table["n"]


def write(array):
    array[0] += 1
    return float(array[0])


CHANGING = {
    "self.n": Counter,
    "self.seen": lambda: Counter().keep,
    "the variable n": counting,
    "the global TOTAL": globally,
    "Shared.total": shared,
    "a list": lambda: held(list, grow),
    "a deque": lambda: held(deque, grow),
    "a dict": lambda: held(dict, put),
    "an array": lambda: held(lambda: np.zeros(1), write),
    "another's attribute": lambda: held(Counter, lambda c: (c(1.0), c.n)[1]),
    "a partial's list": lambda: partial(lambda kept, h: h * grow(kept), []),
    "a default": lambda: lambda h, kept=[]: h * grow(kept),
    "slots": Slotted,
    "slots of a dataclass": lambda: held(Counted, raise_n),
    "a function's attribute": named,
    "a class's attribute": by_class,
    "a module's variable": by_module,
    "a bound method": by_bound_method,
    "a keyword's default": keyword_default,
    "the order of a dict": lambda: held(lambda: {1: "a", 2: "b", 3: "c"}, turn),
    "a bytearray": lambda: held(lambda: bytearray(1), write),
    "an iterator": lambda: held(itertools.count, next),
    "a generator of Python's": lambda: held(lambda: random.Random(3), lambda r: float(r.random() < 0.5)),
    "a generator of NumPy's": lambda: held(lambda: np.random.default_rng(3), lambda r: float(r.random() < 0.5)),
    "an old generator of NumPy's": lambda: held(lambda: np.random.RandomState(3), lambda r: float(r.rand() < 0.5)),
    "Python's own generator": lambda: (random.seed(3), lambda h: h * (random.random() < 0.5))[1],
    "NumPy's own generator": lambda: (np.random.seed(3), lambda h: h * float(np.random.rand() < 0.5))[1],
}


@pytest.mark.parametrize("what", CHANGING)
def test_what_changes_from_step_to_step_runs_step_by_step(what, capsys) -> None:
    recurrence._said.clear()
    make = CHANGING[what]
    assert by_scan(make(), None) == by_hand(make())
    assert "step by step" in capsys.readouterr().err
    with pytest.raises(ScanError, match=r"changes|holds|uses"):
        by_scan(make(), True)


@pytest.mark.parametrize(
    "ask", [time.time, time.perf_counter, datetime.now, secrets.randbits, random.random, np.random.default_rng]
)
def test_a_clock_is_not_asked_once_for_all_steps(ask) -> None:
    with pytest.raises(ScanError, match="same at each step"):
        by_scan(lambda h: (ask, h * 0.5)[1], True)


def test_who_is_refused_finds_everything_as_it_was() -> None:
    counter, kept, generator = Counter(), [1], np.random.default_rng(0)
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), generator.bit_generator.state

    def step(h):
        counter.n += 1
        kept.append(h)
        return h * generator.random() * random.random() * np.random.rand()

    with pytest.raises(ScanError):
        by_scan(step, True)
    assert (random.getstate(), np.random.get_state()[1].tolist(), generator.bit_generator.state) == before
    assert (counter.n, kept) == (0, [1])


def test_a_cell_that_only_looks_at_its_things_compiles() -> None:
    table, kept, factor = {"a": 0.5}, [1.0, 2.0], np.array([2.0])
    with mg.trace() as trace:
        found = by_scan(lambda h: h * table["a"] + kept[1] * factor, None)
    assert trace.scans[0].compiled
    assert found == by_hand(lambda h: h * 0.5 + 4.0)


def test_what_draws_before_the_first_step_compiles() -> None:
    class Drawn(mg.nn.Cell):
        def __init__(self):
            self.reset_parameters()

        def reset_parameters(self):
            self.w = mg.nn.Parameter(np.random.default_rng(3).normal(size=(2, 2)))

        def initial_carry(self, batch):
            return mg.tensor(np.random.default_rng(4).normal(size=(batch, 2)))

        def step(self, h, x):
            h = mg.tanh(h @ self.w + x)
            return h, h

    cell = Drawn()
    _, ys = mg.scan(cell.step, cell.initial_carry(3), np.ones((4, 3, 2)), compiled=True)
    assert ys.shape == (4, 3, 2)


# --- being watched changes nothing --------------------------------------------------------------------------------


def gates(h, x):
    i, f = mg.split(mg.tanh(h + x), 2, axis=-1)
    return mg.concat([i * 0.5, f], axis=-1), f


def run_watched():
    compiled._programs.clear()
    with mg.trace() as trace:
        _, ys = mg.scan(gates, np.ones((2, 4)), np.ones((3, 2, 4)))
    (programs,) = compiled._programs.values()
    return trace.scans[0].compiled, ys.numpy().tobytes(), programs[0].text


def test_profilers_debuggers_and_coverage_change_nothing() -> None:
    wanted = run_watched()
    assert wanted[0]
    profile = cProfile.Profile()
    profile.enable()
    try:
        found, still = run_watched(), sys.getprofile()
    finally:
        profile.disable()
    assert found == wanted
    assert still is profile
    events = []
    for get, put_ in ((sys.getprofile, sys.setprofile), (sys.gettrace, sys.settrace)):
        before = get()
        watcher = lambda *event: events.append(event[1])
        put_(watcher)
        try:
            found, still = run_watched(), get()
        finally:
            put_(before)
        assert found == wanted
        assert still is watcher
    assert events


# --- whose fault it is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["prepare", "divide", "schedule", "module_text", "_backward"])
@pytest.mark.parametrize("fault", [AssertionError("planted"), KeyError("planted"), ValueError("planted")])
def test_a_fault_of_the_compiler_is_told_as_one(stage, fault, monkeypatch) -> None:
    def broken(*_, **__):
        raise fault

    monkeypatch.setattr(f"minigrad.codegen.program.{stage}", broken)
    compiled._programs.clear()
    for road in (None, True):
        with pytest.raises(DefectError, match=r"planted.*fault of minigrad"):
            mg.scan(gates, np.ones((2, 4)), np.ones((3, 2, 4)), compiled=road)
    assert mg.scan(gates, np.ones((2, 4)), np.ones((3, 2, 4)), compiled=False)


def test_a_fault_of_the_author_stays_the_authors(capsys) -> None:
    def cell(h, x):
        return h.nothing_of_the_kind + x, None

    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        mg.scan(cell, np.ones((1, 1)), np.ones((2, 1, 1)))

    def other(h, x):
        return (h + x if isinstance(h, mg.Tensor) else {}["nowhere"]), None

    mg.scan(other, np.ones((1, 1)), np.ones((2, 1, 1)))
    assert "KeyError" in capsys.readouterr().err


def test_numbers_taken_out_of_a_value_are_told_of_once(capsys) -> None:
    w = mg.tensor(np.eye(2), requires_grad=True)

    def cell(h, x):
        h = mg.tanh(h @ w)
        return mg.tensor(h.numpy()) + x, None

    for _ in range(2):
        mg.scan(cell, np.ones((1, 2)), np.ones((2, 1, 2)))
    assert capsys.readouterr().err.count("no gradient flows through them") == 1
    recurrence._said.clear()
    mg.scan(lambda h, x: (h @ w + x + h.detach().numpy(), None), np.ones((1, 2)), np.ones((2, 1, 2)))
    mg.scan(lambda h, x: (h @ w + x if float(h.sum()) > 0 else h, None), np.ones((1, 2)), np.ones((2, 1, 2)))
    mg.scan(lambda h, x: (h @ w + x if repr(h) else h, None), np.ones((1, 2)), np.ones((2, 1, 2)), compiled=False)
    assert "no gradient flows" not in capsys.readouterr().err


def test_two_threads_trace_at_once() -> None:
    wanted, found = by_hand(lambda h: h * 0.25), []

    def work():
        found.extend(by_scan(lambda h: h * 0.25, None) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 15


# --- numbers that change ------------------------------------------------------------------------------------------


def test_a_number_that_changes_is_no_new_program() -> None:
    compiled._programs.clear()
    for k in range(20):
        rate, offset = 0.05 + 0.1 * k, k

        def cell(h, x, rate=rate, offset=offset):
            return h * rate + x * offset, mg.where(h > rate, h, rate)

        last, ys = mg.scan(lambda h, x: cell(h, x), np.ones((1, 1), "f4"), np.ones((3, 1, 1), "f4"), compiled=True)
        h, wanted = 1.0, []
        for _ in range(3):
            wanted.append(h if h > rate else rate)
            h = h * rate + offset
        assert last.dtype == ys.dtype == np.float32
        np.testing.assert_allclose(ys.numpy().reshape(-1), wanted, rtol=1e-6)
        np.testing.assert_allclose(last.numpy(), [[h]], rtol=1e-6)
    assert sum(map(len, compiled._programs.values())) == 2


def test_programs_of_many_shapes_are_forgotten_in_time() -> None:
    compiled._programs.clear()
    for batch in range(1, compiled.KEYS + 40):
        mg.scan(lambda h, x: (h + x, None), np.ones((batch, 1)), np.ones((1, batch, 1)), compiled=True)
    assert len(compiled._programs) == compiled.KEYS


# --- symbols ------------------------------------------------------------------------------------------------------

EVERY_OP = """
import sys, re
import numpy as np
from llvmlite import binding
import minigrad as mg
from minigrad import compiled
from minigrad.core import OPS
from minigrad.jit import load
binding.load_library_permanently("")
ops = [(op, len(op.samples(np.random.default_rng(0))[0][0])) for op in OPS.values() if op.loop and op.name != "cast"]
for dtype in sys.argv[1:]:
    def cell(h, x):
        ys = []
        for op, count in ops:
            inputs = [mg.astype(abs(h) + 0.5, dtype)] * count
            if op.name == "where":
                inputs[0] = h > 0
            if op.name == "pow" and dtype[0] != "f":  # a float to the power of an integer
                inputs[0] = abs(h) + 0.5
            elif np.dtype(dtype).kind not in op.loops_over or (op.name.startswith("bitwise") and dtype[0] == "f"):
                continue
            ys.append(op(*inputs))
        return h + x, tuple(ys)
    mg.scan(cell, np.ones((2, 3)), np.ones((2, 2, 3)), compiled=True)
missing = set()
for programs in compiled._programs.values():
    for program in programs:
        forward = load(program.text).forward
        for signature in forward.signatures:
            called = set(re.findall(r"(?:callq?|jmpq?)\\s+\\*?\\$?([A-Za-z_][\\w.]*)|movabsq\\s+\\$([A-Za-z_][\\w.]*)", forward.inspect_asm(signature)))
            names = {name for pair in called for name in pair if name}
            missing |= {n for n in names if not n.startswith(("_ZN", "NRT_", "numba_", ".const", ".L")) and not binding.address_of_symbol(n)}
print("missing", sorted(missing))
"""


def test_generated_code_calls_nothing_that_is_not_there(tmp_path) -> None:
    """A symbol that is missing ends the process: each op in each dtype, in a process of its own."""
    for dtypes in (["float64", "float32"], ["int32", "int64", "int8", "uint8"]):
        ran = subprocess.run([sys.executable, "-c", EVERY_OP, *dtypes], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
        assert ran.stdout.strip() == "missing []"
