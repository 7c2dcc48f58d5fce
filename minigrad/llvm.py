"""Four things that Numba has no words for, written in LLVM's: the register tile of a matrix product, views that are
known to lie apart, numbers whose making is hidden, and flushing denormals to zero.

Imports `jit`. On the kernels' side of these names a stranger needs only what each function's first line says.
"""

from collections.abc import Callable
from typing import Any

from minigrad.jit import cgutils, helper, host_features, intrinsic, ir, returned, types

# A tile holds ROWS x COLS sums in registers: 12 rows of two AVX-512 vectors, or 6 of two AVX2 vectors, as BLIS does.
LANES = 16 if host_features().get("avx512f") else 8
ROWS, COLS = (12, 32) if LANES == 16 else (6, 16)


def _pointer(context: Any, builder: Any, type_: Any, array: Any) -> Any:
    return context.make_array(type_)(context, builder, array).data


def make_tile(rows: int) -> Callable[..., None]:
    """Make the product of `rows` rows with one panel: tile(a, a0, row, step, b, b0, below, n, c, c0, width, cols,
    add).

    c[r, j] = (c[r, j] if add else 0) + sum of a[r, k] b[k, j],  r < rows, j < cols <= COLS, k < n, by fused
    multiply-adds in the order of k: each sum has the same bits in a tile of any size. Where things lie, counted in
    elements: a[r, k] at a0 + r row + k step, b[k, j] at b0 + k below + j, c[r, j] at c0 + r width + j. COLS columns of
    b are read, whatever `cols` is.
    """

    @intrinsic
    def tile(_context: Any, a: Any, a0: Any, row: Any, step: Any, b: Any, b0: Any, below: Any, n: Any, c: Any,
             c0: Any, width: Any, cols: Any, add: Any) -> Any:  # fmt: skip
        if not a.dtype == b.dtype == c.dtype:
            return None  # Numba then says that there is no such function
        integer = types.intp
        signature = types.void(a, *[integer] * 3, b, *[integer] * 3, c, *[integer] * 3, types.boolean)
        return signature, lambda *lowering: _lower_tile(rows, *lowering)

    return tile


