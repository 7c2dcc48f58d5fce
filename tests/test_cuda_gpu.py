"""What only a GPU would run, looked at without one: PTX of every launch, calls of cuBLAS, how a kernel is chosen to run."""

import json
import os
import subprocess
import sys
from ctypes import addressof, c_char
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minigrad import gpu
from minigrad.codegen.cuda_run import ALONE, STEPWISE, TOGETHER, choose
from minigrad.kernels import cuda_products
from minigrad.kernels.cuda_array import CudaArray, empty, put


@pytest.mark.skipif(sys.platform != "linux", reason="NVIDIA's compiler comes for Linux; CI runs there")
def test_every_launch_compiles_for_a_gpu() -> None:
    script = Path(__file__).parent / "ptx.py"
    found = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    result = json.loads(found.stdout)
    assert result["errors"] == {}
    assert {
        "forward",
        "backward",
        "adam",
        "softmax",
        "cross_entropy",
        "gather",
        "add_rows",
        "sum_of",
        "tanh_of",
    } <= set(result["done"])


# --- cuBLAS -------------------------------------------------------------------------------------------------------


def columns(pointer: int, dtype: str, shape: tuple[int, int, int], ld: int, step: int) -> np.ndarray:
    """Matrices that lie at an address column by column, as an array [count, rows, columns] of the same memory."""
    count, rows, wide = shape
    size = (count - 1) * step + (wide - 1) * ld + rows
    flat = np.frombuffer((c_char * (size * np.dtype(dtype).itemsize)).from_address(pointer), dtype)
    strides = tuple(n * flat.itemsize for n in (step, 1, ld))
    return np.lib.stride_tricks.as_strided(flat, shape, strides)


def gemm(dtype: str):
    """cuBLAS's definition: C = alpha op(A) op(B) + beta C, column by column, with leading dimensions and strides."""

    def run(_handle, ta, tb, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta, c, ldc, step_c, count):
        alpha, beta = (columns(p, dtype, (1, 1, 1), 1, 0)[0, 0, 0] for p in (alpha, beta))
        assert lda >= max(1, k if ta else m)
        assert ldb >= max(1, n if tb else k)
        left = columns(a, dtype, (count, k, m) if ta else (count, m, k), lda, step_a)
        right = columns(b, dtype, (count, n, k) if tb else (count, k, n), ldb, step_b)
        out = columns(c, dtype, (count, m, n), ldc, step_c)
        left, right = (np.swapaxes(x, 1, 2) if turned else x for x, turned in ((left, ta), (right, tb)))
        out[...] = alpha * (left @ right) + (beta * out if beta else 0)

    return run


@pytest.fixture
def cublas(monkeypatch):
    if not gpu.SIMULATED:
        pytest.skip("the real one is compared with the CPU by test_cuda_ops.py")
    found = SimpleNamespace(sgemm_strided_batched=gemm("f4"), dgemm_strided_batched=gemm("f8"))
    monkeypatch.setattr(cuda_products, "_cublas", lambda: (found, None))
    monkeypatch.setattr(cuda_products, "SIMULATED", False)

    def pointer(a: CudaArray) -> int:
        return addressof(c_char.from_buffer(a.memory.views[np.dtype(np.uint8)]._ary)) + a.offset * a.dtype.itemsize

    monkeypatch.setattr(cuda_products, "_pointer", pointer)


def laid(a: np.ndarray, how: str) -> CudaArray:
    """The same numbers, lying in another way."""
    if how == "plain":
        return put(a)
    if how == "turned":
        there = put(np.ascontiguousarray(np.swapaxes(a, -1, -2)))
        return there.view(np.swapaxes(there.shadow, -1, -2))
    if how == "part":  # of something wider, from an offset on
        wide = np.zeros((*a.shape[:-1], a.shape[-1] + 3), a.dtype)
        wide[..., 2:-1] = a
        return put(wide)[..., 2:-1]
    there = put(np.ascontiguousarray(a[..., ::-1]))  # "flipped", which cuBLAS does not know
    return there.view(there.shadow[..., ::-1])


@pytest.mark.parametrize("shapes", [((3, 4), (4, 2)), ((1, 4), (4, 1)), ((3, 1), (1, 5)), ((2, 3, 4), (4, 5)),
                                    ((2, 1, 3, 2), (3, 2, 4)), ((2, 2, 3, 2), (2, 2, 2, 1))])  # fmt: skip
def test_products_hand_cublas_what_lies_where(shapes, cublas) -> None:
    rng = np.random.default_rng(0)
    for dtype in ("f4", "f8"):
        x, y = (rng.normal(size=shape).astype(dtype) for shape in shapes)
        want = x @ y
        for left in ("plain", "turned", "part", "flipped"):
            for right in ("plain", "turned", "part", "flipped"):
                a, b = laid(x, left), laid(y, right)
                np.testing.assert_allclose(cuda_products.product(a, b).numpy(), want, rtol=1e-5, atol=1e-6)
                out = empty(want.shape, dtype)
                out[...] = put(np.ones_like(want))
                cuda_products.multiply(a, b, out, add=True)
                np.testing.assert_allclose(out.numpy(), want + 1, rtol=1e-5, atol=1e-6)


def test_integers_have_a_kernel_of_their_own() -> None:
    x, y = np.arange(12).reshape(2, 2, 3), np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(cuda_products.product(put(x), put(y)).numpy(), x @ y)


# --- how a kernel runs --------------------------------------------------------------------------------------------


def written(*sizes: tuple[int, int], alone: bool = False) -> SimpleNamespace:
    weight = SimpleNamespace(dtype=np.dtype("f4"))
    products = [SimpleNamespace(inner=k, columns=n, weight=weight) for k, n in sizes]
    return SimpleNamespace(products=products, alone=alone)


def test_how_a_kernel_runs_follows_from_its_weights() -> None:
    room, blocks = 227 << 10, 132  # of an H200
    assert choose(written(), 5, room, blocks) == (ALONE, 5, ())
    assert choose(written((64, 256)), 512, room, blocks) == (ALONE, 132, (64,))
    name, _, here = choose(written((128, 512)), 16, room, blocks)  # an LSTM of 128: 256 KiB, of which 227 fit
    assert (name, 0 < here[0] < 128) == (ALONE, True)
    assert choose(written((768, 3072)), 16, room, blocks) == (TOGETHER, 132, (768,))
    assert choose(written((768, 3072), alone=True), 16, room, blocks)[0] == STEPWISE
    assert choose(written((768, 3072)), 512, room, blocks)[0] == STEPWISE  # enough rows for cuBLAS
    assert choose(written((4096, 16384)), 16, room, blocks)[0] == STEPWISE  # more than all blocks hold


def test_the_simulator_is_what_these_tests_ran_in_unless_there_is_a_gpu() -> None:
    assert gpu.SIMULATED is (os.environ["NUMBA_ENABLE_CUDASIM"] != "0")
