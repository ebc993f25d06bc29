"""MATLAB files that are no recordings of ret-1."""

import os
import re
import struct
import zlib

import numpy as np
import scipy.io

from bad_case import Case, cut
from mat_files import SPIKES, cell, recording, structs, two_recordings, written


def changed(path, value):
    """Two recordings in which one field is another, or is missing if the value is None."""
    content = two_recordings()
    variable, *keys = path
    if not keys:
        content[variable] = value
    elif variable == "datainfo":
        content["datainfo"][keys[0]] = value
    else:
        records = [recording(), recording(x=30, y=1, dx=1, dy=1)]
        target = records[1]
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value
        if value is None:
            del target[keys[-1]]
            records[0] = records[1]  # all structs of an array have the same fields
        content["stimulus"] = structs(records)
    for holder in (content, content["datainfo"] if isinstance(content["datainfo"], dict) else {}):
        for key in [key for key, held in holder.items() if held is None]:
            del holder[key]
    return content


def text_of_unknown_kind(folder):
    """Found by fuzzing: it ended SciPy, and Python with it."""
    path = written(folder, two_recordings(), compressed=False)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"KO (pax6)") - 8, 64496)
    path.write_bytes(content)
    return path


EXPECTED_ARRAY = "expected a cell array of neurons x recordings"
BAD = [
    (("spikes",), None, "spikes is missing, expected the variables datainfo, stimulus, spikes"),
    (("datainfo",), 3.0, "datainfo is 3.0, expected a struct"),
    (("datainfo", "animal"), None, "datainfo.animal is missing, expected a field of that name"),
    (("datainfo", "animal"), " ", "datainfo.animal is ' ', expected printable text"),
    (("datainfo", "animal"), 7, "datainfo.animal is 7, expected printable text"),
    (("datainfo", "date"), "16 May 2008", "datainfo.date is '16 May 2008', expected a date like 20080516"),
    (("datainfo", "date"), "20080230", "datainfo.date is '20080230', expected a date like 20080516"),
    (("datainfo", "SmplNo"), 1.5, "datainfo.SmplNo is 1.5, expected a whole number from 0"),
    (("datainfo", "Ncell"), 3, (
        "spikes is 2 x 2 cells, expected 3 x 2: datainfo.Ncell neurons and one column per stimulus"
    )),
    (("datainfo", "RecNo"), np.arange(3.0), (
        "datainfo.RecNo is an array (1, 3) of float64, expected 2 numbers for 2 recording(s)"
    )),
    (("datainfo", "RecStartTime"), "today", (
        "datainfo.RecStartTime is 'today', expected 2 x 6 numbers for 2 recording(s)"
    )),
    (("stimulus",), "noise", "stimulus(1) is 'noise', expected a struct"),
    (("stimulus",), structs([recording()]), (
        "spikes is 2 x 2 cells, expected 2 x 1: datainfo.Ncell neurons and one column per stimulus"
    )),
    (("stimulus", "type"), "gaussian white noise", (
        "stimulus(2).type is 'gaussian white noise', expected binary white noise: no other movie can be regenerated"
    )),
    (("stimulus", "type"), "flashes", (
        "stimulus(2).type is 'flashes', expected binary white noise: no other movie can be regenerated"
    )),
    (("stimulus", "param"), 3.0, "stimulus(2).param is 3.0, expected a struct"),
    (("stimulus", "param", "seed"), -3, (
        "stimulus(2).param.seed is -3, expected 10000 or -10000, whose stream is known"
    )),
    (("stimulus", "param", "dx"), 4, (
        "stimulus(2).param.x is 30 and stimulus(2).param.dx is 4, expected a whole number of blocks"
    )),
    (("stimulus", "param", "y"), 0, "stimulus(2).param.y is 0, expected a whole number from 1"),
    (("stimulus", "Nframes"), None, "stimulus(1).Nframes is missing, expected a field of that name"),
    (("stimulus", "Nframes"), 299.5, "stimulus(2).Nframes is 299.5, expected a whole number from 1"),
    (("stimulus", "Nframes"), 10_000_000, (
        "the movies have 300004800 values, the first 300 frames of 2 x 8, expected at most 268435456 in all"
    )),
    (("stimulus", "frame"), 0.0, "stimulus(2).frame is 0, expected a positive number"),
    (("stimulus", "onset"), np.nan, "stimulus(2).onset is nan, expected a finite number"),
    (("stimulus", "pixelsize"), "8.3", "stimulus(2).pixelsize is '8.3', expected a finite number"),
    (("spikes",), np.arange(3.0), f"spikes is an array (1, 3) of float64, {EXPECTED_ARRAY}"),
    (("spikes",), cell([SPIKES[0]]), (
        "spikes is 1 x 2 cells, expected 2 x 2: datainfo.Ncell neurons and one column per stimulus"
    )),
    (("spikes",), cell([SPIKES[0], [SPIKES[1][0], np.array([2.0, 1.0])]]), (
        "spikes{2,2}: spike 1 comes before the one ahead of it, expected ascending times"
    )),
    (("spikes",), cell([[np.ones((2, 2)), SPIKES[0][1]], SPIKES[1]]), (
        "spikes{1,1} is an array (2, 2) of float64, expected a vector of seconds"
    )),
    (("spikes",), cell([[np.array([-1.0]), SPIKES[0][1]], SPIKES[1]]), (
        "spikes{1,1}: spike 0 is at -1 s, expected seconds from the start of the recording"
    )),
    (("stimulus", "frame"), 1 / 30_000, "stimulus(2): frame_rate_hz is 30000, expected 0.001 to 10000"),
    (("stimulus", "frame"), np.inf, "stimulus(2).frame is inf, expected a finite number"),
    (("spikes",), cell([[np.array([0.5, np.nan]), SPIKES[0][1]], SPIKES[1]]), (
        "spikes{1,1}: spike 1 is not a finite time, expected seconds"
    )),
    (("spikes",), cell([[cell([[SPIKES[0][0]]]), SPIKES[0][1]], SPIKES[1]]), (
        "spikes{1,1} is a list, expected a vector of seconds"
    )),
    (("stimulus",), np.zeros((3, 3)), "stimulus(1) is an array (3, 3) of float64, expected a struct"),
    (("datainfo", "SmplNo"), np.nan, "datainfo.SmplNo is nan, expected a whole number from 0"),
    (("datainfo", "date"), np.array([2008, 5, 16]), (
        "datainfo.date is an array (1, 3) of int64, expected a date like 20080516"
    )),
    (("spikes",), cell([["1.5", SPIKES[0][1]], SPIKES[1]]), "spikes{1,1} is '1.5', expected a vector of seconds"),
]  # fmt: skip


