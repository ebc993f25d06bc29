"""From rows to arrays and back: what ``make`` fetches in a form that is quick to hash, and what columns can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dj_neuron.contracts import SpikeTrain, Stimulation
from dj_neuron.pipeline import experiment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dj_neuron.contracts import Movie
    from dj_neuron.pipeline.movie_codec import StoredMovie

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]


def as_text(values: NDArray[Any] | None) -> str:
    """Give floats as text: DataJoint hashes what is fetched, an array element by element."""
    return "" if values is None else np.asarray(values, np.float64).tobytes().hex()


def from_text(text: str) -> Floats:
    """Give the floats of :func:`as_text`, flat."""
    return np.frombuffer(bytes.fromhex(text), np.float64)


def or_null(value: Any) -> Any:
    """Give what a column of a single number holds: null for what is not finite, as MySQL has no NaN."""
    return value if value is None or np.isfinite(value) else None


def columns_of(result: Any, names: Iterable[str]) -> dict[str, Any]:
    """Give attributes of a result as columns of the same names."""
    return {name: or_null(getattr(result, name)) for name in names}


def packed(mask: Mask) -> NDArray[np.uint8]:
    """Give a mask as one bit a value, row by row."""
    return np.packbits(mask)


def unpacked(bits: NDArray[np.uint8], shape: tuple[int, ...]) -> Mask:
    """Give the mask of :func:`packed`."""
    return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool)


class StoredStimulation(NamedTuple):
    """A stimulation as its rows hold it: the movie a lazy reference, arrays as text."""

    stimulation_number: int
    movie: StoredMovie
    frame_rate_hz: float
    onset_s: float
    pixel_size_um: float
    frame_edges: str
    gaps: str
    neuron_ids: tuple[int, ...]
    spike_times: tuple[str, ...]

    @classmethod
    def fetch(cls, key: dict[str, Any]) -> StoredStimulation:
        """Fetch the stimulation of a key."""
        row = (experiment.Stimulation() & key).fetch1()
        trains = (experiment.SpikeTrain() & key).to_dicts(order_by="neuron_id")
        return cls(
            stimulation_number=row["stimulation_number"],
            movie=(experiment.Movie() & {"movie_hash": row["movie_hash"]}).fetch1("frames"),
            frame_rate_hz=row["frame_rate_hz"],
            onset_s=row["onset_s"],
            pixel_size_um=row["pixel_size_um"],
            frame_edges=as_text(row["frame_edges_s"]),
            gaps=as_text(row["gaps_s"]),
            neuron_ids=tuple(train["neuron_id"] for train in trains),
            spike_times=tuple(as_text(train["spike_times_s"]) for train in trains),
        )

    def load(self) -> Stimulation:
        """Read the movie."""
        return self.with_movie(self.movie.load())

    def with_movie(self, movie: Movie) -> Stimulation:
        """Give the stimulation with its movie already read."""
        trains = zip(self.neuron_ids, self.spike_times, strict=True)
        return Stimulation(
            stimulation_number=self.stimulation_number,
            movie=movie,
            frame_rate_hz=self.frame_rate_hz,
            onset_s=self.onset_s,
            pixel_size_um=self.pixel_size_um,
            spike_trains=tuple(SpikeTrain(neuron_id, from_text(text)) for neuron_id, text in trains),
            frame_edges_s=from_text(self.frame_edges) if self.frame_edges else None,
            gaps_s=from_text(self.gaps).reshape(-1, 2) if self.gaps else None,
        )
