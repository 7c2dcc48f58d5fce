"""What nobody can compute is refused in a sentence: every public name, each argument in turn replaced by nonsense."""

import traceback
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import api
from minigrad.errors import DtypeError, MinigradError

HOME = Path(mg.__file__).parent


def x() -> Any:
    return mg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)


def square() -> Any:
    return mg.tensor([[1.0, 2.0], [3.0, 4.0]])


def whole() -> Any:
    return mg.tensor([[1, 2, 0], [0, 1, 1]])


def cell(carry: Any, x: Any) -> Any:
    return carry, carry + x


# A call that works, to each name; names of one argument or two that are ops on elements need none.
CALLS: dict[str, tuple[Any, ...]] = {
    "Batch": (np.ones((2, 1, 1)), np.ones((2, 1))), "astype": (x, "float64"), "broadcast_to": (x, (4, 2, 3)), "clip": (x, 0.0, 2.0),
    "concat": ([x, x], 0), "cumulative_sum": (x, 1), "einsum": ("ij,ij->i", x, x), "elu": (x, 1.0), "expand_dims": (x, 0), "flip": (x, 0),
    "full": ((2, 3), 1.0), "full_like": (x, 1.0), "zeros": ((2, 3),), "ones": ((2, 3),), "zeros_like": (x,), "ones_like": (x,),
    "arange": (0, 3, 1), "linspace": (0, 1, 3), "eye": (2, 3), "gelu": (x,), "grad": (mg.sum, 0), "value_and_grad": (mg.sum, 0),
    "leaky_relu": (x, 0.1), "linear": (x, x, mg.ones(2)), "log_softmax": (x, 1), "softmax": (x, 1), "logsumexp": (x, 1), "matmul": (square, x),
    "moveaxis": (x, 0, 1), "one_hot": (whole, 3), "permute_dims": (x, (1, 0)), "repeat": (x, 2, 0), "reshape": (x, (3, 2)), "roll": (x, 1, 0),
    "seed": (0,), "silu": (x,), "softplus": (x,), "split": (x, 3, 1), "squeeze": (x, None), "stack": ([x, x], 0), "take": (x, [0, 1], 1),
    "take_along_axis": (x, whole, 1), "tensor": (x,), "tensordot": (x, square, ([0], [0])), "tril": (x, 0), "triu": (x, 0),
    "unstack": (x, 0), "vecdot": (x, x, 1), "where": (whole, x, 1.0), "no_grad": (), "sum": (x, 0, True), "max": (x, 0, True),
    "min": (x, 0, True), "mean": (x, 0, True), "prod": (x, 0, True), "all": (x, 0, True), "any": (x, 0, True), "argmax": (x, 0, True),
    "argmin": (x, 0, True), "var": (x, 0, 0.0, True), "std": (x, 0, 0.0, True), "bitwise_and": (whole, 1), "bitwise_or": (whole, 1),
    "bitwise_xor": (whole, 1), "bitwise_invert": (whole,), "bitwise_left_shift": (whole, 1), "bitwise_right_shift": (whole, 1),
}  # fmt: skip
ELSEWHERE = {"Tensor", "MinigradError", "bool_", "float32", "float64", "int32", "int64", "scan", "trace", "no_trace", "save",
             "load_weights", "Batch"}  # classes, and what other tests are for  # fmt: skip
