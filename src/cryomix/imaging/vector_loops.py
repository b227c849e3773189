"""Two inner loops written eight numbers wide, because the compiler does not find them itself.

Both run over a patch of an image: a few rows and a multiple of `LANES` columns. Their trip
counts are short and known only at run time, so the automatic vectoriser spends more on
prologues and aliasing checks than on the sums; here each group of columns stays in a register
while the rows pass by. They compile for any processor that LLVM knows.
"""

from typing import Any, no_type_check

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 8

_SIZE = ir.IntType(32)
_FAST = ["fast"]


@intrinsic
@no_type_check
def add_outer(typing_context, image, start, stride, rows, lanes, along_y, along_x):
    """``image[r, c] += along_y[r] · along_x[c]`` for `rows` and `lanes`.

    `image` is indexed flat: entry (r, c) of the patch is at ``start + r · stride + c``.
    """
    signature = types.void(image, *[types.intp] * 4, along_y, along_x)

    def generate(context, builder, signature, arguments):
        pixels, factor_y, factor_x = (
            context.make_array(signature.args[k])(context, builder, arguments[k]).data
            for k in (0, 5, 6)
        )
        _, start, stride, rows, lanes, _, _ = arguments
        for column in _groups(builder, lanes):
            factor = builder.load(_lanes_at(builder, factor_x, column), align=4)
            first = builder.add(start, column)
            with cgutils.for_range(builder, rows) as loop:
                at = builder.add(first, builder.mul(loop.index, stride))
                place = _lanes_at(builder, pixels, at)
                scale = _in_all_lanes(builder, builder.load(builder.gep(factor_y, [loop.index])))
                product = builder.fmul(scale, factor, flags=_FAST)
                total = builder.fadd(builder.load(place, align=4), product, flags=_FAST)
                builder.store(total, place, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
@no_type_check
def sum_rows(typing_context, image, start, stride, rows, lanes, weights, sums):
    """``sums[k, c] = Σ_r weights[k, r] · image[r, c]`` for the three rows k of `weights`.

    `image` is indexed as in `add_outer`.
    """
    signature = types.void(image, *[types.intp] * 4, weights, sums)

    def generate(context, builder, signature, arguments):
        pixels, weight, target = (
            context.make_array(signature.args[k])(context, builder, arguments[k]) for k in (0, 5, 6)
        )
        _, start, stride, rows, lanes, _, _ = arguments
        kind = ir.VectorType(pixels.data.type.pointee, LANES)
        totals = [cgutils.alloca_once(builder, kind) for _ in range(3)]
        for column in _groups(builder, lanes):
            for total in totals:
                builder.store(ir.Constant(kind, [0.0] * LANES), total)
            first = builder.add(start, column)
            with cgutils.for_range(builder, rows) as loop:
                at = builder.add(first, builder.mul(loop.index, stride))
                line = builder.load(_lanes_at(builder, pixels.data, at), align=4)
                for k, total in enumerate(totals):
                    place = _entry(builder, weight, k, loop.index)
                    scale = _in_all_lanes(builder, builder.load(builder.gep(weight.data, [place])))
                    product = builder.fmul(scale, line, flags=_FAST)
                    more = builder.fadd(builder.load(total), product, flags=_FAST)
                    builder.store(more, total)
            for k, total in enumerate(totals):
                place = _lanes_at(builder, target.data, _entry(builder, target, k, column))
                builder.store(builder.load(total), place, align=4)
        return context.get_dummy_value()

    return signature, generate


@no_type_check
def _groups(builder, lanes):
    """The first column of each group of `LANES` columns; the loop's body is what follows."""
    step = ir.Constant(lanes.type, LANES)
    with cgutils.for_range_slice(builder, lanes.type(0), lanes, step) as (column, _):
        yield column


@no_type_check
def _lanes_at(builder, data, index):
    pointer = builder.gep(data, [index])
    return builder.bitcast(pointer, ir.VectorType(data.type.pointee, LANES).as_pointer())


@no_type_check
def _in_all_lanes(builder, value):
    empty = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    single = builder.insert_element(empty, value, _SIZE(0))
    return builder.shuffle_vector(
        single, empty, ir.Constant(ir.VectorType(_SIZE, LANES), [0] * LANES)
    )


@no_type_check
def _entry(builder, array: Any, row: int, column):
    """Flat index of ``array[row, column]``."""
    width = cgutils.unpack_tuple(builder, array.shape)[1]
    return builder.add(builder.mul(width, width.type(row)), column)
