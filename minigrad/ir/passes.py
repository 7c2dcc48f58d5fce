"""The passes, and why in this order. Imports the files of its floor.

Before the backward is derived, so that it is derived from the better graph:
  constants_first  what depends on weights alone is computed once, before the scan; later passes may join such values
  undo_moves       a batch that is moved away and back again is not moved
  plain_powers     squares, cubes and reciprocals are products
  split_bias       a product with a bias is a product, and a sum that is free
  name_products    `einsum` that is a matrix product
  join_slices      slices of one value are one split; so that
  join_products    products of one value are one product and a split; so that
  sink_splits      the splits stand beside the products, and everything between is one loop
  describe         names for what the cell left without one
Then `derive`, and on both graphs:
  drop_identities  names for carries were for `derive`, which gives each its own gradient
  expand           softmax and the like as loops; only now: their gradient rules are better than those of the parts
  join_equal, drop_dead
"""

from minigrad.ir.graph import Graph
from minigrad.ir.products import join_products, join_slices, name_products, sink_splits, split_bias
from minigrad.ir.simplify import (
    constants_first,
    describe,
    drop_dead,
    drop_identities,
    expand,
    join_equal,
    plain_powers,
    undo_moves,
)

BEFORE_DERIVING = (
    constants_first, undo_moves, plain_powers, split_bias, name_products, join_slices, constants_first, join_products,
    constants_first, sink_splits, constants_first, join_equal, drop_dead, describe,
)  # fmt: skip
AFTER_DERIVING = (drop_identities, expand, constants_first, join_equal, drop_dead)


def prepare(graph: Graph) -> Graph:
    """The forward graph from which the backward is derived."""
    for step in BEFORE_DERIVING:
        graph = step(graph)
    return graph


def finish(graph: Graph) -> Graph:
    """A graph, forward or backward, as code is made from it."""
    for step in AFTER_DERIVING:
        graph = step(graph)
    return graph