OPTIONS = {"dtype": (np.complex64, "text", 3, None), "device": ("mars", 1)}
METHODS: dict[str, tuple[Any, ...]] = {
    "astype": ("float64",), "to": ("cpu",), "reshape": ((3, 2),), "sum": (0, True), "mean": (0, True), "max": (0, True), "min": (0, True),
    "__getitem__": (0,), "backward": ([[1.0] * 3] * 2,), "__add__": (1,), "__matmul__": (np.ones((3, 2)),), "__pow__": (2,), "__eq__": (1,),
    "__contains__": (1,), "item": (), "__int__": (), "__len__": (), "__round__": (1,),
}  # fmt: skip
NONSENSE: dict[str, Any] = {
    "None": None, "text": "text", "bytes": b"x", "an object": object(), "a function": len, "a dict": {"a": 1}, "a set": {1}, "a date": date.today(),
    "ragged": [[1], [1, 2]], "mixed": [1, "a"], "complex": 1j, "complex array": np.ones(2, complex), "float16": np.ones((2, 3), np.float16),
    "datetime64": np.datetime64(1, "s"), "objects": np.array([object()]), "structured": np.zeros(2, "i4,f4"), "nan": float("nan"),
    "infinity": float("inf"), "half": 0.5, "true": True, "true of NumPy": np.bool_(True), "-1": -1, "-9": -9, "7": 7, "10**12": 10**12,
    "10**30": 10**30, "-10**30": -(10**30), "10**400": 10**400, "no list": [], "no tuple": (), "twice": (0, 0), "both ways": (0, -2), "floats": (0.0, 1.0),
    "huge sizes": (10**12, 10**12), "negative sizes": (-5, 2), "sizes and None": (2, None), "other shape": np.ones((5, 7)), "scalar": mg.tensor(1.0),
    "empty": np.ones((0, 3)), "rank 5": np.ones((1, 1, 1, 2, 3)), "booleans": np.ones((2, 3), bool), "unsigned": np.ones((2, 3), np.uint8),
    "a slice": slice(0, 1), "dots": ..., "a type": int, "nan array": np.full((2, 3), np.nan), "integers": np.array([[5, -7, 99]]),
}  # fmt: skip


def made(value: Any) -> Any:
    """A fresh argument."""
    if isinstance(value, list):
        return [made(v) for v in value]
    return value() if any(value is make for make in (x, square, whole)) else value


