"""Movies that stay in a file or a store: the same numbers come out, and memory does not grow with their length."""

import subprocess
import sys

import numpy as np
import pytest

from dj_neuron import Movie
from dj_neuron.errors import ContractError, ReadError, StoreError
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline import movie_codec
from dj_neuron.readers import read_sessions, recording_folder
from dj_neuron.readers.array_file import ArrayFile
from dj_neuron.readers.folder_writer import write_recording_folder
from dj_neuron.strf import FrameClock, frame_sums, spike_triggered_average


@pytest.fixture
def frames():
    return np.random.default_rng(0).uniform(-1, 1, (500, 6, 7)).astype(np.float32)


@pytest.fixture
def on_disk(frames, tmp_path):
    np.save(tmp_path / "movie.npy", frames)
    return ArrayFile(tmp_path / "movie.npy")


def test_slices_of_a_file_are_those_of_the_array(frames, on_disk):
    assert (on_disk.shape, on_disk.dtype) == (frames.shape, frames.dtype)
    for part in (slice(None), slice(3, 9), slice(490, 600), slice(7, 7), slice(9, 3), slice(-4, None)):
        np.testing.assert_array_equal(on_disk[part], frames[part])
    with pytest.raises(ValueError, match="without a step"):
        on_disk[::2]


def test_files_that_cannot_be_read_in_slices_are_refused(tmp_path, frames):
    path = tmp_path / "movie.npy"
    np.save(path, np.asfortranarray(frames))
    with pytest.raises(ValueError, match="C order"):
        ArrayFile(path)
    np.save(path, frames)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"claims an array .* and holds 83999"):
        ArrayFile(path)


def test_a_file_that_becomes_shorter_is_named(on_disk, tmp_path):
    path = tmp_path / "movie.npy"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ReadError, match="expected frames 400 to 500 to be there"):
        on_disk[400:500]


def test_a_movie_in_a_file_is_the_movie_in_memory(frames, on_disk, monkeypatch):
    monkeypatch.setattr("dj_neuron.contracts.movie._CHUNK_VALUES", 1000)
    lazy, whole = Movie.from_frames(on_disk), Movie.from_frames(frames)
    assert lazy.data is on_disk
    assert lazy.movie_hash == whole.movie_hash
    assert lazy.extremes() == whole.extremes() == (frames.min(), frames.max())
    np.testing.assert_array_equal(lazy.part(10, 20).frames(), frames[10:20])
    rescaled = lazy.as_contrast(black=-2, white=2)
    assert not isinstance(rescaled.data, np.ndarray)
    np.testing.assert_array_equal(rescaled.frames(5, 9), whole.as_contrast(black=-2, white=2).frames(5, 9))
    assert rescaled.movie_hash == whole.as_contrast(black=-2, white=2).movie_hash


def test_two_levels_in_a_file_are_packed(tmp_path, monkeypatch):
    monkeypatch.setattr("dj_neuron.contracts.movie._CHUNK_VALUES", 1000)
    frames = np.random.default_rng(1).integers(0, 2, (300, 5, 5), np.uint8)
    np.save(tmp_path / "movie.npy", frames)
    movie = Movie.from_frames(ArrayFile(tmp_path / "movie.npy"))
    assert movie.movie_hash == Movie.from_frames(frames).movie_hash
    assert movie.extremes() == (0, 1)


def test_the_place_of_a_bad_value_is_told_beyond_the_first_chunk(tmp_path, frames, monkeypatch):
    monkeypatch.setattr("dj_neuron.contracts.movie._CHUNK_VALUES", 1000)
    frames[321, 4, 5] = np.inf
    with pytest.raises(ContractError, match="frame 321 is not finite at row 4, column 5"):
        Movie.from_frames(frames)


@pytest.fixture
def nothing_fits(monkeypatch):
    """Whatever may stay in a file or a store does, and only some frames are looked at together."""
    monkeypatch.setattr(recording_folder, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(movie_codec, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(movie_codec, "_CHUNK_BYTES", 6000)
    monkeypatch.setattr(frame_sums, "PART_BYTES", 20_000)


def test_a_movie_too_large_for_memory_goes_all_the_way(embedded, make_session, frames, tmp_path, nothing_fits):
    session = make_session({"movie": Movie.from_frames(frames)})
    write_recording_folder(session, tmp_path / "folder")
    (read,) = read_sessions(tmp_path / "folder")
    assert isinstance(read.stimulations[0].movie.data, ArrayFile)
    embedded.ingest(tmp_path / "folder")
    embedded.compute(delays_s=[0.0, 0.1])
    stored = embedded.experiment.Movie().fetch1("frames").load()
    assert isinstance(stored.data, movie_codec.StoredFrames)
    assert stored.movie_hash == session.stimulations[0].movie.movie_hash
    stimulation = session.stimulations[0]
    clock = FrameClock.of(stimulation)
    whole = spike_triggered_average(stimulation.movie, clock, stimulation.spike_trains, [0.0, 0.1])
    strfs = list(embedded.strfs())
    assert len(strfs) == 3
    for values, strf in zip(whole.values, strfs, strict=True):
        np.testing.assert_allclose(strf.values, values, atol=1e-6)


def test_damage_is_found_in_the_slice_where_it_is(embedded, make_session, frames, data_dir, nothing_fits):
    ingest_session(make_session({"movie": Movie.from_frames(frames)}))
    stored = embedded.experiment.Movie().fetch1("frames")
    path = next(data_dir.rglob(stored.metadata["path"].rsplit("/", 1)[1]))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    movie = stored.load()
    np.testing.assert_array_equal(movie.frames(0, 5), frames[:5])
    with pytest.raises(StoreError, match="is damaged"):
        movie.frames(499, 500)


MEASURED = """
import resource, sys
import numpy as np
from dj_neuron import Movie
from dj_neuron.strf import FrameClock, frame_sums, spike_triggered_average

class Endless:
    dtype = np.dtype(np.float32)
    def __init__(self, n_frames):
        self.shape = (n_frames, 40, 50)
    def __getitem__(self, frames):
        begin, end, _ = frames.indices(self.shape[0])
        return np.random.default_rng(begin).random((end - begin, 40, 50), np.float32)

frame_sums.PART_BYTES = 1 << 25
n_frames = int(sys.argv[1])
movie = Movie((n_frames, 40, 50), Endless(n_frames))
clock = FrameClock.regular(60, n_frames, 0)
train = np.sort(np.random.default_rng(1).uniform(0, n_frames / 60, n_frames // 10))
spike_triggered_average(movie, clock, [train], np.arange(5) / 60)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_length_of_the_movie():
    short, long = (
        int(subprocess.run([sys.executable, "-c", MEASURED, str(n)], capture_output=True, check=True, text=True).stdout)
        for n in (12_000, 48_000)
    )
    of_movie = 36_000 * 2000 * 4 / 1024  # KiB, that the longer movie has more
    assert long - short < 0.15 * of_movie
