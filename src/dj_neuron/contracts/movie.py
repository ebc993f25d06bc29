"""The stimulus: a movie of blocks, packed into bits where it has two levels."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

_CHUNK_VALUES = 1 << 22  # how many blocks of a movie are looked at in one go


@dataclass(frozen=True, eq=False, repr=False)
class Movie:
    """A stimulus movie; movies of two levels are held as one bit a block.

    Build one with :meth:`from_frames`; the constructor takes what is already encoded.

    Parameters
    ----------
    shape : tuple of int
        ``(n_frames, n_y, n_x)`` in blocks.
    data : array
        For two levels, packed bits ``(n_frames, ceil(n_y * n_x / 8))`` uint8, least significant
        bit first, 1 = the higher level. Otherwise the values ``(n_frames, n_y, n_x)``.
    levels : tuple of float, optional
        The lower and the higher level of a packed movie; None for a graded one.
    block_size_px : tuple of int
        Width and height of a block in screen pixels.
    screen_size_px : tuple of int
        Width and height of the stimulated part of the screen in pixels; default: the blocks.
    """

    shape: tuple[int, int, int]
    data: NDArray[Any]
    levels: tuple[float, float] | None = None
    block_size_px: tuple[int, int] = (1, 1)
    screen_size_px: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ContractError(f"movie has shape {self.shape}, expected (n_frames, n_y, n_x), each at least 1")
        expected = self.shape if self.levels is None else (self.n_frames, -(-self.n_blocks // 8))
        if self.data.shape != expected:
            raise ContractError(f"movie data have shape {self.data.shape}, expected {expected}")
        if min(self.block_size_px) < 1:
            raise ContractError(f"block size is {self.block_size_px} screen pixels, expected at least 1")
        extent = (self.n_x * self.block_size_px[0], self.n_y * self.block_size_px[1])
        if self.screen_size_px == (0, 0):
            object.__setattr__(self, "screen_size_px", extent)
        if any(abs(e - s) >= b for e, s, b in zip(extent, self.screen_size_px, self.block_size_px, strict=True)):
            raise ContractError(
                f"{self.n_x} x {self.n_y} blocks of {self.block_size_px} screen pixels cover {extent}, "
                f"but the screen is {self.screen_size_px} (width, height)"
            )
        self.data.flags.writeable = False

    @classmethod
    def from_frames(
        cls,
        frames: ArrayLike,
        *,
        block_size_px: tuple[int, int] = (1, 1),
        screen_size_px: tuple[int, int] = (0, 0),
    ) -> Movie:
        """Take frames as an array, packing them into bits where they have two levels.

        Parameters
        ----------
        frames : array (n_frames, n_y, n_x)
            Finite numbers or booleans. The values are kept as they are (see :meth:`as_contrast`).

        Raises
        ------
        ContractError
            If the array is not three-dimensional, is empty, or holds values that are not finite numbers.
        """
        frames = np.asarray(frames)
        if frames.ndim != 3 or frames.size == 0:
            raise ContractError(f"frames have shape {frames.shape}, expected (n_frames, n_y, n_x), none of them 0")
        if frames.dtype.kind not in "biuf":
            raise ContractError(f"frames are {frames.dtype}, expected real numbers or booleans")
        low, high = frames.min(), frames.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = np.argwhere(~np.isfinite(frames))[0]
            raise ContractError(f"frame {bad[0]} is not finite at row {bad[1]}, column {bad[2]}")
        packed = _packed_bits(frames, low, high)
        return cls(
            shape=(int(frames.shape[0]), int(frames.shape[1]), int(frames.shape[2])),
            data=frames.astype(frames.dtype.newbyteorder("=")) if packed is None else packed,
            levels=None if packed is None else (float(low), float(high)),
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
        if (begin, end) == (0, self.n_frames) and isinstance(self.data, np.ndarray):
            return self
        return replace(self, shape=(end - begin, self.n_y, self.n_x), data=np.asarray(self.data[begin:end]))

    @cached_property
    def movie_hash(self) -> str:
        """sha256 of content and geometry, in hexadecimal: equal movies have equal hashes."""
        head = f"{self.shape} {self.levels} {self.data.dtype.str} {self.block_size_px} {self.screen_size_px}"
        digest = hashlib.sha256(head.encode())
        digest.update(np.ascontiguousarray(self.data).data)
        return digest.hexdigest()

    def frames(self, start: int = 0, stop: int | None = None, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Values of frames ``start`` to ``stop`` as ``(n, n_y, n_x)`` of `dtype`."""
        data = self.data[start:stop]
        if self.levels is None:
            return data.astype(dtype)
        bits = np.unpackbits(data, axis=1, count=self.n_blocks, bitorder="little")
        return np.asarray(self.levels, dtype)[bits].reshape(len(data), self.n_y, self.n_x)

    def as_contrast(self, black: float | None = None, white: float | None = None) -> Movie:
        """Rescale the values so that black is -1 and white is +1.

        Parameters
        ----------
        black, white : float, optional
            The values shown as black and white; default: the two levels of a two-level movie.
            A graded movie whose values already lie in [-1, 1] needs neither.

        Raises
        ------
        ContractError
            If the movie has a single level, or is graded, outside [-1, 1] and black or white is not given.
        """
        if self.levels is not None:
            if black is None or white is None:
                black, white = self.levels
                if black == white:
                    raise ContractError(f"every block of the movie is {black:g}, expected at least two levels")
            _check_black_and_white(black, white)
            low, high = (2 * (level - black) / (white - black) - 1 for level in self.levels)
            return replace(self, levels=(low, high)) if low < high else self._inverted((high, low))
        if black is None or white is None:
            low, high = float(self.data.min()), float(self.data.max())
            if low >= -1 and high <= 1:
                return self
            raise ContractError(
                f"a graded movie has values from {low:g} to {high:g}, expected contrast from -1 to 1, "
                "or the values of black and white"
            )
        _check_black_and_white(black, white)
        return replace(self, data=(2 * (self.data.astype(np.float32) - black) / (white - black) - 1).astype(np.float32))

    def _inverted(self, levels: tuple[float, float]) -> Movie:
        bits = np.unpackbits(self.data, axis=1, count=self.n_blocks, bitorder="little")
        return replace(self, data=np.packbits(1 - bits, axis=1, bitorder="little"), levels=levels)

    def __repr__(self) -> str:
        kind = "graded" if self.levels is None else "levels {:g}, {:g}".format(*self.levels)
        return f"Movie({self.n_frames} frames of {self.n_y} x {self.n_x} blocks, {kind})"


def _check_black_and_white(black: float, white: float) -> None:
    if black == white or not (math.isfinite(black) and math.isfinite(white)):
        raise ContractError(f"black is {black:g} and white {white:g}, expected two different values")


def _packed_bits(frames: NDArray[Any], low: Any, high: Any) -> NDArray[np.uint8] | None:
    n_frames = frames.shape[0]
    n_blocks = frames[0].size
    packed = np.empty((n_frames, -(-n_blocks // 8)), np.uint8)
    step = max(1, _CHUNK_VALUES // n_blocks)
    for start in range(0, n_frames, step):
        chunk = frames[start : start + step]
        is_high = chunk == high
        if not (is_high | (chunk == low)).all():
            return None
        packed[start : start + step] = np.packbits(is_high.reshape(len(chunk), -1), axis=1, bitorder="little")
    return packed
