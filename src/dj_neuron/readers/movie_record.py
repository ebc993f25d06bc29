"""A movie from its frames and what a TOML file says about them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts import Movie

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dj_neuron.contracts.movie import Slices


def movie_of(frames: NDArray[Any] | Slices, record: Mapping[str, Any]) -> Movie:
    """Make the movie in contrast.

    Parameters
    ----------
    frames : array or Slices (n_frames, n_y, n_x)
    record : dict
        ``block_width_px`` and ``block_height_px``; ``screen_width_px`` and ``screen_height_px``, by default what the
        blocks cover; ``black`` and ``white``, which a movie of two levels or of contrast does without.

    Raises
    ------
    ContractError
        If frames are not numbers, the screen is of another size, or contrast is not known.
    """
    movie = Movie.from_frames(
        frames,
        block_size_px=(record["block_width_px"], record["block_height_px"]),
        screen_size_px=(record.get("screen_width_px", 0), record.get("screen_height_px", 0)),
    )
    if "black" not in record:
        return movie.as_contrast()
    black, white = float(record["black"]), float(record["white"])
    only_level = movie.levels[0] if movie.levels and movie.levels[0] == movie.levels[1] else None
    if frames.dtype.kind in "biu" and only_level in {black, white}:
        data = movie.data if only_level == white else np.zeros_like(movie.data[:])
        return replace(movie, data=data, levels=(-1.0, 1.0))
    return movie.as_contrast(black, white)
