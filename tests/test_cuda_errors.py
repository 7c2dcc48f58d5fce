"""What goes wrong with devices is said in one sentence: what against what, and what to do."""

import copy
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import device, gpu
from minigrad.errors import DeviceError, DtypeError, GradientError, MinigradError, MutationError, ShapeError


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


# --- what an attack found ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_writing_by_any_key(where) -> None:
    t = mg.tensor(np.zeros((2, 3), "f4"), device=where)
    t[(0, 1),] = 1
    t[range(2), 0] = 2
    t[True] = t.numpy() + 1
    t[0] = np.full((1, 3), 7.0)
    assert t.numpy().tolist() == [[7, 7, 7], [3, 2, 2]]
    line = mg.tensor(np.arange(5.0), device=where)
    line[1:] = line[:-1]
    line[:] = line[::-1]
    assert line.numpy().tolist() == [3, 2, 1, 0, 0]
    for key, value in ((5, 1.0), (slice(0, 0), np.ones(3)), (np.ones(9, bool), 0.0)):
        with pytest.raises(ShapeError, match="writing into float64"):
            line[key] = value
    with pytest.raises(DtypeError, match="not made of numbers"):
        line[0] = 1j
    with pytest.raises(MutationError, match="repeats"):
        mg.broadcast_to(line, (2, 5))[0] = 1.0
    with pytest.raises(GradientError, match="lose its gradient"):
        line[0] = mg.tensor(2.0, requires_grad=True, device=where) * 2
    with pytest.raises(ShapeError, match="a mask"):
        t[np.ones((2, 2), bool)]


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_indices_that_change_and_those_of_another_device(where) -> None:
    x, i = mg.tensor(np.arange(4.0), device=where), mg.tensor(np.array([0, 1]), device=where)
    view = i[:]
    view[0] = 9
    with pytest.raises(ShapeError):
        x[i]
    view[0] = -1
    assert x[i].numpy().tolist() == [3, 1]
    assert x[mg.tensor([2, 0])].numpy().tolist() == [2, 0]
    assert x[mg.tensor(np.array([0, 9, 1]), device=where)[::2]].numpy().tolist() == [0, 1]  # the 9 is not asked for


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_what_does_not_fit_together_is_refused(where) -> None:
    def ones(*shape):
        return mg.ones(shape, device=where)

    for wrong in (lambda: mg.concat([ones(2, 3), ones(2, 1)]), lambda: mg.stack([ones(2, 3), ones(3)]),
                  lambda: mg.argmax(ones(0, 3)), lambda: mg.argmin(ones(0, 3), axis=0), lambda: mg.reshape(ones(6), (4,)),
                  lambda: mg.einsum("ij,jk->ik", ones(2, 3), ones(2, 3))):  # fmt: skip
        with pytest.raises(ShapeError, match=r"concat|stack|argm|reshape|einsum"):
            wrong()
    small = mg.tensor(np.array([0, -128, 5], "i1"), device=where)
    assert (mg.argmin(small).item(), mg.argmax(mg.tensor(np.array([3, 9], "u1"), device=where)).item()) == (1, 1)
    assert (small < 300).numpy().all()
    assert mg.where(0.5, small, 0).numpy().tolist() == [0, -128, 5]
    assert mg.linear(ones(1, 2), ones(3, 2), mg.ones(3, dtype=mg.float64, device=where)).dtype == np.float64
    assert np.isnan(mg.sign(mg.tensor([np.nan, np.inf], device=where)).numpy()).tolist() == [True, False]
    assert (np.ones((2, 3), "f4") @ ones(3)).numpy().tolist() == [3, 3]
    with pytest.raises(MinigradError):
        small + 300


