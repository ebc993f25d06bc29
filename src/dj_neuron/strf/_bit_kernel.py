"""The counting kernel: whole vectors of blocks are added up at once, bit by bit, compiled by numba.

Position k of a row of *planes* holds bit k of 512 counters. Frames are added to them with carry-save adders,
as in Harley and Seal's population count: 64 frames at a time leave one vector of carries, which ripples into the
planes in memory. docs/explanation/engine.md tells why each step is there.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

__all__ = ["MIN_PLANES", "SPAN", "WHOLE", "average_levels", "count_bits"]

WORDS = 8  # 64-bit words in a vector: one cache line, 512 blocks
BYTES = 8 * WORDS
SPAN = 4096  # frames of a tile that are worked on together: 256 KiB, which stays in the second-level cache
WHOLE = 64  # frames that are added up in registers before anything is carried into memory
MIN_PLANES = 7
_IN_REGISTERS = 6  # planes that these frames fill

_LLVM_VECTOR = ir.VectorType(ir.IntType(64), WORDS)
# numba compiles for the machine it runs on, unless its own variables name another processor
_HAS_TERNARY_LOGIC = not (config.CPU_NAME or config.CPU_FEATURES) and bool(
    llvmlite.binding.get_host_cpu_features().get("avx512f")
)


class _Vector(types.Type):
    """512 bits that numba keeps in one register."""

    def __init__(self) -> None:
        super().__init__("vector of 8 x 64 bits")


_vector = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _LLVM_VECTOR)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset_bytes: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.gep(builder.bitcast(data, ir.IntType(8).as_pointer()), [offset_bytes])
    return builder.bitcast(place, _LLVM_VECTOR.as_pointer())


@intrinsic
def _load(_: Any, array: Any, offset_bytes: Any) -> Any:
    """Load the vector at `offset_bytes` of an array; nothing is checked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_pointer(context, builder, signature.args[0], *arguments))
        loaded.align = 1
        return loaded

    return _vector(array, types.int64), generate


@intrinsic
def _store(_: Any, array: Any, offset_bytes: Any, vector: Any) -> Any:
    """Store a vector at `offset_bytes` of an array; nothing is checked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = builder.store(arguments[2], _pointer(context, builder, signature.args[0], *arguments[:2]))
        stored.align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, _vector), generate


@intrinsic
def _frame(_: Any, tile: Any, frames: Any, k: Any) -> Any:
    """Load the vector of the tile's frame number ``frames[k]``; nothing is checked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = context.make_array(signature.args[1])(context, builder, arguments[1]).data
        number = builder.zext(builder.load(builder.gep(numbers, [arguments[2]])), ir.IntType(64))
        offset = builder.mul(number, ir.Constant(ir.IntType(64), BYTES))
        loaded = builder.load(_pointer(context, builder, signature.args[0], arguments[0], offset))
        loaded.align = BYTES
        return loaded

    return _vector(tile, frames, types.int64), generate


@intrinsic
def _zero(_: Any) -> Any:
    def generate(_context: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
        return ir.Constant(_LLVM_VECTOR, None)

    return _vector(), generate


def _bitwise(name: str) -> Any:
    @intrinsic
    def operation(_: Any, a: Any, b: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments)

        return _vector(a, b), generate

    return operation


_xor, _and, _or = _bitwise("xor"), _bitwise("and_"), _bitwise("or_")


def _ternary(truth_table: int) -> Any:
    """One instruction of AVX-512 for any function of three bits."""

    @intrinsic
    def operation(_: Any, a: Any, b: Any, c: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            parameters = [_LLVM_VECTOR] * 3 + [ir.IntType(32)]
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_LLVM_VECTOR, parameters), "llvm.x86.avx512.pternlog.q.512"
            )
            return builder.call(function, [*arguments, ir.Constant(ir.IntType(32), truth_table)])

        return _vector(a, b, c), generate

    return operation


if _HAS_TERNARY_LOGIC:
    _odd, _majority = _ternary(0x96), _ternary(0xE8)
else:

    @njit(inline="always")
    def _odd(a: Any, b: Any, c: Any) -> Any:
        return _xor(_xor(a, b), c)

    @njit(inline="always")
    def _majority(a: Any, b: Any, c: Any) -> Any:
        return _or(_and(a, b), _and(_xor(a, b), c))


