"""Weighted sums of rows of a narrow matrix, with the sums of one row held in registers throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from bftembed.expression.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANES, VECTORS = 16, 8
# A panel of the gene matrix (2,000 genes x 128 columns = 1 MB) stays in a core's L2 cache while a block of cells
# passes over it.
PANEL_COLUMNS = LANES * VECTORS


@intrinsic
def _sum_row(  # noqa: PLR0917
    _context: Any, weights: Any, used: Any, start: Any, end: Any, panel: Any, out: Any
) -> Any:
    """Addresses of float32 weights, int32 row numbers, the panel and PANEL_COLUMNS sums; `start` < `end`.

    The loop that numba makes from Python loads and stores the sums for every few genes and takes twice as
    long; LLVM maps these vectors to whatever registers the processor has.
    """
    signature = types.void(weights, used, start, end, panel, out)
    return signature, _build


def _build(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
    single, index, long = ir.FloatType(), ir.IntType(32), ir.IntType(64)
    vector = ir.VectorType(single, LANES)
    weights, used, start, end, panel, out = arguments
    weights, panel, out = (builder.inttoptr(address, single.as_pointer()) for address in (weights, panel, out))
    used = builder.inttoptr(used, index.as_pointer())
    before = builder.block
    loop, done = builder.append_basic_block("genes"), builder.append_basic_block("done")
    builder.branch(loop)

    builder.position_at_end(loop)
    i = builder.phi(long)
    i.add_incoming(start, before)
    sums = [builder.phi(vector) for _ in range(VECTORS)]
    nothing, first_lane = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(index, LANES), [0] * LANES)
    weight = builder.insert_element(nothing, builder.load(builder.gep(weights, [i])), index(0))
    weight = builder.shuffle_vector(weight, nothing, first_lane)
    row = builder.mul(builder.zext(builder.load(builder.gep(used, [i])), long), long(PANEL_COLUMNS))
    totals = []
    for number, total in enumerate(sums):
        place = builder.gep(panel, [builder.add(row, long(number * LANES))])
        values = builder.load(builder.bitcast(place, vector.as_pointer()))
        values.align = 4
        product = builder.fmul(weight, values, flags=["contract"])
        total.add_incoming(ir.Constant(vector, [0.0] * LANES), before)
        totals.append(builder.fadd(total, product, flags=["contract"]))
        total.add_incoming(totals[-1], loop)
    following = builder.add(i, long(1))
    i.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, end), loop, done)

    builder.position_at_end(done)
    for number, total in enumerate(totals):
        place = builder.bitcast(builder.gep(out, [long(number * LANES)]), vector.as_pointer())
        builder.store(total, place).align = 4
    return context.get_dummy_value()


@compiled  # pragma: no cover (runs as machine code)
def sum_panel(  # noqa: PLR0917 (numba has no keyword-only arguments)
    weights: NDArray[np.float32],
    used: NDArray[np.int32],
    ends: NDArray[np.int64],
    panel: NDArray[np.float32],
    base: NDArray[np.float32],
    kinds: NDArray[np.intp],
    out: NDArray[np.float32],
) -> None:
    """Write ``base[kinds[row]] + sum_i weights[i] * panel[used[i]]``, ``i`` from ``ends[row]`` to ``ends[row + 1]``.

    `panel` is C-contiguous (n, PANEL_COLUMNS), `out` and `base` (rows, at most PANEL_COLUMNS); no entries give NaN.
    """
    sums = np.empty(PANEL_COLUMNS, np.float32)
    for row in range(ends.size - 1):
        if ends[row] == ends[row + 1]:
            out[row, :] = np.nan
            continue
        _sum_row(weights.ctypes.data, used.ctypes.data, ends[row], ends[row + 1], panel.ctypes.data, sums.ctypes.data)  # type: ignore[call-arg]
        start = base[kinds[row]]
        for j in range(out.shape[1]):
            out[row, j] = start[j] + sums[j]