def refusal(function: Callable[..., Any], *args: Any, **options: Any) -> str:
    """ "" if a call gives something, or says in minigrad's words why not; else what came instead."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NaN and infinity
            function(*args, **options)
    except MinigradError as error:
        text = str(error)
        return "" if len(text) > 20 and text.rstrip()[-1] in ".)?" else f"no sentence: {text!r}"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        if isinstance(error, TypeError) and len(frames) == 1:  # Python's own, of the call's signature
            return ""
        return f"{type(error).__name__} from {Path(frames[-1].filename).name}:{frames[-1].lineno}: {error}"
    return ""


def arguments(name: str) -> tuple[Any, ...]:
    op = getattr(mg, name)
    if name in CALLS:
        return CALLS[name]
    return (x,) * getattr(op, "arity", 1) or (x,)


def found(function: Callable[..., Any], good: tuple[Any, ...], what: str) -> list[str]:
    """Every way to get it wrong in one argument, or in how many there are."""
    wrong = []
    for i in range(len(good)):
        for kind, bad in NONSENSE.items():
            args = [made(v) for v in good]
            args[i] = bad
            if said := refusal(function, *args):
                wrong.append(f"{what}, argument {i} is {kind}: {said}")
    counts = ((), tuple(made(v) for v in good) * 3)
    return wrong + [f"{what} of {len(args)} arguments: {said}" for args in counts if (said := refusal(function, *args))]


FUNCTIONS = sorted(set(api.__all__) - ELSEWHERE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_refuses_nonsense_in_a_sentence(name: str) -> None:
    function, good = getattr(mg, name), arguments(name)
    function(*map(made, good))
    wrong = found(function, good, name)
    for option, values in OPTIONS.items():
        wrong += [
            f"{name}({option}={v!r}): {said}"
            for v in values
            if (said := refusal(function, *map(made, good), **{option: v}))
        ]
    assert "\n".join(wrong) == ""


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_refuses_nonsense_in_a_sentence(name: str) -> None:
    assert "\n".join(found(getattr(x(), name), METHODS[name], name)) == ""


INTEGERS = [np.dtype(c) for c in "bhilBHIL"]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_an_integer_that_does_not_fit_is_refused_wherever_it_goes(dtype: np.dtype) -> None:
    limits = np.iinfo(dtype)
    held = mg.tensor(np.zeros((1, 2), dtype))
    ways: list[Callable[[Any], Any]] = [
        lambda n: mg.tensor(n, dtype=dtype), lambda n: mg.tensor([0, n], dtype=dtype), lambda n: mg.full(2, n, dtype=dtype),
        lambda n: mg.full_like(held, n), lambda n: held + n, lambda n: n * held, lambda n: mg.maximum(held, n),
        lambda n: mg.where(held == 0, n, held), lambda n: mg.where(True, held, n), lambda n: held & n, lambda n: mg.clip(held, n),
        lambda n: held.__setitem__((0, 0), n), lambda n: held.__setitem__(slice(None), [n, 0]),
    ]  # fmt: skip
    for i, way in enumerate(ways[: -1 if dtype == np.uint64 else None]):  # NumPy makes floats of that list
        way(int(limits.max)), way(int(limits.min))
        for n in (int(limits.max) + 1, int(limits.min) - 1, 10**30):
            with pytest.raises(DtypeError):
                way(n)
            assert held.dtype == dtype, f"way {i}"
    if dtype.itemsize < 8:
        for wide in (np.int64(limits.max + 1), np.uint64(limits.max + 1)):
            with pytest.raises(DtypeError, match="does not hold"):
                held[0, 0] = wide
            with pytest.raises(DtypeError, match="does not hold"):
                mg.tensor(np.array([wide]), dtype=dtype)
    for n in (float("nan"), float("inf"), 2.0**70):
        for way in (
            lambda n: mg.tensor(n, dtype=dtype),
            lambda n: mg.full(1, n, dtype=dtype),
            lambda n: held.__setitem__(0, n),
        ):
            with pytest.raises(DtypeError, match="does not hold"):
                way(n)


def test_sequences_of_integers_that_do_not_fit_are_refused() -> None:
    assert mg.arange(100, dtype=np.int8).numpy()[-1] == 99
    assert mg.tensor(2.7, dtype=np.int8).item() == 2  # a fraction is cut off, as NumPy and PyTorch do
    assert mg.tensor(300).astype(np.int8).item() == 44  # a cast wraps, as NumPy's
    for make in (
        lambda: mg.arange(300, dtype=np.int8),
        lambda: mg.arange(0, -2, -1, dtype=np.uint8),
        lambda: mg.linspace(0, 300, 4, dtype=np.uint8),
        lambda: mg.tensor([2**63, -1]),
        lambda: mg.tensor([[1], [10**30]]),
        lambda: mg.tensor([1.0, float("nan")], dtype=np.int64),
    ):
        with pytest.raises(DtypeError, match=r"does not hold"):
            make()


def test_a_scalar_too_wide_for_the_integers_of_a_cell_is_refused_there_too() -> None:
    narrow = mg.tensor(np.ones((3, 2, 1), np.int32))
    for add in (lambda x: x + 2**40, lambda x: mg.where(x > 0, 2**40, x)):
        for compiled in (True, False):
            with pytest.raises(MinigradError, match="cannot hold 1099511627776"):
                mg.scan(lambda c, x, add=add: (c, add(x)), mg.zeros((2, 1)), narrow, compiled=compiled)


def test_an_op_takes_as_many_arrays_as_it_has_and_writes_into_none() -> None:
    target = mg.zeros(2)
    for call in (
        lambda: mg.exp(mg.ones(2), target),
        lambda: mg.add(mg.ones(2), mg.ones(2), target),
        lambda: mg.exp(mg.ones(2), out=target),
        lambda: mg.stop_gradient(),
    ):
        with pytest.raises(MinigradError, match=r"mg\.(exp|add|stop_gradient) takes [12] arrays?, by position"):
            call()
    assert target.numpy().tolist() == [0, 0]
    with pytest.raises(MinigradError, match=r"mg\.where takes 3 arrays.*np\.nonzero"):
        mg.where(mg.ones(2) > 0)


@pytest.mark.parametrize("bad", [None, 1.0, [1.0], "text", object()])
def test_the_class_wraps_arrays_only(bad: Any) -> None:
    with pytest.raises(DtypeError, match=r"Use mg\.tensor"):
        mg.Tensor(bad)


def test_what_has_no_memory_is_refused_by_name() -> None:
    huge = mg.broadcast_to(mg.ones(1), (10**12,))
    for name, make in {
        "add": lambda: huge + 1, "concat": lambda: mg.concat([huge, huge]), "zeros": lambda: mg.zeros((10**7, 10**7)),
        "one_hot": lambda: mg.one_hot([1], 10**13), "repeat": lambda: mg.repeat(mg.ones(2), 10**13), "eye": lambda: mg.eye(10**7),
        "exp": lambda: mg.exp(huge), "arange": lambda: mg.arange(10**13), "cumulative_sum": lambda: mg.cumulative_sum(huge),
        "mg.tensor": lambda: mg.tensor(np.broadcast_to(np.ones(1), 10**13)),
    }.items():  # fmt: skip
        with pytest.raises(MinigradError, match=rf"^{name}.*memory"):
            make()
