"""A watched folder: what is whole is read once, what is not is waited for, what cannot be read stops nothing."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest

from dj_neuron.errors import ReadError
from dj_neuron.inbox import Inbox, watch
from dj_neuron.readers import find_reader


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "input").mkdir()
    return tmp_path / "input"


def test_a_file_is_given_once_when_it_is_whole(folder):
    inbox, file = Inbox(folder), folder / "a.pkl"
    file.write_bytes(b"1")
    assert inbox.arrivals() == []
    file.write_bytes(b"12")
    assert inbox.arrivals() == []
    assert inbox.arrivals() == [file]
    assert inbox.arrivals() == []


def test_a_file_that_changes_or_comes_back_is_given_again(folder):
    inbox, file = Inbox(folder), folder / "a.pkl"
    for step in (lambda: file.write_bytes(b"1"), lambda: os.utime(file, (1, 1))):
        step()
        assert [inbox.arrivals(), inbox.arrivals()] == [[], [file]]
    file.unlink()
    assert inbox.arrivals() == []
    file.write_bytes(b"1")
    os.utime(file, (1, 1))
    assert [inbox.arrivals(), inbox.arrivals()] == [[], [file]]


def test_a_folder_is_whole_when_all_that_is_in_it_is(folder):
    inbox, recording = Inbox(folder), folder / "recording"
    (recording / "deep").mkdir(parents=True)
    assert [inbox.arrivals(), inbox.arrivals()] == [[], []]
    for name in ("a", "deep/b"):
        (recording / name).write_text(name)
        assert inbox.arrivals() == []
    assert inbox.arrivals() == [recording]


def test_hidden_files_and_links_that_lead_nowhere_are_passed_over(folder):
    (folder / ".a.pkl.part").write_bytes(b"1")
    (folder / "link").symlink_to("nowhere")
    inbox = Inbox(folder)
    assert [inbox.arrivals(), inbox.arrivals()] == [[], []]


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ReadError, match=r"nowhere is not a folder, expected one"):
        Inbox(tmp_path / "nowhere")


def test_a_file_at_fault_does_not_stop_the_others(folder, embedded, small_file):
    (folder / "a.pkl").write_bytes(small_file.read_bytes()[:1000])
    shutil.copy(small_file, folder / "b.pkl")
    (folder / "notes.txt").write_text("not a recording")
    said, looks = [], iter([False, False, False, True])
    watch(embedded, folder, period_s=0, say=said.append, stop=lambda: next(looks))
    assert sum(line.startswith("not read: ") for line in said) == 2, said
    assert "a.pkl" in said[0]
    assert sum(": new; " in line for line in said) == embedded.status()["sessions"] == 3, said


@pytest.mark.parametrize("mode", [0o000, 0o644])
def test_a_folder_that_may_not_be_entered_is_named_once_and_does_not_stop_the_others(mode, small_file):
    is_root, said = os.geteuid() == 0, []
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # everybody can enter what is above it
        folder = Path(name)
        (folder / "a").mkdir()
        for file in (folder / "a" / "x.pkl", folder / "b.pkl"):
            shutil.copy(small_file, file)
        (folder / "a").chmod(mode)
        folder.chmod(0o755)
        looks = iter([False, False, False, False, True])
        ingest = SimpleNamespace(ingest=lambda path, progress, **_: progress(f"{path.name}: {find_reader(path).name}"))
        try:
            if is_root:
                os.seteuid(65534)
            watch(ingest, folder, period_s=0, say=said.append, stop=lambda: next(looks))
        finally:
            if is_root:
                os.seteuid(0)
            (folder / "a").chmod(0o755)
    assert said[1:] == ["b.pkl: ret1_pickle"]
    assert said[0].startswith(f"not read: {folder}/a: cannot be opened: Permission denied")


def test_a_fault_of_ours_does_not_stop_the_others_and_a_database_that_is_away_does(folder):
    for name in ("a.pkl", "b.pkl", "c.pkl"):
        (folder / name).write_text(name)
    faults = {"a.pkl": ValueError("one line\nand another"), "c.pkl": psycopg2.OperationalError("server closed")}

    def ingest(path, *, progress, **_):
        if path.name in faults:
            raise faults[path.name]
        progress(f"{path.name}: new")

    said = []
    with pytest.raises(psycopg2.OperationalError, match="server closed"):
        watch(SimpleNamespace(ingest=ingest), folder, period_s=0, say=said.append)
    assert said == [
        f"not read: {folder}/a.pkl: ValueError: one line and another; this is a fault of dj-neuron",
        "b.pkl: new",
    ]


def test_the_verb_registers_delays_unless_there_are_some_and_reads_until_it_is_ended(
    folder, embedded, data_dir, prefix, small_file, program
):
    command = [program, "--data-dir", data_dir, "--prefix", prefix, "watch", folder]
    shutil.copy(small_file, folder)

    def watch_until_something_is_read():
        pipe = subprocess.PIPE
        with subprocess.Popen([*command, "--every", "0.1"], cwd=folder, stdout=pipe, stderr=pipe, text=True) as process:
            while "neuron(s)" not in process.stdout.readline():
                assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGTERM)
            process.communicate()
        assert process.returncode == 128 + signal.SIGTERM
        return [(row["first_delay_s"], row["last_delay_s"]) for row in embedded.strf.StrfParams().to_dicts()]

    assert watch_until_something_is_read() == [(-0.1, 0.4)]
    assert embedded.status()["sessions"] >= 1
    embedded.compute([0.05], queue=True, replace=True)
    assert watch_until_something_is_read() == [(0.05, 0.05)]
    assert embedded.status()["strfs"] == 0
