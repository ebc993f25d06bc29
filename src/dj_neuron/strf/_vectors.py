"""Vectors for compiled kernels: numba is told of types that stay in registers, and how to load, store and combine them.

LLVM does not find vectors in loops over many row pointers. What is written here compiles to the widest instructions
that the machine has. Nothing is checked: a kernel answers for its offsets.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

N_WORDS = 8  # 64-bit words in a vector of bits, one cache line: 512 blocks
LINE = 8 * N_WORDS
N_COUNTS = 64
N_VALUES = 128  # as many registers as hide what an addition takes
VALUE_BYTES = 4 * N_VALUES

_I8, _I32, _I64 = (ir.IntType(width) for width in (8, 32, 64))

# numba compiles for the machine it runs on, unless its own variables name another processor
HAS_TERNARY_LOGIC = not (config.CPU_NAME or config.CPU_FEATURES) and bool(
    llvmlite.binding.get_host_cpu_features().get("avx512f")
)


# for what only other kernels call: ways in from Python take numba a fifth of a second each
inner = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


class _Vector(types.Type):
    """A type that LLVM keeps in one register, or in a few."""

    def __init__(self, element: Any, length: int) -> None:
        super().__init__(f"vector of {length} x {element}")
        self.in_llvm = ir.VectorType(element, length)


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: _Vector) -> None:
        super().__init__(manager, numba_type, numba_type.in_llvm)


_bits, _counts = _Vector(_I64, N_WORDS), _Vector(_I32, N_COUNTS)
_values, _sums = _Vector(ir.FloatType(), N_VALUES), _Vector(ir.DoubleType(), N_VALUES)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset_bytes: Any, to: _Vector) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.gep(builder.bitcast(data, _I8.as_pointer()), [offset_bytes])
    return builder.bitcast(place, to.in_llvm.as_pointer())


def _zero(vector: _Vector) -> Any:
    @intrinsic
    def zero(_: Any) -> Any:
        """Give a vector of zeros."""
        return vector(), lambda *_: ir.Constant(vector.in_llvm, None)

    return zero


def _load(vector: _Vector) -> Any:
    @intrinsic
    def load(_: Any, array: Any, offset_bytes: Any) -> Any:
        """Load the vector at `offset_bytes` of an array."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            loaded = builder.load(_pointer(context, builder, signature.args[0], arguments[0], arguments[1], vector))
            loaded.align = 1
            return loaded

        return vector(array, types.int64), generate

    return load


def _frame_loader(context: Any, builder: Any, signature: Any, arguments: Any, vector: _Vector, n_bytes: int) -> Any:
    """Give what loads the vector of the frame number ``frames[k]``, both of the first two arguments, from a tile."""
    numbers = context.make_array(signature.args[1])(context, builder, arguments[1]).data

    def load(k: Any, begin: Any) -> Any:
        number = builder.zext(builder.load(builder.gep(numbers, [k])), _I64)
        offset = builder.mul(number if begin is None else builder.sub(number, begin), _I64(n_bytes))
        loaded = builder.load(_pointer(context, builder, signature.args[0], arguments[0], offset, vector))
        loaded.align = LINE
        return loaded

    return load


def _load_frame(vector: _Vector, n_bytes: int) -> Any:
    @intrinsic
    def load_frame(_: Any, tile: Any, frames: Any, k: Any, begin: Any) -> Any:
        """Load the vector of the frame number ``frames[k]`` from a tile that begins, at a cache line, with `begin`."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _frame_loader(context, builder, signature, arguments, vector, n_bytes)(*arguments[2:])

        return vector(tile, frames, types.int64, types.int64), generate

    return load_frame


def _store(vector: _Vector) -> Any:
    @intrinsic
    def store(_: Any, array: Any, offset_bytes: Any, stored: Any) -> Any:
        """Store a vector at `offset_bytes` of an array."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], vector)
            instruction = builder.store(arguments[2], place)
            instruction.align = 1
            return context.get_dummy_value()

        return types.void(array, types.int64, vector), generate

    return store


def _combine(name: str, vector: _Vector) -> Any:
    @intrinsic
    def operation(_: Any, a: Any, b: Any) -> Any:
        return vector(a, b), lambda _context, builder, _signature, arguments: getattr(builder, name)(*arguments)

    return operation


