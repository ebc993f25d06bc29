"""One asymmetric recording proves the signs of x, y and time, from the file to the pixels of the picture."""

import pickle

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dj_neuron.figures import draw_space_time, draw_strf_frame

FPS, ONSET, N_FRAMES = 29.9908, 1.2634, 2000
LAG = 3


def write_file(path, shape, block):
    """Write a ret-1 file whose only neuron fires in the middle of every third frame after its block was white."""
    n_x, n_y = shape
    movie = np.random.default_rng(8).choice([-1.0, 1.0], (n_x, n_y, N_FRAMES))  # as the file has it: x, y, frames
    x, y = (n_x - 2 if n_x > 1 else 0), (1 if n_y > 1 else 0)
    white = np.flatnonzero(movie[x, y] > 0)
    spikes = ONSET + (white[white + LAG < N_FRAMES] + LAG + 0.5) / FPS
    stimulation = {
        "fps": FPS, "movie": movie, "n_frames": N_FRAMES, "pixel_size": 2.0, "stim_height": n_y * block[1],
        "stim_width": n_x * block[0], "stimulus_onset": ONSET, "x_block_size": block[0], "y_block_size": block[1],
        "spikes": [spikes[:, None]],
    }  # fmt: skip
    session = {
        "subject_name": "asymmetric", "sample_number": 1, "session_date": "2024-01-31", "stimulations": [stimulation],
    }  # fmt: skip
    path.write_bytes(pickle.dumps([session]))
    return x, y


def drawn(draw, strf, *arguments):
    """Draw on axes of 4 x 4 inches; return them and the picture, (400, 400, 3), rows from the top."""
    figure = Figure(figsize=(4, 4), dpi=100)
    ax = draw(strf, *arguments, figure.add_axes((0, 0, 1, 1)))
    ax.set_aspect("auto")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return ax, np.asarray(canvas.buffer_rgba())[:, :, :3].astype(float)


def reddest(ax, picture):
    """The place of the reddest pixel in the coordinates of the axes."""
    red = picture[:, :, 0] - picture[:, :, 1:].mean(axis=2)
    rows, columns = np.nonzero(red > 0.9 * red.max())
    return ax.transData.inverted().transform((columns.mean() + 0.5, 400 - rows.mean() - 0.5))


@pytest.mark.parametrize(("shape", "block"), [((7, 5), (10, 20)), ((9, 1), (10, 400)), ((1, 9), (400, 10))])
def test_a_block_is_found_and_drawn_where_it_was_shown(embedded, tmp_path, shape, block):
    x, y = write_file(tmp_path / "asymmetric.pkl", shape, block)
    embedded.ingest(tmp_path / "asymmetric.pkl")
    delays_s = [lag / FPS for lag in range(-2, 6)]
    assert embedded.compute(delays_s).errors == ()
    (strf,) = embedded.strfs()
    assert strf.values.shape == (8, shape[1], shape[0])
    delay_idx, row, column = np.unravel_index(strf.values.argmax(), strf.values.shape)
    assert (row, column) == (y, x)
    assert strf.delays_s[delay_idx] == pytest.approx(LAG / FPS)
    # the block was white before every single spike
    assert strf.values[delay_idx, y, x] + strf.pixel_mean[y, x] == pytest.approx(1, abs=1e-6)
    assert np.abs(np.delete(strf.values[:, y, x], delay_idx)).max() < 0.15

    centre_um = ((x + 0.5) * block[0] * 2, (y + 0.5) * block[1] * 2)
    if 1 in shape:
        ax, picture = drawn(draw_space_time, strf)
        time_ms, space_um = reddest(ax, picture)
        assert time_ms == pytest.approx(1000 * LAG / FPS, abs=10)
        assert space_um == pytest.approx(centre_um[0 if shape[1] == 1 else 1], abs=10)
        # time runs towards the spike
        assert ax.get_xlim()[0] > ax.get_xlim()[1]
    else:
        ax, picture = drawn(draw_strf_frame, strf, delay_idx)
        assert reddest(ax, picture) == pytest.approx(centre_um, abs=10)
        # right way up: y grows downwards
        assert ax.get_ylim()[0] > ax.get_ylim()[1]
        assert ax.get_xlim()[0] < ax.get_xlim()[1]
