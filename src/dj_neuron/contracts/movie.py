"""The stimulus: a movie of blocks, packed into bits where it has two levels."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dj_neuron.contracts.arguments import LARGEST_NUMBER, numbers, real, refuse, settle, several, whole
from dj_neuron.contracts.notebook import movie_html
from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, DTypeLike, NDArray

_LARGEST_CONTRAST = 1e6  # black and white one step of 16 bits apart make 131,069, and no screen shows more
_CHUNK_VALUES = 1 << 22  # how many blocks of a movie are looked at in one go


class Slices(Protocol):
    """Anything that gives arrays for slices along its first axis: an array, or one in a file larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, time first."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    def __getitem__(self, frames: slice, /) -> Any: ...


@dataclass(frozen=True, eq=False, repr=False)
class Movie:
    """A stimulus movie; movies of two levels are held as one bit a block.

    Build one with :meth:`from_frames`; the constructor takes what is already encoded.

    Parameters
    ----------
    shape : tuple of int
        ``(n_frames, n_y, n_x)`` in blocks.
    data : array or Slices
        For two levels, packed bits ``(n_frames, ceil(n_y * n_x / 8))`` uint8, least significant
        bit first, 1 = the higher level. Otherwise the values ``(n_frames, n_y, n_x)``. What is not an array in
        memory is read in slices, as it is needed.
    levels : tuple of float, optional
        The lower and the higher level of a packed movie; None for a graded one.
    block_size_px : tuple of int
        Width and height of a block in screen pixels.
    screen_size_px : tuple of int
        Width and height of the stimulated part of the screen in pixels; default: the blocks.
    """

    shape: tuple[int, int, int]
    data: NDArray[Any] | Slices
    levels: tuple[float, float] | None = None
    block_size_px: tuple[int, int] = (1, 1)
    screen_size_px: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        # plain numbers: the hash of a movie is of their words
        for name, n in (("shape", 3), ("block_size_px", 2), ("screen_size_px", 2)):
            settle(self, **{name: several(getattr(self, name), n, whole, name, "movie", lowest=0)})
        if self.levels is not None:
            settle(self, levels=several(self.levels, 2, real, "levels", "movie"))
        if not (hasattr(self.data, "shape") and hasattr(self.data, "dtype")):
            refuse(self.data, "data", "movie", "an array", ContractError)
        if min(self.shape) < 1:
            raise ContractError(f"movie has shape {self.shape}, expected (n_frames, n_y, n_x), each at least 1")
        expected = self.shape if self.levels is None else (self.n_frames, -(-self.n_blocks // 8))
        if tuple(self.data.shape) != expected:
            raise ContractError(f"movie data have shape {self.data.shape}, expected {expected}")
        if not 1 <= min(self.block_size_px) <= max(*self.block_size_px, *self.screen_size_px) <= LARGEST_NUMBER:
            raise ContractError(
                f"blocks are {self.block_size_px} and the screen {self.screen_size_px} screen pixels, expected 1 to "
                f"{LARGEST_NUMBER}"
            )
        extent = (self.n_x * self.block_size_px[0], self.n_y * self.block_size_px[1])
        if self.screen_size_px == (0, 0):
            object.__setattr__(self, "screen_size_px", extent)
        if any(abs(e - s) >= b for e, s, b in zip(extent, self.screen_size_px, self.block_size_px, strict=True)):
            raise ContractError(
                f"{self.n_x} x {self.n_y} blocks of {self.block_size_px} screen pixels cover {extent}, "
                f"expected the screen of {self.screen_size_px} (width, height)"
            )
        if isinstance(self.data, np.ndarray):
            self.data.flags.writeable = False

    @classmethod
    def from_frames(
        cls,
        frames: ArrayLike | Slices,
        *,
        block_size_px: tuple[int, int] = (1, 1),
        screen_size_px: tuple[int, int] = (0, 0),
    ) -> Movie:
        """Take frames as an array, packing them into bits where they have two levels.

        Parameters
        ----------
        frames : array or Slices (n_frames, n_y, n_x)
            Finite numbers or booleans. The values are kept as they are (see :meth:`as_contrast`). A graded movie that
            is not an array in memory stays where it is; a two-level one is packed into memory.

        Raises
        ------
        ContractError
            If the array is not three-dimensional, is empty, or holds values that are not finite numbers, or masked.
        """
        is_in_memory = isinstance(frames, np.ndarray) or not (hasattr(frames, "shape") and hasattr(frames, "dtype"))
        values: Any = numbers(frames, "frames", booleans=True) if is_in_memory else frames
        if len(values.shape) != 3 or 0 in values.shape:
            raise ContractError(f"frames have shape {values.shape}, expected (n_frames, n_y, n_x), none of them 0")
        if values.dtype.kind not in "biuf":
            raise ContractError(f"frames are {values.dtype!s:.60}, expected real numbers or booleans")
        low, high = _extremes(values)
        data: Any = _packed_bits(values, low, high)
        levels = None if data is None else (float(low) + 0.0, float(high) + 0.0)  # 0, not -0
        if data is None:
            data = values.astype(values.dtype.newbyteorder("=")) if is_in_memory else values
        return cls(
            shape=(int(values.shape[0]), int(values.shape[1]), int(values.shape[2])),
            data=data,
            levels=levels,
            block_size_px=block_size_px,
            screen_size_px=screen_size_px,
        )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.shape[0]

    @property
    def n_y(self) -> int:
        """Rows of blocks, counted from the top of the screen."""
        return self.shape[1]

    @property
    def n_x(self) -> int:
        """Columns of blocks, counted from the left of the screen."""
        return self.shape[2]

    @property
    def n_blocks(self) -> int:
        """Blocks in a frame."""
        return self.n_y * self.n_x

    def part(self, begin: int, end: int) -> Movie:
        """Give frames `begin` to `end` as a movie, in memory."""
        begin, end = (whole(place, "a place", "frames", lowest=0) for place in (begin, end))
        if (begin, end) == (0, self.n_frames) and isinstance(self.data, np.ndarray):
            return self
        return replace(self, shape=(end - begin, self.n_y, self.n_x), data=np.asarray(self.data[begin:end]))

    @cached_property
    def movie_hash(self) -> str:
        """sha256 of content and geometry, in hexadecimal: equal movies have equal hashes."""
        head = f"{self.shape} {self.levels} {self.data.dtype.str} {self.block_size_px} {self.screen_size_px}"
        digest = hashlib.sha256(head.encode())
        for chunk in _chunks(self.data):
            digest.update(np.ascontiguousarray(chunk).data)
        return digest.hexdigest()

    def frames(self, start: int = 0, stop: int | None = None, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Values of frames ``start`` to ``stop`` as ``(n, n_y, n_x)`` of `dtype`."""
        start = whole(start, "start", "frames", lowest=-LARGEST_NUMBER)
        stop = self.n_frames if stop is None else whole(stop, "stop", "frames", lowest=-LARGEST_NUMBER)
        data = np.asarray(self.data[start:stop])
        if self.levels is None:
            return data.astype(dtype)
        bits = np.unpackbits(data, axis=1, count=self.n_blocks, bitorder="little")
        low, high = levels = np.asarray(self.levels, dtype)
        step = high - low
        # multiplied, which is quicker than looked up, where that gives the same
        values = bits * step + low if low + step == high else levels[bits]
        return values.reshape(len(data), self.n_y, self.n_x)

    def extremes(self) -> tuple[float, float]:
        """Find the lowest and the highest value that occur."""
        if self.levels is None:
            low, high = _extremes(self.data)
            return float(low), float(high)
        n_high = sum(int(np.bitwise_count(chunk).sum(dtype=np.int64)) for chunk in _chunks(self.data))
        return self.levels[n_high == self.n_frames * self.n_blocks], self.levels[n_high > 0]

    def as_contrast(self, black: float | None = None, white: float | None = None) -> Movie:
        """Rescale the values so that black is -1 and white is +1.

        Parameters
        ----------
        black, white : float, optional
            The values shown as black and white, both or neither; default: the two levels of a two-level movie.
            A graded movie whose values already lie in [-1, 1] needs neither.

        Raises
        ------
        ContractError
            If the movie has a single level, or is graded, outside [-1, 1] and black and white are not given; if only
            one of them is; or if its contrast would be beyond all that is shown, or nothing.
        """
        lowest, highest = self.levels or self.extremes()
        if black is None and white is None:
            black, white = self._usual_black_and_white(lowest, highest)
        if black is None or white is None:
            given, missing = ("white", "black") if black is None else ("black", "white")
            raise ContractError(f"{given} is given without {missing}, expected both or neither")
        black, white = real(black, "black"), real(white, "white")
        if black == white or not (math.isfinite(black) and math.isfinite(white)):
            raise ContractError(f"black is {black:g} and white {white:g}, expected two different values")
        ends = (_contrast(lowest, black, white), _contrast(highest, black, white))
        if not all(abs(end) <= _LARGEST_CONTRAST for end in ends):  # nor does NaN pass
            raise ContractError(
                f"black is {black:g} and white {white:g}, which makes contrast from {ends[0]:g} to {ends[1]:g} of "
                f"values from {lowest:g} to {highest:g}, expected at most {_LARGEST_CONTRAST:g}"
            )
        if lowest < highest and np.float32(ends[0]) == np.float32(ends[1]):
            raise ContractError(
                f"black is {black:g} and white {white:g}, between which values from {lowest:g} to {highest:g} are one "
                "and the same, expected values that differ"
            )
        if (black, white) == (-1, 1):
            return self
        if self.levels is None:
            rescaled = _Rescaled(self.data, black, white)
            return replace(self, data=rescaled[:] if isinstance(self.data, np.ndarray) else rescaled)
        return replace(self, levels=ends) if ends[0] < ends[1] else self._inverted((ends[1], ends[0]))

    def _usual_black_and_white(self, lowest: float, highest: float) -> tuple[float, float]:
        """Give what needs no telling: both levels of a movie of two, or -1 and 1 of one in contrast."""
        if self.levels is not None:
            if lowest == highest:
                raise ContractError(f"every block of the movie is {lowest:g}, expected at least two levels")
            if (lowest, highest) == (-1, 0):
                raise ContractError(
                    "the levels of the movie are -1 and 0, as 0 and 255 become in signed bytes, expected the values of "
                    "black and white"
                )
            return lowest, highest
        if lowest < -1 or highest > 1:
            raise ContractError(
                f"a graded movie has values from {_exactly(lowest)} to {_exactly(highest)}, expected contrast "
                "from -1 to 1, or the values of black and white"
            )
        return -1.0, 1.0

    def _inverted(self, levels: tuple[float, float]) -> Movie:
        bits = np.unpackbits(np.asarray(self.data[:]), axis=1, count=self.n_blocks, bitorder="little")
        return replace(self, data=np.packbits(1 - bits, axis=1, bitorder="little"), levels=levels)

    def _repr_html_(self) -> str:
        return movie_html(self)

    def __repr__(self) -> str:
        kind = "graded" if self.levels is None else "levels {:g}, {:g}".format(*self.levels)
        return f"Movie({self.n_frames} frames of {self.n_y} x {self.n_x} blocks, {kind})"


def _exactly(value: float) -> str:
    """Write a value in short if that is the value, else with all its digits: 1.000000004 is not 1."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _contrast(value: Any, black: float, white: float) -> Any:
    return (value - black) / (white - black) * 2 - 1


class _Rescaled:
    """Values in contrast, worked out slice by slice."""

    def __init__(self, values: NDArray[Any] | Slices, black: float, white: float) -> None:
        self._values, self._black, self._white = values, black, white
        self.shape, self.dtype = tuple(values.shape), np.dtype(np.float32)

    def __getitem__(self, frames: slice) -> NDArray[np.float32]:
        values = np.asarray(self._values[frames])
        rescaled = np.empty(values.shape, np.float32)
        n_done = 0
        for chunk in _chunks(values):  # float64 takes twice the room, and tells more values apart
            rescaled[n_done : n_done + len(chunk)] = _contrast(chunk.astype(np.float64), self._black, self._white)
            n_done += len(chunk)
        return rescaled


def _chunks(values: NDArray[Any] | Slices) -> Iterator[NDArray[Any]]:
    step = max(1, _CHUNK_VALUES // math.prod(values.shape[1:]))
    for start in range(0, values.shape[0], step):
        yield np.asarray(values[start : start + step])


def _extremes(frames: NDArray[Any] | Slices) -> tuple[Any, Any]:
    """Find the lowest and the highest value; raise ContractError if one is not finite."""
    found, n_before = [], 0
    for chunk in _chunks(frames):
        low, high = chunk.min(), chunk.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = np.argwhere(~np.isfinite(chunk))[0]
            raise ContractError(
                f"frame {n_before + bad[0]} is not finite at row {bad[1]}, column {bad[2]}, expected numbers"
            )
        found.append((low, high))
        n_before += len(chunk)
    lows, highs = zip(*found, strict=True)
    return min(lows), max(highs)


def _packed_bits(frames: NDArray[Any] | Slices, low: Any, high: Any) -> NDArray[np.uint8] | None:
    packed = []
    for chunk in _chunks(frames):
        is_high = chunk == high
        if not (is_high | (chunk == low)).all():
            return None
        packed.append(np.packbits(is_high.reshape(len(chunk), -1), axis=1, bitorder="little"))
    return np.concatenate(packed)
