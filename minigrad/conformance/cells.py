"""The checks for a cell. Each takes the class (with its options bound) and raises CheckError with a reason.

Imports `report`, `nn`, `gradcheck` and the library below. Cells are made with D = 3, H = 4.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad import nn, optim, random
from minigrad.conformance.report import CellReport, run_all
from minigrad.eager import tensor
from minigrad.errors import CheckError, ScanError
from minigrad.gradcheck import check_grads
from minigrad.mode import no_grad
from minigrad.recurrence import scan
from minigrad.tree import flatten, paths, tree_map, unflatten

D, H, T, B = 3, 4, 5, 3
Array = np.ndarray[Any, Any]


def check_cell(cell: type[nn.Cell], **options: Any) -> CellReport:
    """Check that a cell does what `scan`, `Recurrent` and training expect of it.

    Args:
        cell: the class; `expected_failures = {check: reason}` on it names checks that it may not pass.
        options: given to its constructor.

    Raises:
        CheckError: naming the first check that fails, with the reason.
    """
    made: Any = partial(cell, **options)
    made.__name__ = cell.__name__
    made.expected_failures = getattr(cell, "expected_failures", {})
    return run_all(CHECKS, made)


def _new(make: Any, dtype: Any = np.float32, use: bool = True) -> nn.Cell:
    """A cell with weights from a fixed seed, without noise if for use."""
    random.seed(0)
    cell: nn.Cell = make(D, H)
    cell.load_state_dict({name: a.astype(dtype) for name, a in cell.state_dict().items()})
    return cell.eval() if use else cell


def _carry(cell: nn.Cell, batch: int, dtype: Any, seed: int = 1) -> Any:
    """A first carry that is not zero."""
    leaves, structure = flatten(cell.initial_carry(batch))
    rng = np.random.default_rng(seed)
    return unflatten(structure, [tensor((rng.normal(size=leaf.shape) * 0.5).astype(dtype)) for leaf in leaves])


def _xs(steps: int, batch: int, dtype: Any = np.float64, seed: int = 2) -> Array:
    return np.random.default_rng(seed).normal(size=(steps, batch, D)).astype(dtype)


def _values(nest: Any) -> list[Array]:
    return [leaf.detach().numpy() for leaf in flatten(nest)[0]]


def _close(what: str, found: list[Array], wanted: list[Array], tolerance: float = 1e-9) -> None:
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        size = max(1.0, float(np.abs(b).max(initial=0.0)))
        if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=tolerance * size, equal_nan=True):
            worst = float(np.abs(a - b).max(initial=0.0)) if a.shape == b.shape else f"shapes {a.shape} and {b.shape}"
            raise CheckError(f"{what}: value {i} differs, by up to {worst}.")


def carry_keeps_its_type(make: Any) -> None:
    """What comes out as the carry has the form, shapes and dtypes of what goes in, for float32 and float64."""
    for dtype in (np.float32, np.float64):
        cell = _new(make, dtype)
        carry = _carry(cell, B, dtype)
        made, y = cell.step(carry, tensor(_xs(1, B, dtype)[0]))
        before, structure = flatten(carry)
        after, other = flatten(made)
        if structure != other:
            raise CheckError("step() returns a carry of another form than it takes.")
        for name, a, b in zip(paths(structure, "carry"), before, after, strict=True):
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                raise CheckError(
                    f"{name} is {a.dtype}{list(a.shape)} before a step and {b.dtype}{list(b.shape)} after."
                )
        for leaf in flatten(y)[0]:
            if leaf.dtype.kind == "f" and leaf.dtype != dtype:
                raise CheckError(f"y is {leaf.dtype} where weights, carry and x are {np.dtype(dtype)}.")


def gradients_hold(make: Any) -> str:
    """The derived gradient equals central differences, for x, the first carry and every weight."""
    cell = _new(make, np.float64)
    carry, structure = flatten(_carry(cell, 2, np.float64))
    weights = nn.Module.parameters(cell)
    places = [
        (module, name, value)
        for module in nn.Module.modules(cell)
        for name, value in vars(module).items()
        if any(isinstance(leaf, nn.Parameter) for leaf in flatten(value)[0])
    ]

    def f(xs: Any, *values: Any) -> Any:
        given = {id(weight): value for weight, value in zip(weights, values[len(carry) :], strict=True)}
        for module, name, value in places:
            setattr(module, name, tree_map(lambda leaf: given.get(id(leaf), leaf), value))
        last, ys = scan(cell.step, unflatten(structure, list(values[: len(carry)])), xs, compiled=False)
        return last, ys

    try:
        report = check_grads(f, _xs(3, 2), *(c.numpy() for c in carry), *(w.numpy() for w in weights))
    finally:
        for module, name, value in places:
            setattr(module, name, value)
    return f"{report.checks} partial derivatives, error {report.error:.1e}"


def compiled_equals_eager(make: Any) -> str | None:
    """The compiled loop gives the values and gradients of the plain one."""
    found = []
    for compiled in (True, False):
        cell = _new(make, np.float64)
        xs = tensor(_xs(T, B), requires_grad=True)
        try:
            last, ys = scan(cell.step, _carry(cell, B, np.float64), xs, lengths=[T, 2, 0], compiled=compiled)
        except ScanError as error:
            if not compiled:
                raise
            return f"it runs step by step, for {error}"
        rng, outs = np.random.default_rng(3), [leaf for leaf in flatten((last, ys))[0] if leaf.edge is not None]
        total = sum(((out * rng.normal(size=out.shape)).sum() for out in outs), start=tensor(0.0, dtype="f8"))
        if outs:
            total.backward()
        grads = [np.zeros(1) if p.grad is None else p.grad.numpy() for p in [xs, *cell.parameters()]]
        found.append(_values((last, ys)) + grads)
    _close("the compiled loop", found[0], found[1])
    return None


def lengths_are_kept(make: Any) -> None:
    """A padded batch gives each row what it would have alone."""
    cell = _new(make, np.float64)
    xs, lengths = _xs(T, B), [T, 1, 3]
    last, ys = scan(cell.step, _carry(cell, B, np.float64), xs, lengths=lengths, compiled=False)
    for row, n in enumerate(lengths):
        carry = tree_map(lambda leaf, row=row: tensor(leaf.numpy()[row : row + 1]), _carry(cell, B, np.float64))
        alone, y = scan(cell.step, carry, xs[:n, row : row + 1], compiled=False)
        _close(f"row {row} of a padded batch", [v[row : row + 1] for v in _values(last)], _values(alone))
        _close(f"row {row} of a padded batch", [v[:n, row : row + 1] for v in _values(ys)], _values(y))


def rows_are_independent(make: Any) -> None:
    """What one row reads does not change what another gives."""
    cell = _new(make, np.float64)
    one, other = _xs(T, B), _xs(T, B)
    other[:, 1] += 1
    found = []
    for xs in (one, other):
        last, ys = scan(cell.step, _carry(cell, B, np.float64), xs, compiled=False)
        found.append([np.delete(v, 1, axis=0) for v in _values(last)] + [np.delete(v, 1, axis=1) for v in _values(ys)])
    _close("another row", found[0], found[1], 0.0)


def no_steps_are_fine(make: Any) -> None:
    """T = 0 gives the first carry and no y."""
    cell = _new(make)
    carry = _carry(cell, B, np.float32)
    last, ys = scan(cell.step, carry, _xs(0, B, np.float32))
    _close("the carry after no steps", _values(last), _values(carry), 0.0)
    if any(leaf.shape[0] for leaf in flatten(ys)[0]):
        raise CheckError("no steps gave some y.")


def nothing_is_changed(make: Any) -> None:
    """A step leaves its arguments and its weights as they were."""
    cell = _new(make)
    carry, x = _carry(cell, B, np.float32), tensor(_xs(1, B, np.float32)[0])
    before = [v.copy() for v in [*_values(carry), x.numpy(), *cell.state_dict().values()]]
    cell.step(carry, x)
    _close("an argument or weight after a step", [*_values(carry), x.numpy(), *cell.state_dict().values()], before, 0.0)


def the_same_seed_gives_the_same(make: Any) -> None:
    """Weights and outputs follow from the seed."""
    found = []
    for _ in range(2):
        cell = _new(make, use=False)
        last, ys = scan(cell.step, cell.initial_carry(B), _xs(T, B, np.float32), compiled=False)
        found.append([*_values((last, ys)), *cell.state_dict().values()])
    _close("the second time", found[0], found[1], 0.0)


def weights_come_back(make: Any) -> None:
    """state_dict() holds all that makes the outputs."""
    cell, xs = _new(make), _xs(T, B, np.float32)
    random.seed(1)
    other: nn.Cell = make(D, H).eval()
    other.load_state_dict(cell.state_dict())
    found = [_values(scan(c.step, c.initial_carry(B), xs, compiled=False)) for c in (cell, other)]
    _close("a cell with the same weights", found[0], found[1], 0.0)


def it_learns(make: Any) -> str:
    """It learns to say what came the step before, well above the baseline of who only knows the mean, 1/3."""
    random.seed(0)
    layer: Any = nn.Recurrent(_as_class(make), 1, 12)
    readout = nn.Linear(layer.output_size, 1)
    rule = optim.Adam([*layer.parameters(), *readout.parameters()], lr=0.02)
    rng, losses = np.random.default_rng(0), []
    for _ in range(300):
        xs = rng.uniform(-1, 1, (8, 16, 1)).astype(np.float32)
        ys, _ = layer(xs)
        loss = nn.mse_loss(readout(ys[1:]), xs[:-1])
        rule.zero_grad()
        loss.backward()
        with no_grad():
            optim.clip_grad_norm(rule.params, 1.0)
            rule.step()
        losses.append(loss.item())
    reached = float(np.mean(losses[-20:]))
    if not reached < 0.5 / 3:
        raise CheckError(f"after 300 steps the loss is {reached:.3f}; who only knows the mean has .333.")
    return f"loss {reached:.4f}, baseline .333"


def _as_class(make: Any) -> Any:
    """A class for `Recurrent`, with the options bound."""
    if isinstance(make, type):
        return make
    options = make.keywords

    class Bound(make.func):  # type: ignore[misc]
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__(input_size, hidden_size, **options)

    Bound.__name__ = Bound.__qualname__ = make.func.__name__
    return Bound


CHECKS: dict[str, Callable[..., str | None]] = {
    check.__name__: check
    for check in (
        carry_keeps_its_type, gradients_hold, compiled_equals_eager, lengths_are_kept, rows_are_independent,
        no_steps_are_fine, nothing_is_changed, the_same_seed_gives_the_same, weights_come_back, it_learns,
    )
}  # fmt: skip
