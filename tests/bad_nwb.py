"""NWB files that are no recordings, and what stands beside them and is none."""

import functools
import re
import tempfile
from pathlib import Path

import h5py
import numpy as np

import nwb_files as nwb
from bad_case import Case, cut

UNITS = [{"spike_times": [0.2, 1.5, 2.25], "obs_intervals": [[0.0, 10.0]]}]
MOVIE = "stimulus/presentation/noise"


@functools.cache
def whole_bytes():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "retina.nwb"
        return nwb.write(path, nwb.optical(), units=UNITS).read_bytes()


def whole(folder):
    """An NWB file in which nothing is wrong."""
    path = folder / "retina.nwb"
    path.write_bytes(whole_bytes())
    return path


def changed(change):
    """The same file after `change` of it as HDF5."""

    def make(folder):
        path = whole(folder)
        with h5py.File(path, "a") as file:
            change(file)
        return path

    return make


def replaced(name, values, **told):
    """The same file with other values in one dataset, whose attributes stay."""

    def change(file):
        attributes = dict(file[name].attrs)
        del file[name]
        if values is None:
            dataset = file.create_dataset(name, **told)
        else:
            dataset = file.create_dataset(name, data=values, **told)
        dataset.attrs.update(attributes)

    return changed(change)


def beside(text):
    def make(folder):
        path = whole(folder)
        (folder / "retina.nwb.toml").write_bytes(text.encode())
        return path

    return make


def series(line):
    return beside(f'[[stimulations]]\nseries = "noise"\n{line}\n')


def with_frame_times(content):
    def make(folder):
        path = series('frame_times = "frames.npy"')(folder)
        if isinstance(content, bytes):
            (folder / "frames.npy").write_bytes(content)
        else:
            np.save(folder / "frames.npy", content)
        return path

    return make