def of(path, value):
    return lambda folder: written(folder, changed(path, value))


def content(data):
    def make(folder):
        path = folder / "20080516_R1.mat"
        path.write_bytes(data)
        return path

    return make


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def claiming(kind, dims):
    """A whole file with one array of that class that claims these dimensions and holds 8 bytes."""
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack("<2i", *dims)) + element(1, b"spikes")
    array = element(14, head + element(9, bytes(8)))
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + array


def unfolding(n_bytes):
    """A whole file with a variable that unfolds to so many bytes."""

    def make(folder):
        packed = zlib.compress(struct.pack("<II", 14, n_bytes) + bytes(n_bytes))
        head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
        return content(head + struct.pack("<II", 15, len(packed)) + packed)(folder)

    return make


def twice(folder):
    """A folder with the same session in two files."""
    for number in (1, 2):
        path = written(folder / "Data", two_recordings(), f"20080516_R{number}.mat")
    return path.parent


def a_pipe_among_them(folder):
    written(folder, two_recordings())
    os.mkfifo(folder / "20080515_R1.mat")
    return folder


def version_4(folder):
    path = folder / "20080516_R1.mat"
    scipy.io.savemat(path, {"spikes": 1}, format="4")
    return path


NO_MAT = "is no MATLAB 5 file, expected a MATLAB 5 file, as save -v7 writes it"
OF_WHAT = "expected a whole MATLAB 5 file of numbers, text, structs and cells"
DAMAGED = re.compile(
    rf"20080516_R1\.mat: (.*, {OF_WHAT}|\w+ is missing, expected the variables datainfo, stimulus, spikes|{NO_MAT})"
)
CASES = {
    **{
        f"{'.'.join(path)} {n}": Case(of(path, value), f"20080516_R1.mat: {sentence}")
        for n, (path, value, sentence) in enumerate(BAD)
    },
    **{
        f"cut off at {tenth} tenths": Case(cut(lambda folder: written(folder, two_recordings()), tenth), DAMAGED)
        for tenth in range(10)
    },
    "text": Case(content(b"a page that asks for a password"), f"20080516_R1.mat: {NO_MAT}"),
    "MATLAB 4": Case(version_4, f"20080516_R1.mat: {NO_MAT}"),
    "MATLAB 7.3": Case(
        content(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n"),
        "20080516_R1.mat: is a MATLAB 7.3 file (HDF5), expected a MATLAB 5 file, as save -v7 writes it",
    ),
    "text of an unknown kind": Case(
        text_of_unknown_kind,
        "20080516_R1.mat: datainfo: holds text of unknown kind 64496, expected a whole MATLAB 5 file of numbers, text, "
        "structs and cells",
    ),
    "10 GB of numbers": Case(
        content(claiming(6, (125_000, 10_000))),
        f"20080516_R1.mat: spikes: claims 1250000000 values, but has 8 bytes of them, {OF_WHAT}",
    ),
    "10 GB of cells": Case(
        content(claiming(1, (125_000, 10_000))),
        f"20080516_R1.mat: spikes: claims 1250000000 cells or fields, more than its bytes can hold, {OF_WHAT}",
    ),
    "a name that is none": Case(
        content(claiming(6, (1, 1)).replace(b"spikes", b"sp\x1b[2J")),
        f"20080516_R1.mat: variable 1: damaged in its name, {OF_WHAT}",
    ),
    "300 MB of zeros": Case(
        unfolding(300_000_000),
        f"20080516_R1.mat: variable 1: larger than 256 MiB with those before it, once unfolded, {OF_WHAT}",
    ),
    "a pipe in a folder": Case(
        a_pipe_among_them, "20080515_R1.mat: is no file, expected a MATLAB 5 file, as save -v7 writes it"
    ),
    "a session twice": Case(
        twice,
        "20080516_R2.mat: KO (pax6), 2008-05-16, sample 1 is also the session of 20080516_R1.mat, expected it once",
    ),
}
