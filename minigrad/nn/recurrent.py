"""`Recurrent`: the layers and directions that run a cell over time.

Imports `cell`, `layers`, `module` and the floors below; the registry when a cell is named.
"""

import inspect
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np

from minigrad.arguments import in_memory
from minigrad.arraytype import show
from minigrad.core import Value, as_value
from minigrad.errors import DtypeError, ScanError, ShapeError, UsageError, did_you_mean
from minigrad.nn.cell import Cell
from minigrad.nn.layers import Dropout, check_flags, check_share, check_sizes, one_value
from minigrad.nn.module import Module, Parameter
from minigrad.ops.elementwise import astype, where
from minigrad.ops.shape import concat, expand_dims, permute_dims, stack, unstack
from minigrad.recurrence import scan
from minigrad.tree import flatten, paths, tree_map, unflatten
from minigrad.values import Tensor


class Recurrent(Module):
    """Run a cell over time, in layers and directions.

    Args:
        cell: a registered name such as "lstm", or a Cell class.
        input_size: D of xs [T, B, D].
        hidden_size: H, given to the cell.
        num_layers: each layer reads the one below.
        bidirectional: a second cell a layer runs from the end; ys are [T, B, 2 H].
        dropout: share of elements dropped between layers, in training.
        reverse: run from the last step to the first.
        checkpoint: as in `mg.scan`.
        batch_first: xs and ys are [B, T, ...]; the state stays [layers * directions, B, ...], as in PyTorch.
        cell_options: given to the cell, such as `bias=False` to rnn, lstm and gru.

    A weight `w` of the cell is called `w_l0`, `w_l1_reverse` and so on, as in PyTorch.
    """

    def __init__(
        self,
        cell: str | type[Cell],
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        reverse: bool = False,
        checkpoint: int | str | None = None,
        batch_first: bool = False,
        **cell_options: Any,
    ) -> None:
        check_sizes("Recurrent", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_share("Recurrent", "dropout", dropout)
        check_flags("Recurrent", bidirectional=bidirectional, reverse=reverse, batch_first=batch_first)
        kind = _cell_class(cell, cell_options)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        self.reverse, self.checkpoint, self.batch_first = reverse, checkpoint, batch_first
        self.cells: list[Cell] = []
        for layer in range(num_layers):
            size = input_size if layer == 0 else self.output_size
            with in_memory("Recurrent"):
                self.cells += [kind(size, hidden_size, **cell_options) for _ in range(self.directions)]
        self.dropout = Dropout(dropout)

    @property
    def output_size(self) -> int:
        """Last size of ys: what the cells of one layer give together."""
        return self.directions * getattr(self.cells[0], "output_size", self.hidden_size)

    @property
    def reads_ahead(self) -> bool:
        """Whether a direction runs from the end."""
        return self.directions == 2 or self.reverse

    @property
    def _minigrad_places(self) -> list[str]:
        """What the cells are called: by layer and direction."""
        pairs = (divmod(i, self.directions) for i in range(len(self.cells)))
        return [f"l{layer}{'_reverse' * backwards}" for layer, backwards in pairs]

    def _minigrad_inside(self) -> Iterator[tuple[str, Parameter | Module]]:
        names = {f"cells.{i}": place for i, place in enumerate(self._minigrad_places)}
        return ((names.get(name, name), value) for name, value in super()._minigrad_inside())

    def _minigrad_joined(self, place: str, name: str) -> str:
        return f"{name}_{place}" if place in self._minigrad_places else super()._minigrad_joined(place, name)

    def forward(self, xs: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """xs [T, B, D] -> (ys [T, B, H * directions], state), or without a batch [T, D] -> ys [T, H * directions].

        Args:
            xs: the sequence; [B, T, D] if `batch_first`.
            state: the shape of the cell's carry, each leaf [num_layers * directions, B, ...], or without a batch
                [num_layers * directions, ...]; `None` starts afresh.
            lengths: integers [B]; see `mg.scan`.

        Raises:
            ShapeError: if xs or state do not fit.
            DtypeError: if state holds floats where the cell's carry holds integers or booleans.
        """
        xs = one_value("Recurrent", xs)
        if xs.ndim not in (2, 3) or xs.shape[-1] != self.input_size:
            form = "[B, T, D]" if self.batch_first else "[T, B, D]"
            raise ShapeError(
                f"Recurrent takes xs {form}, or [T, D] without a batch, with D = {self.input_size}, not {show(xs)}."
            )
        if xs.ndim == 2:
            ys, state = self._run(expand_dims(xs, 1), tree_map(lambda leaf: expand_dims(leaf, 1), state), lengths)
            return ys[:, 0], tree_map(lambda leaf: leaf[:, 0], state)
        if self.batch_first:
            ys, state = self._run(permute_dims(xs, (1, 0, 2)), state, lengths)
            return permute_dims(ys, (1, 0, 2)), state
        return self._run(xs, state, lengths)

    def _run(self, xs: Any, state: Any, lengths: Any) -> tuple[Any, Any]:
        """xs [T, B, D] -> (ys [T, B, H * directions], state)."""
        weights = [p for cell in self.cells for _, p in cell._minigrad_named()]
        dtypes = {xs.dtype, *(p.dtype for p in weights)}
        dtype = xs.dtype if len(dtypes) == 1 else np.result_type(*dtypes)
        carries, structure = self._carries(state, xs.shape[1], dtype, weights[0].device if weights else xs.device)
        for cell in self.cells if state is None else ():
            Cell.begin(cell)
        for layer in range(self.num_layers):
            outs = []
            for i in range(layer * self.directions, (layer + 1) * self.directions):
                backwards = (i % self.directions == 1) != self.reverse
                # One with a mask is copied, so that a backward that runs the step again finds this sequence's mask.
                cell = copy(self.cells[i]) if self.cells[i]._minigrad_noise else self.cells[i]
                carry, ys = scan(
                    cell.step,
                    unflatten(structure, carries[i]),
                    xs,
                    lengths=lengths,
                    reverse=backwards,
                    checkpoint=self.checkpoint,
                )
                self._check_y(cell, ys)
                carries[i] = flatten(carry)[0]
                outs.append(ys)
            xs = outs[0] if len(outs) == 1 else concat(outs, axis=-1)
            if layer < self.num_layers - 1:
                xs = self.dropout(xs)
        together = stack if len(carries) > 1 else _alone
        return xs, unflatten(structure, [together(leaves) for leaves in zip(*carries, strict=True)])

    def _check_y(self, cell: Cell, ys: Any) -> None:
        """A layer needs one y of the width that it promised."""
        name, width = type(cell).__name__, self.output_size // self.directions
        if not isinstance(ys, Value) or len(ys.shape) != 3:
            what = show(ys) if isinstance(ys, Value) else "None" if ys is None else type(ys).__name__
            raise ScanError(f"the cell {name}: a layer needs a y [B, H] of each step, and its ys are {what}.")
        if ys.shape[2] != width:
            raise ScanError(
                f"the cell {name}: its y is {ys.shape[2]} wide, and hidden_size is {width}. Return a y of that width, "
                f"or give the cell an attribute output_size = {ys.shape[2]}."
            )

    def reset(self, state: Any, rows: Any) -> Any:
        """The state with some rows of the batch set back to the beginning.

        Args:
            state: as `forward` returns it for a batch.
            rows: booleans [B], or the rows' numbers.

        Raises:
            ShapeError: if rows or state do not fit.
        """
        leaves, _ = flatten(state)
        if not leaves or not all(isinstance(leaf, Tensor) and leaf.ndim > 1 for leaf in leaves):
            raise ShapeError(
                "Recurrent.reset takes a state of a batch, as the layer returned it, each leaf [layers, B, ...]."
            )
        which = _rows(rows, leaves[0].shape[1])
        floats = [leaf.dtype for leaf in leaves if leaf.dtype.kind == "f"]
        dtype, device = floats[0] if floats else np.dtype(np.float32), leaves[0].device
        fresh, _ = self._carries(None, len(which), dtype, device)
        carries, structure = self._carries(state, len(which), dtype, device)
        reset = [
            [where(which.reshape(-1, *[1] * (old.ndim - 1)), new, old) for new, old in zip(*pair, strict=True)]
            for pair in zip(fresh, carries, strict=True)
        ]
        return unflatten(structure, [stack(leaves) for leaves in zip(*reset, strict=True)])

    def _carries(self, state: Any, batch: int, dtype: Any, device: str) -> tuple[list[list[Any]], Any]:
        """The first carry of every cell as leaves, floats in `dtype`, and their structure."""
        first = [flatten(tree_map(as_value, cell.initial_carry(batch))) for cell in self.cells]
        if device != "cpu":
            first = [([leaf.to(device) for leaf in leaves], structure) for leaves, structure in first]
        structure, named, held = first[0][1], self.cells[0].carry_names, len(first[0][0])
        if named and len(named) != held:
            called = type(self.cells[0]).__name__
            raise ScanError(
                f"the cell {called}: carry_names {tuple(named)} are {len(named)}, its carry has {held} leaves."
            )
        if state is None:
            return [[_in_float(x, dtype) for x in leaves] for leaves, _ in first], structure
        given, form = flatten(state)
        if form != structure:
            names = ", ".join(paths(structure, "state"))
            raise ShapeError(f"Recurrent: this cell's state consists of {names}; another nest was given.")
        found = []
        for name, leaf, one in zip(paths(structure, "state"), map(as_value, given), first[0][0], strict=True):
            if leaf.shape != (want := (len(self.cells), *one.shape)):
                raise ShapeError(
                    f"Recurrent: {name} must be [layers * directions, B, ...] = {list(want)}, not {show(leaf)}."
                )
            if leaf.dtype != one.dtype and one.dtype.kind != "f":
                raise DtypeError(
                    f"Recurrent: {name} is {leaf.dtype}, and the cell's carry {one.dtype}. Use .astype(mg.{one.dtype})."
                )
            found.append(unstack(astype(leaf, dtype) if one.dtype.kind == "f" else leaf))
        return [list(carry) for carry in zip(*found, strict=True)], structure


def _in_float(x: Any, dtype: Any) -> Any:
    """A leaf of a first carry in the layer's float dtype; a counter or a flag stays what it is."""
    return astype(x, dtype) if x.dtype.kind == "f" else x


def _rows(rows: Any, batch: int) -> Any:
    """Which of a batch's rows are meant, [B]: by booleans, or by their numbers."""
    try:
        given = np.atleast_1d(np.asarray(rows))
    except ValueError:  # a ragged list
        given = np.array(None)
    if given.dtype.kind == "b" and given.shape == (batch,):
        return given
    numbers = given.astype(int) if given.size == 0 else given
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or not ((-batch <= numbers) & (numbers < batch)).all():
        raise ShapeError(
            f"Recurrent.reset: rows must be booleans [{batch}], or numbers of rows from 0 to {batch - 1}, not {rows!r}."
        )
    which = np.zeros(batch, bool)
    which[numbers] = True
    return which


def _alone(leaves: Sequence[Any]) -> Any:
    """[B, ...] -> [1, B, ...]: a view at the same edge, since the tape sums over the axes that a value was lent."""
    (leaf,) = leaves
    return Tensor(leaf._data[None], leaf.edge, leaf.version) if isinstance(leaf, Tensor) else expand_dims(leaf, 0)


def _cell_class(cell: str | type[Cell], options: dict[str, Any]) -> type[Cell]:
    """The class, after a look at whether it takes the options."""
    if isinstance(cell, str):
        from minigrad import registry

        cell = registry.load("cells", cell)
    if not isinstance(cell, type) or not issubclass(cell, Cell):
        raise UsageError(f"Recurrent takes a registered cell's name or a Cell class, not {cell!r}.")
    parameters = list(inspect.signature(cell).parameters.values())[2:]
    known = [p.name for p in parameters]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in options:
            if name not in known:
                raise UsageError(
                    f"{cell.__name__} has no option {name!r}.{did_you_mean(name, known)} "
                    f"It takes: {', '.join(known) or 'none'}."
                )
    return cell