@njit(inline="always")
def _add(a: Any, b: Any, c: Any) -> Any:
    """Add three bits of equal weight in every lane: a sum of that weight, a carry of twice that."""
    return _odd(a, b, c), _majority(a, b, c)


@njit(inline="always")
def _add_4(tile: Any, frames: Any, k: Any, ones: Any, twos: Any) -> Any:
    ones, a = _add(ones, _frame(tile, frames, k), _frame(tile, frames, k + 1))
    ones, b = _add(ones, _frame(tile, frames, k + 2), _frame(tile, frames, k + 3))
    twos, carry = _add(twos, a, b)
    return ones, twos, carry


@njit(inline="always")
def _add_16(tile: Any, frames: Any, k: Any, ones: Any, twos: Any, fours: Any, eights: Any) -> Any:
    ones, twos, a = _add_4(tile, frames, k, ones, twos)
    ones, twos, b = _add_4(tile, frames, k + 4, ones, twos)
    fours, c = _add(fours, a, b)
    ones, twos, a = _add_4(tile, frames, k + 8, ones, twos)
    ones, twos, b = _add_4(tile, frames, k + 12, ones, twos)
    fours, d = _add(fours, a, b)
    eights, carry = _add(eights, c, d)
    return ones, twos, fours, eights, carry


@njit(inline="always")
def _ripple(planes: Any, offset: Any, carry: Any, count: Any) -> Any:
    """Add a carry to the planes from `offset` on, which hold at most `count`."""
    while True:
        old = _load(planes, offset)
        _store(planes, offset, _xor(old, carry))
        if count == 0:
            break
        carry = _and(old, carry)
        offset += BYTES
        count >>= 1