def test_a_weight_that_moved_takes_no_gradient_unseen() -> None:
    layer = mg.nn.Linear(2, 2)
    loss = layer(np.ones((1, 2), "f4")).sum()
    layer.to("cuda")
    with pytest.raises(MutationError):
        loss.backward()
    x = mg.ones((1, 2))
    x.requires_grad = True
    layer = mg.nn.Linear(2, 2)
    loss = layer(x).sum()
    layer.load_state_dict({name: a.astype("f8") for name, a in layer.state_dict().items()})
    with pytest.raises(MutationError):
        loss.backward()
    frozen = mg.nn.Linear(2, 2)
    frozen.weight.requires_grad = False
    assert not frozen.to("cuda").weight.requires_grad
    with pytest.raises(DeviceError, match="gradient of a value on cuda"):
        layer.to("cuda").bias.grad = mg.zeros(2, dtype=mg.float64)


def test_copies_are_copies() -> None:
    layer = mg.nn.Linear(2, 2).to("cuda")
    optimizer = mg.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    assert copy.deepcopy(optimizer).state_dict()["velocity.0"].tolist() == [[0, 0], [0, 0]]
    there = pickle.loads(pickle.dumps(layer.weight.detach()))
    assert (there.device, there.numpy().tolist()) == ("cuda", layer.weight.numpy().tolist())
    x = on_cuda(1, 2, requires_grad=True)
    y = (x * x).sum()
    z = x.detach().to("cpu")
    z[0] = 5.0  # its own memory
    y.backward()
    assert x.grad.numpy().tolist() == [2, 4]
    leaf = mg.exp(np.zeros(2, "f4"))
    leaf.requires_grad = True
    (leaf.to("cuda") * 2).sum().backward()
    assert (leaf.grad.device, leaf.grad.numpy().tolist()) == ("cpu", [2, 2])


def test_clipping_weights_on_two_devices() -> None:
    layers = [mg.nn.Linear(2, 2), mg.nn.Linear(2, 2).to("cuda")]
    for layer in layers:
        layer(np.ones((1, 2), "f4")).sum().backward()
    weights = [p for layer in layers for p in layer.parameters()]
    assert mg.optim.clip_grad_norm(weights, 1.0) == pytest.approx(12**0.5)
    assert mg.optim.clip_grad_norm(weights, 1.0) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_weights_that_are_views_move_where_they_lie(name) -> None:
    places = []
    for where in ("cpu", "cuda"):
        whole = mg.tensor(np.arange(12.0).reshape(3, 4), device=where)
        views = [whole[1:, 1:].T, whole[0], mg.zeros((0, 2), device=where)]
        optimizer = getattr(mg.optim, name)(
            [view for view in views if setattr(view, "requires_grad", True) is None], 0.1
        )
        for _ in range(2):
            for view in views:
                view.grad = mg.ones_like(view)
            optimizer.step()
        places.append(whole.numpy())
    np.testing.assert_allclose(*places, rtol=1e-12)
    assert (places[1] != np.arange(12.0).reshape(3, 4)).tolist() == [[True] * 4, *[[False, True, True, True]] * 2]


def test_cells_that_make_or_move_values() -> None:
    w = mg.tensor(np.eye(2, dtype="f4"), requires_grad=True)
    start, xs = mg.ones((1, 2), device="cuda"), mg.ones((2, 1, 2), device="cuda")
    last, _ = mg.scan(lambda h, x: (mg.tanh(h @ w.to("cuda") + x), None), start, xs)  # step by step
    last.sum().backward()
    assert w.grad.device == "cpu"
    last, _ = mg.scan(lambda h, x: (h + mg.ones((1, 2)) + mg.ones(2) * x, None), start, xs, compiled=True)
    assert last.numpy().tolist() == [[5, 5]]
    with pytest.raises(DeviceError, match=r"test_cuda_errors.py, line \d+, step 0, `h \+ mg.ones"):
        mg.scan(lambda h, x: (h + mg.ones((1, 2)), None), start, xs, compiled=False)
    last, _ = mg.scan(lambda h, x: (h + mg.ones((1, 2), device=h.device), None), start, xs, compiled=True)
    assert last.numpy().tolist() == [[3, 3]]
    count, _ = mg.scan(
        lambda h, x: (h + x, None), mg.tensor(np.ones((1, 2), "u1")), mg.tensor(np.ones((2, 1, 2), "u1"))
    )
    assert count.numpy().tolist() == [[3, 3]]