def in_other_files(file):
    del file[MOVIE]["data"]
    file[MOVIE].create_dataset("data", (90, 12, 16), np.uint8, external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def virtual(file):
    layout = h5py.VirtualLayout((90, 12, 16), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "data", (90, 12, 16))
    del file[MOVIE]["data"]
    file[MOVIE].create_virtual_dataset("data", layout)


def no_subject(file):
    del file["general/subject"]


def huge_neuron_id(file):
    units = file["units"]
    units.attrs["colnames"] = [*units.attrs["colnames"], "neuron_id"]
    units.copy("id", "neuron_id")
    units["neuron_id"][:] = 2**40
    units["neuron_id"].attrs.update({"neurodata_type": "VectorData", "description": "number"})


def label(text):
    def change(file):
        units = file["units"]
        units.attrs["colnames"] = [*units.attrs["colnames"], "unit_name"]
        made = units.create_dataset("unit_name", data=[text], dtype=h5py.string_dtype())
        made.attrs.update({"neurodata_type": "VectorData", "namespace": "hdmf-common", "description": "name"})
        made.attrs["object_id"] = "0b9f9d5e-0000-4000-8000-000000000000"

    return changed(change)


def of_type(name, kind):
    """The same file with another neurodata_type somewhere, or none."""

    def change(file):
        del file[name].attrs["neurodata_type"]
        if kind is not None:
            file[name].attrs["neurodata_type"] = kind

    return changed(change)


def group_for_frames(file):
    del file[MOVIE]["data"]
    file[MOVIE].create_group("data")


def overwritten(folder):
    """The same file, the header of its movie's frames destroyed."""
    path = whole(folder)
    with h5py.File(path) as file:
        at = h5py.h5o.get_info(file[MOVIE]["data"].id).addr
    content = bytearray(path.read_bytes())
    content[at : at + 16] = bytes(16)
    path.write_bytes(content)
    return path


def a_long_name(file):
    file[f"{MOVIE}/data"][:] = 1
    file.move(MOVIE, f"stimulus/presentation/{'x' * 10_000}")


def three_ends_of_intervals(file):
    for name, values in (("obs_intervals", [0.0, 10.0, 11.0]), ("obs_intervals_index", [3])):
        attributes = dict(file[f"units/{name}"].attrs)
        del file[f"units/{name}"]
        file["units"].create_dataset(name, data=values).attrs.update(attributes)


def with_group(name):
    return changed(lambda file: file.create_group(name))


def only_intervals(file):
    file["units"].attrs["colnames"] = ["obs_intervals"]


GB_10 = {"shape": (100_000, 250, 400), "dtype": np.uint8}
BESIDE = "[[stimulations]] in retina.nwb.toml"
UNREADABLE = "retina.nwb: cannot be read as NWB 2"
DAMAGED = re.compile(r"retina\.nwb: cannot be read as NWB 2: [^\n]+, expected a whole file")
TIMESTAMPS = re.compile(rf"retina\.nwb: noise: .*; expected the seconds at which .* under {re.escape(BESIDE)}, or .*")
CASES = {
    **{f"cut off at {tenth} tenths": Case(cut(whole, tenth), DAMAGED) for tenth in range(1, 10)},
    "HDF5 and nothing in it": Case(
        lambda folder: (h5py.File(folder / "retina.nwb", "w").close(), folder / "retina.nwb")[1],
        "PATH: no reader knows this format, expected one of crcns_mat, nwb, recording_folder, ret1_pickle",
    ),
    "NWB 1": Case(
        changed(lambda file: file.attrs.update(nwb_version="1.0.6")),
        "retina.nwb: says that it is NWB 1.0.6, expected NWB 2",
    ),
    "groups in groups without end": Case(
        changed(lambda file: file.create_group("/".join("a" * 150))),
        f"retina.nwb: {'a/' * 20}... is nested deeper than 100 groups, expected fewer",
    ),
    "a group for the frames": Case(
        changed(group_for_frames), f"{UNREADABLE}: its parts do not fit together, expected a whole file"
    ),
    "a movie of nothing": Case(
        replaced(f"{MOVIE}/data", h5py.Empty("f8")),
        f"{UNREADABLE}: its parts do not fit together, expected a whole file",
    ),
    "a rate in words": Case(
        changed(lambda file: file[f"{MOVIE}/starting_time"].attrs.update(rate="60")),
        f"{UNREADABLE}: {MOVIE}: incorrect type for 'rate' (got 'str', expected 'float'), expected a whole file",
    ),
    "text of Latin-1": Case(
        replaced("general/subject/subject_id", np.bytes_("Müller".encode("latin-1"))),
        f"{UNREADABLE}: it holds text that is not UTF-8, expected a whole file",
    ),
    "the header of a group overwritten": Case(
        overwritten,
        re.compile(rf"{UNREADABLE}: Unable to [^<>]+, expected a whole file"),
    ),
    "no stimulus data": Case(changed(lambda file: file.__delitem__(f"{MOVIE}/data")), re.compile(r"retina\.nwb: .*")),
    "a misspelt type": Case(
        of_type(MOVIE, "OptcalSeries"),
        f"retina.nwb: {MOVIE} is of type 'core.OptcalSeries', expected a type that NWB has there",
    ),
    "no type": Case(
        of_type(MOVIE, None), f"retina.nwb: {MOVIE} has no neurodata_type, expected a type that NWB has there"
    ),
    "a type for another place": Case(
        of_type(MOVIE, "VectorData"),
        f"retina.nwb: {MOVIE} is of type 'core.VectorData', expected a type that NWB has there",
    ),
    "a module of ours without a type": Case(
        with_group("processing/dj_neuron/dj_neuron_session"),
        "retina.nwb: processing/dj_neuron has no neurodata_type, expected a type that NWB has there",
    ),
    "spike times that are no column": Case(
        changed(only_intervals),
        "retina.nwb: units/spike_times is not among the colnames of units, expected every column there",
    ),
    "no subject": Case(
        changed(no_subject),
        "retina.nwb: has no subject with a subject_id, expected subject_name in retina.nwb.toml",
    ),
    "a name of 300 characters": Case(
        replaced("general/subject/subject_id", "x" * 300),
        f"PATH: {'x' * 300}, 2024-05-02, sample 1: subject_name is 300 characters long ({'x' * 20}...), expected at "
        "most 128",
    ),
    "a name of 100,000 characters": Case(
        replaced("general/subject/subject_id", "x" * 100_000),
        "retina.nwb: subject_name is 100000 characters long, expected at most 2000",
    ),
    "a series with a name of 10,000 characters": Case(
        changed(a_long_name), f"retina.nwb: {'x' * 77}...: every block of the movie is 1, expected at least two levels"
    ),
    "a date in words": Case(replaced("session_start_time", "2 May 2024"), DAMAGED),
    "movie in a row": Case(replaced(f"{MOVIE}/data", np.zeros(90)), re.compile(r"retina\.nwb: .*, expected .*")),
    "movie of no frames": Case(
        replaced(f"{MOVIE}/data", np.zeros((0, 12, 16))),
        "retina.nwb: noise: noise holds an array of (0, 12, 16), expected frames (time, y, x)",
    ),
    "movie of text": Case(
        replaced(f"{MOVIE}/data", np.full((90, 12, 16), b"a")),
        re.compile(r"retina\.nwb: noise: frames are \S+, expected real numbers or booleans"),
    ),
    "movie of one level": Case(
        replaced(f"{MOVIE}/data", np.ones((90, 12, 16))),
        "retina.nwb: noise: every block of the movie is 1, expected at least two levels",
    ),
    "movie of three levels": Case(
        replaced(f"{MOVIE}/data", np.arange(90 * 12 * 16).reshape(90, 12, 16) % 3),
        f"retina.nwb: noise: a graded movie has values from 0 to 2, expected contrast from -1 to 1, or the values of "
        f"black and white, under {BESIDE}",
    ),
    "movie with NaN": Case(
        replaced(f"{MOVIE}/data", np.where(np.arange(90 * 12 * 16).reshape(90, 12, 16) == 200, np.nan, 1.0)),
        "retina.nwb: noise: frame 1 is not finite at row 0, column 8, expected numbers",
    ),
    "10 GB never written": Case(
        replaced(f"{MOVIE}/data", None, **GB_10),
        "retina.nwb: noise: /stimulus/presentation/noise/data claims 10000000000 bytes, of which some were never "
        "written, expected all of them",
    ),
    "10 GB in chunks never written": Case(
        replaced(f"{MOVIE}/data", None, chunks=(10, 250, 400), compression="gzip", **GB_10),
        "retina.nwb: noise: /stimulus/presentation/noise/data claims 10000000000 bytes, of which some were never "
        "written, expected all of them",
    ),
    "10 GB of spikes never written": Case(
        replaced("units/spike_times", None, shape=(10**10 // 8,), dtype=np.float64),
        "retina.nwb: /units/spike_times claims 10000000000 bytes, of which some were never written, expected all of "
        "them",
    ),
    "spikes that unfold to 80 MB": Case(
        replaced("units/spike_times", np.zeros(10**7), compression="gzip"),
        re.compile(r"retina\.nwb: /units/spike_times unfolds \d+ bytes to 80\d+, expected at most 20 times as many"),
    ),
    "frames in other files": Case(
        changed(in_other_files),
        "retina.nwb: stimulus/presentation/noise/data is in another file, /etc/hostname, expected all of the recording "
        "in this one",
    ),
    "virtual frames": Case(
        changed(virtual),
        "retina.nwb: stimulus/presentation/noise/data is in another file, other.h5, expected all of the recording in "
        "this one",
    ),
    "spikes with NaN": Case(
        replaced("units/spike_times", [0.2, np.nan, 2.25]),
        "retina.nwb: unit 0: spike 1 is at nan, expected ascending seconds",
    ),
    "spikes that are infinite": Case(
        replaced("units/spike_times", [0.2, 1.0, np.inf]),
        "retina.nwb: unit 0: spike 2 is at inf, expected ascending seconds",
    ),
    "spikes in words": Case(
        replaced("units/spike_times", [b"a", b"b", b"c"]), re.compile(r"retina\.nwb: .*, expected .*")
    ),
    "more spikes than there are": Case(
        replaced("units/spike_times_index", np.array([2**31], np.uint32)),
        "retina.nwb: spike_times_index ends at 2147483648, expected it to ascend to 3, the number of spike_times",
    ),
    "spikes that belong to nobody": Case(
        replaced("units/spike_times_index", np.array([2], np.uint32)),
        "retina.nwb: spike_times_index ends at 2, expected it to ascend to 3, the number of spike_times",
    ),
    "spikes backwards": Case(
        replaced("units/spike_times", [0.2, 2.5, 2.25]),
        "retina.nwb: unit 0: spike 2 is not later than the one ahead of it, expected ascending seconds",
    ),
    "spikes twice": Case(
        replaced("units/spike_times", [0.2, 2.25, 2.25]),
        "PATH: m7, 2024-05-02, sample 1: stimulation 1: neuron 1: 1 of 3 spikes are there twice, first spike 2 at 2.25 "
        "s, expected every spike once",
    ),
    "intervals backwards": Case(
        replaced("units/obs_intervals", [[10.0, 0.0]]),
        "retina.nwb: unit 0: obs_intervals are no pairs of seconds, expected rows of (start, stop) with start <= stop",
    ),
    "an end of an interval too many": Case(
        changed(three_ends_of_intervals),
        "retina.nwb: unit 0: obs_intervals are no pairs of seconds, expected rows of (start, stop) with start <= stop",
    ),
    "a huge neuron_id": Case(
        changed(huge_neuron_id),
        re.compile(r"retina\.nwb: .*neuron_id is 1099511627776, expected a whole number from 1 to 2147483647"),
    ),
    "a label of 300 characters": Case(
        label("x" * 300),
        f"PATH: m7, 2024-05-02, sample 1: source_label is 300 characters long ({'x' * 20}...), expected at most 128",
    ),
    "a sampling rate": Case(
        changed(lambda file: file[f"{MOVIE}/starting_time"].attrs.update(rate=20_000.0)),
        "retina.nwb: noise: frame_rate_hz is 20000, expected 0.001 to 10000",
    ),
    **{
        f"rate {rate:g}": Case(
            changed(lambda file, rate=rate: file[f"{MOVIE}/starting_time"].attrs.update(rate=rate)),
            f"retina.nwb: noise: rate is {rate:g} Hz from 1.25 s, expected the measured frame rate, or frame_rate_hz "
            f"and onset_s under {BESIDE}",
        )
        for rate in (0.0, np.nan, np.inf, -60.0)
    },
    "beside: no TOML": Case(
        beside("nonsense"), re.compile(r"retina\.nwb\.toml: not TOML: .*, expected lines like sample_number = 1")
    ),
    "beside: unknown key": Case(
        beside("subjectname = 'x'"), "retina.nwb.toml: unknown key 'subjectname', expected subject_name"
    ),
    "beside: no series": Case(
        beside("[[stimulations]]\n"),
        "retina.nwb.toml: series 1: series is missing, expected printable text in quotes, not empty, of at most 2000 "
        "characters",
    ),
    "beside: another series": Case(
        beside('[[stimulations]]\nseries = "x"'),
        "retina.nwb.toml: no movie under stimulus/presentation in retina.nwb is called 'x', expected one of noise",
    ),
    "beside: series that is a table": Case(
        beside("[[stimulations]]\n[stimulations.series]"), re.compile(r"retina\.nwb\.toml: series .*, expected .*")
    ),
    "beside: NaN": Case(
        series("pixel_size_um = nan"),
        "retina.nwb.toml: series 'noise': pixel_size_um is nan, expected a positive number",
    ),
    "beside: frame times that are missing": Case(
        series('frame_times = "frames.npy"'),
        "retina.nwb: noise: 'frames.npy' is missing, expected a file in the folder",
    ),
    "beside: frame times elsewhere": Case(
        series('frame_times = "/etc/hostname"'),
        "retina.nwb: noise: '/etc/hostname' lies outside the folder, expected a file in it",
    ),
    "beside: frame times of text": Case(
        with_frame_times(b"0, 1, 2"), "retina.nwb: noise: frames.npy cannot be read, expected an .npy file of numbers"
    ),
    "beside: too few frame times": Case(
        with_frame_times(np.arange(80.0)),
        "retina.nwb: noise: frames.npy has shape (80,), expected (91,): the starts of 90 frames and the end "
        "of the last",
    ),
    "beside: a link that leads nowhere": Case(
        lambda folder: ((folder / "retina.nwb.toml").symlink_to("nowhere"), whole(folder))[1],
        "retina.nwb.toml: is no file, expected what the NWB file does not say, or nothing of that name",
    ),
    "beside: a folder": Case(
        lambda folder: ((folder / "retina.nwb.toml").mkdir(), whole(folder))[1],
        "retina.nwb.toml: is no file, expected what the NWB file does not say, or nothing of that name",
    ),
    "10 GB of frame times in a header": Case(
        with_frame_times(
            b"\x93NUMPY\x01\x00v\x00"
            + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1250000000,), }".ljust(117)
            + b"\n"
        ),
        "retina.nwb: noise: frames.npy cannot be read: it claims an array (1250000000,) of float64, 10000000000 bytes, "
        "and holds 0, expected an .npy file of numbers",
    ),
}
