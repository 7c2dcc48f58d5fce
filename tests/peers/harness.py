"""What minigrad is compared with: cases, their answers here and at a peer, and the file that stands in for the peer.

A case is a program of arrays. Its answers are what it gives, the gradient of that under random cotangents, and the
gradient of the gradient under others. Where the peer is installed it answers live, and its file is held to it too.
"""

import os
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from safetensors.numpy import load_file, save_file

import minigrad as mg
from minigrad.tree import flatten

GOLDEN = Path(__file__).parent.parent / "golden"
COUNTS = tomllib.loads((GOLDEN / "counts.toml").read_text())
KINDS = "fbiu"
# Of the largest element, or of 1.
TOLERANCE = {"f4": 5e-5, "f8": 1e-9}
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """A program here and the same one there, and the arrays that both take; `order` is that of the last derivative."""

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    inputs: tuple[Array, ...]
    order: int = 2
    dtypes: tuple[str, ...] = ("f4", "f8")


@dataclass(frozen=True)
class Library:
    """How arrays become a library's own, how it differentiates, and how its arrays come back."""

    lift: Callable[[Array], Any]
    grad: Callable[..., Callable[..., Any]]
    lower: Callable[[Any], Array]


def rng_of(name: str, order: int = 0) -> np.random.Generator:
    """Where the inputs (0) and the cotangents (1, 2) of a case come from."""
    return np.random.default_rng([crc32(name.encode()), order])


def narrow(x: Any) -> Array:
    """The numbers as float64, to the digits that float32 has: both dtypes are asked the same question."""
    x = np.asarray(x)
    return x.astype("f4").astype("f8") if x.dtype.kind == "f" else x


def answers(case: Case, program: Callable[..., Any], library: Library) -> list[Array]:
    """Results, then first and second derivatives for every input that holds floats."""
    inputs = [library.lift(x) for x in case.inputs]
    floats = tuple(i for i, x in enumerate(case.inputs) if x.dtype.kind == "f")

    def weighed(leaves: Any, order: int) -> Any:
        rng = rng_of(case.name, order)
        smooth = [x for x in leaves if "float" in str(x.dtype)]
        return sum((x * library.lift(narrow(rng.normal(size=tuple(x.shape))))).sum() for x in smooth)

    def first(*xs: Any) -> Any:
        return library.grad(lambda *ys: weighed(flatten(program(*ys))[0], 1), floats)(*xs)

    outs = flatten(program(*inputs))[0]
    found = list(outs)
    if floats and any("float" in str(x.dtype) for x in outs):
        found += first(*inputs) if case.order > 0 else ()
        found += library.grad(lambda *xs: weighed(first(*xs), 2), floats)(*inputs) if case.order > 1 else ()
    return [np.asarray(library.lower(x)) for x in found]


@cache
def minigrad(dtype: str) -> Library:
    """This one, in float32 or float64."""
    return Library(
        lambda x: mg.tensor(x.astype(dtype) if x.dtype.kind == "f" else x), mg.grad, lambda x: x.detach().numpy()
    )


@cache
def jax() -> Library:
    """JAX, in float64, on the CPU."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    jax.config.update("jax_enable_x64", True)
    return Library(jax.numpy.asarray, jax.grad, np.asarray)


@cache
def torch() -> Library:
    """PyTorch, in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

    def grad(function: Any, numbers: Any) -> Any:
        def gradient(*xs: Any) -> Any:
            xs = [x.detach().requires_grad_() if i in numbers and not x.requires_grad else x for i, x in enumerate(xs)]
            ends = [xs[i] for i in numbers]
            value = function(*xs)
            if not value.requires_grad:
                return [torch.zeros_like(x) for x in ends]
            return torch.autograd.grad(value, ends, create_graph=True, materialize_grads=True)

        return gradient

    return Library(lambda x: torch.from_numpy(np.array(x)), grad, lambda x: x.numpy(force=True))


def pack(leaves: list[Array]) -> Array:
    """Arrays as one: of each its kind, its number of axes, its shape, its elements."""
    parts = [[KINDS.index(x.dtype.kind), x.ndim, *x.shape, *x.reshape(-1).tolist()] for x in leaves]
    return np.array([n for part in parts for n in part], "f8")


def unpack(packed: Array) -> list[Array]:
    """The arrays again, float64 or integers or booleans."""
    found, rest = [], packed
    while rest.size:
        kind, ndim = KINDS[int(rest[0])], int(rest[1])
        shape = tuple(int(n) for n in rest[2 : 2 + ndim])
        rest = rest[2 + ndim :]
        found.append(
            rest[: np.prod(shape, dtype=int)].reshape(shape).astype({"f": "f8", "b": bool}.get(kind, kind + "8"))
        )
        rest = rest[np.prod(shape, dtype=int) :]
    return found


def agree(found: list[Array], wanted: list[Array], dtype: str, what: str) -> None:
    """The same kinds, shapes and numbers, or an AssertionError that says where not."""
    assert [x.shape for x in found] == [x.shape for x in wanted], what
    assert [x.dtype.kind for x in found] == [x.dtype.kind for x in wanted], what
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.dtype.kind != "f" or a.dtype == dtype, f"{what}, answer {i}"
        atol = TOLERANCE[dtype] * np.abs(b[np.isfinite(b)]).max(initial=1)
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=atol, err_msg=f"{what}, answer {i}")


@cache
def golden(source: str) -> dict[str, Array]:
    """The committed answers of a peer."""
    return load_file(GOLDEN / f"peers-{source}.safetensors")


def wanted(case: Case, source: str, library: Callable[[], Library]) -> list[Array]:
    """The peer's answers: its own, if it is installed, and the file has to say the same; else the file's."""
    kept = unpack(golden(source)[case.name])
    if find_spec(source) is None:
        return kept
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        live = [x.astype("f8") if x.dtype.kind == "f" else x for x in answers(case, case.theirs, library())]
    agree(live, kept, "f8", f"{source}, live against golden/peers-{source}.safetensors, {case.name}")
    return live


def write(source: str, cases: list[Case], library: Callable[[], Library]) -> None:
    """Make the file of a peer, and note how many cases there are."""
    found = {case.name: pack(answers(case, case.theirs, library())) for case in cases}
    assert len(found) == len(cases), "two cases have one name"
    save_file(found, GOLDEN / f"peers-{source}.safetensors", metadata={source: version(source)})
    count(source, len(cases))


def count(source: str, cases: int) -> None:
    """Note how many cases of a peer there are; a suite that has fewer fails."""
    lines = [f"{name} = {n}" for name, n in sorted({**COUNTS, source: cases}.items())]
    (GOLDEN / "counts.toml").write_text("\n".join(lines) + "\n")