@njit(nogil=True)
def _count_span(tile: Any, frames: Any, first: Any, last: Any, planes: Any, offset: Any, n_before: Any) -> None:
    """Add frames ``first`` to ``last``, a multiple of 64 of them, to a row that holds `n_before`."""
    ones, twos = _load(planes, offset), _load(planes, offset + BYTES)
    fours, eights = _load(planes, offset + 2 * BYTES), _load(planes, offset + 3 * BYTES)
    sixteens, thirtytwos = _load(planes, offset + 4 * BYTES), _load(planes, offset + 5 * BYTES)
    for k in range(first, last, 64):
        ones, twos, fours, eights, a = _add_16(tile, frames, k, ones, twos, fours, eights)
        ones, twos, fours, eights, b = _add_16(tile, frames, k + 16, ones, twos, fours, eights)
        sixteens, c = _add(sixteens, a, b)
        ones, twos, fours, eights, a = _add_16(tile, frames, k + 32, ones, twos, fours, eights)
        ones, twos, fours, eights, b = _add_16(tile, frames, k + 48, ones, twos, fours, eights)
        sixteens, d = _add(sixteens, a, b)
        thirtytwos, carry = _add(thirtytwos, c, d)
        _ripple(planes, offset + _IN_REGISTERS * BYTES, carry, (n_before + k - first) // 64)
    _store(planes, offset, ones)
    _store(planes, offset + BYTES, twos)
    _store(planes, offset + 2 * BYTES, fours)
    _store(planes, offset + 3 * BYTES, eights)
    _store(planes, offset + 4 * BYTES, sixteens)
    _store(planes, offset + 5 * BYTES, thirtytwos)


@njit(nogil=True)
def _count_rest(tile: Any, frames: Any, first: Any, last: Any, planes: Any, offset: Any, n_before: Any) -> None:
    """Add the last frames of a row, a multiple of 16 of them."""
    ones, twos = _load(planes, offset), _load(planes, offset + BYTES)
    fours, eights = _load(planes, offset + 2 * BYTES), _load(planes, offset + 3 * BYTES)
    for k in range(first, last, 16):
        ones, twos, fours, eights, carry = _add_16(tile, frames, k, ones, twos, fours, eights)
        _ripple(planes, offset + 4 * BYTES, carry, (n_before + k - first) // 16)
    _store(planes, offset, ones)
    _store(planes, offset + BYTES, twos)
    _store(planes, offset + 2 * BYTES, fours)
    _store(planes, offset + 3 * BYTES, eights)


@njit(nogil=True)
def _cut_tile(data: Any, first_byte: Any, tile: Any) -> None:
    """Copy 64 bytes of every packed frame together; what the frames do not have is 0."""
    n_frames, n_bytes = data.shape
    if first_byte + BYTES <= n_bytes:
        for frame in range(n_frames):
            _store(tile, frame * BYTES, _load(data, frame * n_bytes + first_byte))
    else:
        tile[:] = 0
        single = tile.view(np.uint8)
        for frame in range(n_frames):
            for byte in range(n_bytes - first_byte):
                single[frame * BYTES + byte] = data[frame, first_byte + byte]
    _store(tile, n_frames * BYTES, _zero())  # the frame that rows are padded with


@njit(nogil=True)
def _read_planes(planes: Any, n_planes: Any, counts: Any) -> None:
    """Put the counters of every row together from their bits; counts (n_rows, at most 512)."""
    n_rows, n_blocks = counts.shape
    wide = np.empty(64, np.uint32)
    for row in range(n_rows):
        for word in range((n_blocks + 63) // 64):
            wide[:] = 0
            for plane in range(n_planes):
                bits = planes[(row * n_planes + plane) * WORDS + word]
                for lane in range(64):
                    wide[lane] += np.uint32((bits >> np.uint64(lane)) & np.uint64(1)) << np.uint32(plane)
            for lane in range(min(64, n_blocks - 64 * word)):
                counts[row, 64 * word + lane] = wide[lane]


@njit(nogil=True, cache=True)
def count_bits(part: Any, n_parts: Any, data: Any, cuts: Any, frames: Any, n_planes: Any, counts: Any) -> None:
    """Count, for every row and block, the frames of the row in which the block's bit is set.

    Parameters
    ----------
    part, n_parts : int
        Every `n_parts`-th tile from number `part` on is counted.
    data : array (n_frames, n_bytes) of uint8
        Packed frames, least significant bit first, C-contiguous.
    cuts : array (n_rows, n_spans + 2) of int64
        Where a row's frames begin, are cut into spans (at multiples of 64 from the beginning), and end (at a
        multiple of 16).
    frames : array of uint32
        Of all rows; ascending within a span, padded with ``n_frames``, which stands for an empty frame.
    n_planes : int
        At least 7, and enough for one bit more than the largest count takes.
    counts : array (n_rows, n_blocks) of uint32
        Filled where the tiles are.
    """
    n_frames, n_bytes = data.shape
    n_rows, n_cuts = cuts.shape
    n_blocks = counts.shape[1]
    # fresh memory costs more than counting: one tile and one set of planes serve for all the work
    room = np.empty((n_frames + 2) * WORDS, np.uint64)
    skip = (-room.ctypes.data // 8) % WORDS  # loads across a border of cache lines cost twice
    tile = room[skip : skip + (n_frames + 1) * WORDS]
    planes = np.empty(n_rows * n_planes * WORDS, np.uint64)
    for number in range(part, (n_bytes + BYTES - 1) // BYTES, n_parts):
        _cut_tile(data, number * BYTES, tile)
        planes[:] = 0
        for span in range(n_cuts - 1):
            for row in range(n_rows):
                first, last = cuts[row, span], cuts[row, span + 1]
                offset, n_before = row * n_planes * BYTES, first - cuts[row, 0]
                if last > first:
                    if span < n_cuts - 2:
                        _count_span(tile, frames, first, last, planes, offset, n_before)
                    else:
                        _count_rest(tile, frames, first, last, planes, offset, n_before)
        first_block = number * BYTES * 8
        _read_planes(planes, n_planes, counts[:, first_block : min(first_block + BYTES * 8, n_blocks)])


@njit(nogil=True, cache=True)
def average_levels(
    part: Any, n_parts: Any, counts: Any, sizes: Any, low: Any, high: Any, less: Any, values: Any
) -> None:
    """Fill ``values = (low * sizes + (high - low) * counts) / sizes - less`` in every `n_parts`-th row."""
    n_rows, n_blocks = counts.shape
    for row in range(part, n_rows, n_parts):
        size = sizes[row]
        for block in range(n_blocks):
            values[row, block] = (low * size + (high - low) * counts[row, block]) / size - less[block]