def _full_adder(builder: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Add three bits of equal weight in every lane: a sum of that weight, a carry of twice that."""
    if HAS_TERNARY_LOGIC:  # one instruction of AVX-512 for any function of three bits
        function_type = ir.FunctionType(_bits.in_llvm, [_bits.in_llvm] * 3 + [_I32])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.x86.avx512.pternlog.q.512")
        odd, majority = (builder.call(function, [a, b, c, _I32(truth_table)]) for truth_table in (0x96, 0xE8))
        return odd, majority
    either = builder.xor(a, b)
    return builder.xor(either, c), builder.or_(builder.and_(a, b), builder.and_(either, c))


def _tuple_of_bits(context: Any, builder: Any, vectors: Any) -> Any:
    return context.make_tuple(builder, types.UniTuple(_bits, len(vectors)), vectors)


@intrinsic
def add_bits(_: Any, a: Any, b: Any, c: Any) -> Any:
    """Add three bits of equal weight in every lane: a sum of that weight, a carry of twice that."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _tuple_of_bits(context, builder, _full_adder(builder, *arguments))

    return types.UniTuple(_bits, 2)(_bits, _bits, _bits), generate


def _add_frames(n_sums: int) -> Any:
    """Add ``2**n_sums`` frames; written out here, as numba takes seconds to see through calls that it inlines."""

    @intrinsic
    def add_frames(_: Any, tile: Any, frames: Any, k: Any, sums: Any) -> Any:
        """Add the frames from ``frames[k]`` on to sums of weights 1, 2, 4, ...; give those and what they carry."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            load = _frame_loader(context, builder, signature, arguments, _bits, LINE)
            found = cgutils.unpack_tuple(builder, arguments[3], n_sums)

            def carry_of(level: int, first: int) -> Any:
                if level == 0:
                    return load(builder.add(arguments[2], _I64(first)), None)
                a, b = carry_of(level - 1, first), carry_of(level - 1, first + 2 ** (level - 1))
                found[level - 1], carry = _full_adder(builder, found[level - 1], a, b)
                return carry

            carry = carry_of(n_sums, 0)
            return _tuple_of_bits(context, builder, [*found, carry])

        given, result = types.UniTuple(_bits, n_sums), types.UniTuple(_bits, n_sums + 1)
        return result(tile, frames, types.int64, given), generate

    return add_frames


no_bits, load_bits, store_bits = _zero(_bits), _load(_bits), _store(_bits)
add_16_frames, add_64_frames = _add_frames(4), _add_frames(6)
and_bits, or_bits, xor_bits = (_combine(name, _bits) for name in ("and_", "or_", "xor"))
no_counts, store_counts = _zero(_counts), _store(_counts)
no_values, no_sums, store_sums = _zero(_values), _zero(_sums), _store(_sums)
load_frame_values, add_values = _load_frame(_values, VALUE_BYTES), _combine("fadd", _values)


@intrinsic
def add_plane(_: Any, counts: Any, bits: Any, weight: Any) -> Any:
    """Add `weight`, which no count has yet, to those of 64 counts whose bit is set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        counts, bits, weight = arguments
        is_set = builder.bitcast(bits, ir.VectorType(ir.IntType(1), N_COUNTS))
        undefined, zeros = ir.Constant(_counts.in_llvm, ir.Undefined), ir.Constant(_counts.in_llvm, None)
        first = builder.insert_element(undefined, weight, _I32(0))
        weights = builder.shuffle_vector(first, undefined, zeros)
        return builder.or_(counts, builder.select(is_set, weights, zeros))

    return _counts(counts, types.uint64, types.uint32), generate


@intrinsic
def add_to_sums(_: Any, sums: Any, values: Any) -> Any:
    """Add float32 values to float64 sums."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fadd(arguments[0], builder.fpext(arguments[1], _sums.in_llvm))

    return _sums(sums, values), generate


@inner
def fill(array: Any, value: Any) -> None:
    """Write a number to all places of an array; numba compiles ``array[:] = value`` for a second."""
    for place in range(array.size):
        array[place] = value


@inner
def highest(array: Any) -> Any:
    """Give the largest number of an array that has some; numba compiles ``array.max()`` for half a second."""
    found = array[0]
    for number in array:
        found = max(found, number)
    return found


@inner
def lines(n_bytes: Any) -> Any:
    """Give fresh bytes that begin at a cache line: vectors across a border of lines cost twice."""
    room = np.empty(n_bytes + LINE, np.uint8)
    skip = -room.ctypes.data % LINE
    return room[skip : skip + n_bytes]
