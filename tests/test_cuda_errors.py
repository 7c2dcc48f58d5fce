"""What goes wrong with devices is said in one sentence: what against what, and what to do."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import device, gpu
from minigrad.errors import DeviceError, GradientError, MutationError, ShapeError


def on_cuda(*values, **options):
    return mg.tensor(np.array(values, "f4"), device="cuda", **options)


def test_values_on_different_devices_are_refused_by_name() -> None:
    x, y = on_cuda(1, 2), mg.ones(2)
    for mix in (lambda: x + y, lambda: y * x, lambda: mg.concat([y, x]), lambda: mg.where(x > 0, x, y)):
        with pytest.raises(DeviceError, match=r"float32\[2\] is on cpu, .*\[2\] on cuda. Use .to\('cuda'\)"):
            mix()
    with pytest.raises(DeviceError, match=r"scan: .* is on cpu"):
        mg.scan(lambda h, x: (h * x, None), mg.ones((1, 2)), mg.ones((3, 1, 2), device="cuda"), compiled=True)
    layer = mg.nn.Linear(2, 2).to("cuda")
    with pytest.raises(DeviceError, match=r"linear: .*is on cpu"):
        layer(y)
    assert layer(np.ones((1, 2), "f4")).device == "cuda"  # plain data goes where it is needed


def test_plain_data_follows_and_keeps_its_gradient() -> None:
    x = on_cuda(1, 2, requires_grad=True)
    y = x * np.array([2.0, 3.0], "f4") + mg.exp(np.zeros(2, "f4"))
    (y * [1.0, 10.0]).sum().backward()
    assert (y.device, x.grad.device) == ("cuda", "cuda")
    assert x.grad.numpy().tolist() == [2.0, 30.0]
    there = mg.tensor([1.0, 2.0], requires_grad=True)
    (there.to("cuda") * x).sum().backward()
    assert (there.grad.device, there.grad.numpy().tolist()) == ("cpu", [1.0, 2.0])
    made = mg.exp(np.zeros(2, "f4"))
    made.requires_grad = True
    with pytest.raises(DeviceError):  # by now somebody's own
        made * x


def test_what_numpy_cannot_see_it_is_not_given() -> None:
    x = on_cuda(1, 2)
    assert repr(x) == "tensor([1., 2.], device='cuda')"
    assert (x.numpy().tolist(), x[1].item(), float(x.sum()), bool(mg.all(x > 0))) == ([1, 2], 2, 3, True)
    assert np.asarray(x).tolist() == [1, 2]
    with pytest.raises(DeviceError, match="DLPack"):
        np.from_dlpack(x)
    with pytest.raises(DeviceError, match="NumPy cannot read"):
        np.asarray(x._data)
    with pytest.raises(DeviceError, match="does not run on device"):
        np.arctan2(x._data, x._data)


def test_indices_out_of_range_are_found_wherever_they_come_from() -> None:
    x = on_cuda(1, 2, 3)
    for index in (np.array([0, 3]), mg.argmax(x[:, None] * 0 + 7.0, axis=0) + 3):
        with pytest.raises(ShapeError, match="size 3"):
            x[index]
    assert x[np.array([-1, 0])].numpy().tolist() == [3, 1]
    with pytest.raises(ShapeError):
        mg.nn.Embedding(3, 2).to("cuda")(np.array([3]))


def test_writing_where_a_backward_still_reads() -> None:
    x = on_cuda(1, 2, requires_grad=True)
    y = (x * x).sum()
    with mg.no_grad():
        x[0] = 5.0
    with pytest.raises(MutationError):
        y.backward()
    x = on_cuda(1, 2, 3)
    x[1:] = np.array([7, 8])
    x[np.array([True, False, False])] = -1.0
    assert x.numpy().tolist() == [-1, 7, 8]
    with pytest.raises(GradientError):
        x.backward()


def test_an_unknown_device() -> None:
    for make in (
        lambda: mg.ones(2).to("gpu"),
        lambda: mg.tensor([1.0], device="cuda:0"),
        lambda: mg.nn.Linear(1, 1).to("tpu"),
    ):
        with pytest.raises(DeviceError, match="it has: cpu, cuda"):
            make()


# --- what the driver says ------------------------------------------------------------------------------------------


def driver(version=(13, 0), context=lambda: None, raises=None):
    def get_version():
        if raises is not None:
            raise raises
        return version

    inner = SimpleNamespace(driver=SimpleNamespace(get_version=get_version))
    return SimpleNamespace(cudadrv=SimpleNamespace(driver=inner), current_context=context)


def fails(message):
    def context():
        raise RuntimeError(message)

    return context


def test_no_driver_an_old_one_and_no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(gpu, "_toolkit", lambda: (13, 0))
    gpu._check(driver())
    for cuda, words in (
        (driver(raises=RuntimeError("CUDA driver library\ncannot be found. :")), r"no NVIDIA driver was found \(CUDA driver library cannot be found\)"),
        (driver(version=(12, 4)), r"knows CUDA 12.4, and the installed packages need 13.0. Update the driver"),
        (driver(context=fails("CUDA_ERROR_NO_DEVICE")), r"no GPU that can be used \(CUDA_ERROR_NO_DEVICE\).*NUMBA_ENABLE_CUDASIM=1"),
    ):  # fmt: skip
        with pytest.raises(DeviceError, match=words) as error:
            gpu._check(cuda)
        assert "\n" not in str(error.value)


def test_without_the_package(monkeypatch) -> None:
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"needs the package numba-cuda: pip install 'minigrad\[cuda\]'"):
        gpu.door.__wrapped__()
    monkeypatch.setattr(gpu, "door", gpu.door.__wrapped__)
    assert device.report() == (["cpu"], "needs the package numba-cuda: pip install 'minigrad[cuda]'.")


class OutOfMemoryError(Exception):
    code = 2


def test_out_of_memory_says_how_much_and_tries_what_lies_idle_first(monkeypatch) -> None:
    asked, full = [], [True]

    def device_array(size, dtype):
        asked.append(len(gpu._idle))
        if full[0]:
            raise OutOfMemoryError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        return np.empty(size, dtype)

    info = SimpleNamespace(get_memory_info=lambda: (3 << 20, 40 << 20))
    monkeypatch.setattr(gpu, "door", lambda: SimpleNamespace(device_array=device_array, current_context=lambda: info))
    gpu._idle[1 << 40].append(None)
    with pytest.raises(DeviceError, match=r"out of memory: 4096 MiB were asked for, 3 of 40 are free. Make --batch"):
        gpu._allocate(1 << 32)
    assert asked[-1] == 0  # the second time nothing lay idle any more
    full[0] = False
    assert gpu._allocate(8).size == 8


@pytest.mark.parametrize(
    ("simulated", "code", "words"), [("1", 0, ""), ("0", 2, "--device cuda: device 'cuda': no NVIDIA driver")]
)
def test_the_command_without_a_gpu(simulated, code, words, in_folder, monkeypatch) -> None:
    if simulated == "0" and not gpu.SIMULATED:
        return  # this machine has one
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", simulated)
    line = "train rnn --task adding --length 3 --steps 1 --batch 1 --hidden 2 --device cuda --out run".split()
    found = subprocess.run(
        [sys.executable, "-m", "minigrad_cli.main", *line], capture_output=True, text=True, check=False
    )
    assert (found.returncode, words in found.stderr) == (code, True), found.stderr
    assert "Traceback" not in found.stderr
    assert (in_folder / "run").exists() is (code == 0)


def test_the_cpu_imports_nothing_of_cuda() -> None:
    code = (
        "import sys, numpy, minigrad as mg; x = mg.tensor([1.0], requires_grad=True); (x * x).sum().backward();"
        "mg.nn.Recurrent('rnn', 2, 2)(numpy.ones((2, 1, 2), 'f4'));"
        "print([m for m in sys.modules if 'cuda' in m and m.startswith(('minigrad', 'numba_cuda', 'cuda')) or m == 'minigrad.gpu'])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
