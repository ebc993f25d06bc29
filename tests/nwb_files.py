"""NWB files as other programs write them, through PyNWB."""

import datetime

import h5py
import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from hdmf.common import DynamicTable
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.base import ImageReferences, Images
from pynwb.file import Subject
from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries, OpticalSeries

from dj_neuron.strf import FrameClock

NOISE = np.random.default_rng(1).integers(0, 2, (90, 12, 16), np.uint8)
START = datetime.datetime(2024, 5, 2, 23, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=-7)))


def write(path, *stimuli, templates=(), units=(), columns=(), subject="default", **changes):
    """Write a file of these stimuli; units are dictionaries of what `add_unit` takes."""
    if subject == "default":
        subject = Subject(subject_id="m7", species="Mus musculus", description="left eye", genotype="wt/wt")
    told = {"session_description": "white noise", "identifier": path.name, "session_start_time": START}
    file = NWBFile(**(told | {"subject": subject} | changes))
    for template in templates:
        file.add_stimulus_template(template)
    for stimulus in stimuli:
        file.add_stimulus(stimulus)
    for name in columns:
        file.add_unit_column(name, "as the sorter says")
    for unit in units:
        file.add_unit(**unit)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def optical(name="noise", frames=None, field_of_view=(160e-6, 120e-6), **timing):
    """A movie of blocks of 10 um, at 59.9815 Hz unless told otherwise."""
    frames = 255 * NOISE if frames is None else frames
    timing = timing or {"rate": 59.9815, "starting_time": 1.25}
    return OpticalSeries(
        name=name, data=frames, unit="n.a.", distance=0.1, orientation="up", field_of_view=list(field_of_view), **timing
    )


def image(name="noise", frames=NOISE, **timing):
    """A movie that says nothing about its size."""
    timing = timing or {"rate": 59.9815, "starting_time": 1.25}
    return ImageSeries(name=name, data=frames, unit="n.a.", **timing)


def images(frames, name="templates"):
    """Single images with an order, which is not that of their names."""
    made = [GrayscaleImage(name=f"image_{(7 * place) % 97:02d}", data=frame) for place, frame in enumerate(frames)]
    return Images(name=name, images=made, order_of_images=ImageReferences(name="order_of_images", data=made))


def indexed(templates, shown, name="natural_scenes", **timing):
    """Templates shown by index."""
    return IndexSeries(name=name, data=np.array(shown, np.uint32), unit="N/A", indexed_images=templates, **timing)


def index_an_image_series(path, name, series):
    """Make an index series point to an image series, as files before NWB 2.5 do and PyNWB no longer writes."""
    with h5py.File(path, "a") as file:
        group = file[f"stimulus/presentation/{name}"]
        del group["indexed_images"]
        group["indexed_timeseries"] = h5py.SoftLink(f"/stimulus/templates/{series}")


def compressed(frames, chunks):
    """Frames in chunks, deflated."""
    return H5DataIO(frames, compression="gzip", chunks=chunks)


def plain(name, data, **timing):
    """A time series of the base type."""
    return TimeSeries(name=name, data=data, unit="n.a.", **timing)


def exported(path, session, offsets_s=(0.0, 50.0)):
    """Write a session as dj-neuron exports it: recordings one after another, and two tables of its own."""
    table = DynamicTable(name="dj_neuron_stimulations", description="stimulations")
    columns = "stimulation_number series_name onset_s frame_rate_hz pixel_size_um block_size_x_px block_size_y_px"
    for column in [*columns.split(), "screen_width_px", "screen_height_px", "movie_hash", "clock_offset_s"]:
        table.add_column(column, "see its name")
    table.add_column("frame_starts_s", "seconds", index=True)
    table.add_column("frame_ends_s", "seconds", index=True)
    series, rows = [], {}
    for stimulation, offset_s in zip(session.stimulations, offsets_s, strict=True):
        movie, clock = stimulation.movie, FrameClock.of(stimulation)
        name = f"stimulation_{stimulation.stimulation_number}"
        timing = (
            {"rate": stimulation.frame_rate_hz, "starting_time": stimulation.onset_s + offset_s}
            if clock.is_regular
            else {"timestamps": clock.starts_s + offset_s}
        )
        dtype = np.int8 if movie.levels == (-1, 1) else movie.data.dtype if movie.levels is None else np.float64
        size_m = [n * block * 1e-6 for n, block in zip((movie.n_x, movie.n_y), stimulation.block_size_um, strict=True)]
        series.append(optical(name, movie.frames(dtype=dtype), size_m, **timing))
        table.add_row(
            stimulation_number=stimulation.stimulation_number,
            series_name=name,
            onset_s=stimulation.onset_s,
            frame_rate_hz=stimulation.frame_rate_hz if clock.is_regular else np.nan,
            pixel_size_um=stimulation.pixel_size_um,
            block_size_x_px=movie.block_size_px[0],
            block_size_y_px=movie.block_size_px[1],
            screen_width_px=movie.screen_size_px[0],
            screen_height_px=movie.screen_size_px[1],
            movie_hash=movie.movie_hash,
            clock_offset_s=offset_s,
            frame_starts_s=[] if clock.is_regular else clock.starts_s,
            frame_ends_s=[] if clock.is_regular else clock.ends_s,
        )
        times_s = np.concatenate([train.times_s for train in stimulation.spike_trains])
        span_s = [min(times_s.min(), stimulation.onset_s) + offset_s, max(times_s.max(), stimulation.end_s) + offset_s]
        for train in stimulation.spike_trains:
            unit = rows.setdefault(train.neuron_id, {"label": train.label, "times": [], "own": [], "intervals": []})
            unit["times"].extend(train.times_s + offset_s)
            unit["own"].extend(train.times_s)
            unit["intervals"].append(span_s)
    told = DynamicTable(name="dj_neuron_session", description="the session")
    row = {
        "subject_name": session.subject_name,
        "session_date": session.session_date.isoformat(),
        "sample_number": session.sample_number,
        "source_file": session.source.file_name,
        "source_sha256": session.source.sha256,
        "reader": session.source.reader,
        "species": session.species,
        "subject_description": session.subject_description,
        "note": session.note,
    }
    for column in row:
        told.add_column(column, "see its name")
    told.add_row(**row)
    file = NWBFile(
        session_description="exported", identifier="x", session_start_time=START, subject=Subject(subject_id="any")
    )
    for movie in series:
        file.add_stimulus(movie)
    for column in ("neuron_id", "source_label"):
        file.add_unit_column(column, "as in the session")
    file.add_unit_column("recording_spike_times_s", "on the clock of the recording", index=True)
    for neuron_id, unit in rows.items():
        file.add_unit(
            spike_times=np.array(unit["times"]),
            recording_spike_times_s=np.array(unit["own"]),
            obs_intervals=np.array(unit["intervals"]),
            neuron_id=neuron_id,
            source_label=unit["label"],
        )
    module = file.create_processing_module("dj_neuron", "what NWB has no place for")
    for own in (told, table):
        module.add(own)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path
