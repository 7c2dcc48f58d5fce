"""`Recurrent`: the layers and directions that run a cell over time.

Imports `cell`, `layers`, `module` and the floors below; the registry when a cell is named.
"""

import inspect
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np

from minigrad.arraytype import show
from minigrad.core import Value, as_value
from minigrad.errors import ScanError, ShapeError, UsageError, did_you_mean
from minigrad.nn.cell import Cell
from minigrad.nn.layers import Dropout, check_share, check_sizes
from minigrad.nn.module import Module, Parameter
from minigrad.ops.elementwise import where
from minigrad.ops.shape import concat, expand_dims, stack, unstack
from minigrad.recurrence import scan
from minigrad.tree import flatten, paths, unflatten
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
        cell_options: given to the cell.

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
        **cell_options: Any,
    ) -> None:
        check_sizes("Recurrent", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_share("Recurrent", "dropout", dropout)
        kind = _cell_class(cell, cell_options)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        self.reverse, self.checkpoint = reverse, checkpoint
        self.dropout = Dropout(dropout)
        self.cells: list[Cell] = []
        for layer in range(num_layers):
            size = input_size if layer == 0 else self.output_size
            self.cells += [kind(size, hidden_size, **cell_options) for _ in range(self.directions)]

    @property
    def output_size(self) -> int:
        """Last size of ys: what the cells of one layer give together."""
        return self.directions * getattr(self.cells[0], "output_size", self.hidden_size)

    @property
    def reads_ahead(self) -> bool:
        """Whether a direction runs from the end."""
        return self.directions == 2 or self.reverse

    def children(self) -> Iterator[tuple[str, Module]]:
        """The cells, named by layer and direction."""
        for i, cell in enumerate(self.cells):
            layer, backwards = divmod(i, self.directions)
            yield f"l{layer}{'_reverse' * backwards}", cell
        yield "dropout", self.dropout

    def _named(self) -> Iterator[tuple[str, Parameter]]:
        for place, cell in self.children():
            yield from ((f"{name}_{place}", parameter) for name, parameter in cell._named())

    def forward(self, xs: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """xs [T, B, D] -> (ys [T, B, H * directions], state).

        Args:
            xs: the sequence.
            state: the shape of the cell's carry, each leaf [num_layers * directions, B, ...]; `None` starts afresh.
            lengths: integers [B]; see `mg.scan`.

        Raises:
            ShapeError: if xs or state do not fit.
        """
        xs = as_value(xs)
        if xs.ndim != 3 or xs.shape[2] != self.input_size:
            raise ShapeError(f"Recurrent takes xs [T, B, D] with D = {self.input_size}, not {show(xs)}.")
        weights = [p for cell in self.cells for _, p in cell._named()]
        dtypes = {xs.dtype, *(p.dtype for p in weights)}
        dtype = xs.dtype if len(dtypes) == 1 else np.result_type(*dtypes)
        carries, structure = self._carries(state, xs.shape[1], dtype, weights[0].device if weights else xs.device)
        for cell in self.cells if state is None else ():
            cell.begin()
        for layer in range(self.num_layers):
            outs = []
            for i in range(layer * self.directions, (layer + 1) * self.directions):
                backwards = (i % self.directions == 1) != self.reverse
                # One with a mask is copied, so that a backward that runs the step again finds this sequence's mask.
                cell = copy(self.cells[i]) if self.cells[i].recurrent_dropout else self.cells[i]
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
        """The state with the rows of the batch that `rows` [B] names set back to the beginning."""
        leaves, _ = flatten(state)
        rows = np.asarray(rows, bool)
        fresh, structure = self._carries(None, len(rows), leaves[0].dtype, leaves[0].device)
        together = [stack(leaves) for leaves in zip(*fresh, strict=True)]
        shape = [(1, len(rows), *[1] * (leaf.ndim - 2)) for leaf in leaves]
        pairs = zip(together, leaves, shape, strict=True)
        return unflatten(structure, [where(rows.reshape(s), new, old) for new, old, s in pairs])

    def _carries(self, state: Any, batch: int, dtype: Any, device: str) -> tuple[list[list[Any]], Any]:
        """The first carry of every cell as leaves, and their structure."""
        first = [flatten(cell.initial_carry(batch)) for cell in self.cells]
        if device != "cpu":
            first = [([leaf.to(device) for leaf in leaves], structure) for leaves, structure in first]
        structure, named, held = first[0][1], self.cells[0].carry_names, len(first[0][0])
        if named and len(named) != held:
            called = type(self.cells[0]).__name__
            raise ScanError(
                f"the cell {called}: carry_names {tuple(named)} are {len(named)}, its carry has {held} leaves."
            )
        if state is None:
            return [[x if x.dtype == dtype else x.astype(dtype) for x in leaves] for leaves, _ in first], structure
        leaves, given = flatten(state)
        if given != structure:
            names = ", ".join(paths(structure, "state"))
            raise ShapeError(f"Recurrent: this cell's state consists of {names}; another nest was given.")
        leaves = [as_value(leaf).astype(dtype) for leaf in leaves]
        for name, leaf, one in zip(paths(structure, "state"), leaves, first[0][0], strict=True):
            if leaf.shape != (want := (len(self.cells), *one.shape)):
                raise ShapeError(
                    f"Recurrent: {name} must be [layers * directions, B, ...] = {list(want)}, not {show(leaf)}."
                )
        return [list(carry) for carry in zip(*(unstack(leaf) for leaf in leaves), strict=True)], structure


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