def _lower_tile(rows: int, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    a, a0, row, step, b, b0, below, n, c, c0, width, cols, add = args
    number, i64 = context.get_value_type(signature.args[0].dtype), c0.type
    bits = signature.args[0].dtype.bitwidth
    lanes = LANES * 32 // bits
    vector = ir.VectorType(number, lanes)
    pa = builder.gep(_pointer(context, builder, signature.args[0], a), [a0])
    pb = builder.gep(_pointer(context, builder, signature.args[4], b), [b0])
    pc = builder.gep(_pointer(context, builder, signature.args[8], c), [c0])
    name = f"llvm.fma.v{lanes}f{bits}"
    fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
    places = [(r, v) for r in range(rows) for v in range(COLS // lanes)]
    edge = cgutils.alloca_once(builder, ir.ArrayType(number, rows * COLS))  # a tile of fewer columns passes through it
    edge = builder.bitcast(edge, number.as_pointer())

    def at(pointer: Any, *offsets: Any) -> Any:
        for offset in offsets:
            pointer = builder.gep(pointer, [offset if hasattr(offset, "type") else i64(offset)])
        return pointer

    def vectors(pointer: Any) -> Any:
        return builder.bitcast(pointer, vector.as_pointer())

    def move_edge(into: bool) -> None:
        with cgutils.for_range(builder, i64(rows)) as r, cgutils.for_range(builder, cols) as j:
            inside = at(edge, builder.mul(r.index, i64(COLS)), j.index)
            outside = at(pc, builder.mul(r.index, width), j.index)
            source, target = (outside, inside) if into else (inside, outside)
            builder.store(builder.load(source), target)

    whole = builder.icmp_signed("==", cols, i64(COLS))
    sums = {place: cgutils.alloca_once(builder, vector) for place in places}
    starts = [builder.mul(width, i64(r)) for r in range(rows)]
    with builder.if_else(builder.trunc(add, ir.IntType(1)) if add.type.width > 1 else add) as (on, fresh):
        with on:
            with builder.if_then(builder.not_(whole)):
                move_edge(into=True)
            for r, v in places:
                from_c = builder.select(whole, at(pc, starts[r], v * lanes), at(edge, r * COLS + v * lanes))
                builder.store(builder.load(vectors(from_c), align=bits // 8), sums[r, v])
        with fresh:
            for place in places:
                builder.store(vector(None), sums[place])
    steps = [builder.mul(row, i64(r)) for r in range(rows)]
    with cgutils.for_range(builder, n) as loop:
        panel = at(pb, builder.mul(loop.index, below))
        right = [builder.load(vectors(at(panel, v * lanes)), align=bits // 8) for v in range(COLS // lanes)]
        column = at(pa, builder.mul(loop.index, step))
        for r in range(rows):
            one = builder.insert_element(vector(ir.Undefined), builder.load(at(column, steps[r])), ir.IntType(32)(0))
            left = builder.shuffle_vector(one, one, ir.VectorType(ir.IntType(32), lanes)([0] * lanes))
            for v, b in enumerate(right):
                builder.store(builder.call(fma, [left, b, builder.load(sums[r, v])]), sums[r, v])
    for r, v in places:
        to_c = builder.select(whole, at(pc, starts[r], v * lanes), at(edge, r * COLS + v * lanes))
        builder.store(builder.load(sums[r, v]), vectors(to_c), align=bits // 8)
    with builder.if_then(builder.not_(whole)):
        move_edge(into=False)
    return context.get_dummy_value()


@intrinsic
def _apart(_context: Any, view: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # An empty piece of assembly whose result is declared `noalias`, as malloc's is; the second one lets the pointer
        # escape, or LLVM would take what is written through it for writes that nobody reads.
        array = context.make_array(signature.args[0])(context, builder, args[0])
        kind = array.data.type
        passed = ir.InlineAsm(ir.FunctionType(kind, [kind]), "", "=r,0")
        array.data = builder.call(passed, [array.data], cconv="noalias")
        seen = ir.InlineAsm(ir.FunctionType(ir.VoidType(), [kind]), "", "r,~{memory}", side_effect=True)
        builder.call(seen, [array.data])
        return returned(context, builder, signature.return_type, array._getvalue())

    return view(view), lower


@helper
def apart(view: Any) -> Any:
    """The same view, with the promise that what is written here is not read through any other: loops become vectors.

    Without it LLVM compares each pointer with each other one before a loop, and gives up at a dozen; 22 ns a unit of an
    LSTM's forward step became 4.
    """
    return _apart(view)


@intrinsic
def _hidden(_context: Any, number: Any) -> Any:
    def lower(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        bits = ir.IntType(number.bitwidth)
        passed = ir.InlineAsm(ir.FunctionType(bits, [bits]), "", "=r,0")
        return builder.bitcast(builder.call(passed, [builder.bitcast(args[0], bits)]), args[0].type)

    return number(number), lower


@helper
def hidden(number: Any) -> Any:
    """The same float, of which LLVM does not see where it comes from."""
    return _hidden(number)


@intrinsic
def _set_flush(_context: Any, state: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not host_features().get("sse2"):
            return i32(0)
        slot = cgutils.alloca_once(builder, i32)
        place = builder.bitcast(slot, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.stmxcsr"), [place])
        before = builder.load(slot)
        wanted = builder.select(builder.icmp_signed("<", args[0], i32(0)), builder.or_(before, i32(0x8040)), args[0])
        builder.store(wanted, slot)
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr"), [place])
        return before

    i32 = ir.IntType(32)
    return types.int32(types.int32), lower


@helper
def flush_denormals(state: int) -> Any:
    """Below 0: treat denormals as zero from here on, and return the state before; else go back to that state.

    A vanishing gradient reaches numbers below 1e-38, on which a processor is up to a hundred times slower.
    """
    return _set_flush(state)
