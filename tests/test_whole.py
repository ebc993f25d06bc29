"""Files and folders that appear as a whole or not at all, beside a real process that is killed and real links."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dj_neuron.errors import ExportError
from dj_neuron.whole import whole_file, whole_folder

WRITE = """
import os, signal, sys
from pathlib import Path
from dj_neuron import whole

target, kind, n_before = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
done = 0

def killing(real):
    def moved(self, other):
        global done
        if done == n_before:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return real(self, other)
    return moved

Path.rename, Path.replace = killing(Path.rename), killing(Path.replace)
with getattr(whole, f"whole_{kind}")(target) as new:
    (new / "a" if kind == "folder" else new).write_text("new")
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(target, kind, text):
    with (whole_file if kind == "file" else whole_folder)(target) as new:
        (new / "a" if kind == "folder" else new).write_text(text)


def text_of(target):
    return (target / "a" if target.is_dir() else target).read_text()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_it_appears_at_the_end_and_replaces_what_is_there(tmp_path, kind):
    target = tmp_path / "b.zarr"
    for text in ("1", "2"):
        with (whole_file if kind == "file" else whole_folder)(target) as new:
            assert new.name == "b.zarr"  # writers go by the name
            (new / "a" if kind == "folder" else new).write_text(text)
            assert target.exists() == (text == "2")
        assert text_of(target) == text
        assert names(tmp_path) == ["b.zarr"]


@pytest.mark.parametrize(("kind", "n_before"), [("file", 0), ("folder", 0), ("folder", 1)])
def test_a_killed_process_loses_nothing_and_leaves_nothing_for_ever(tmp_path, kind, n_before):
    target = tmp_path / "b"
    write(target, kind, "old")
    done = subprocess.run([sys.executable, "-c", WRITE, target, kind, str(n_before)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == (2 if n_before == 0 else 1)
    with pytest.raises(ValueError, match="stop"), (whole_file if kind == "file" else whole_folder)(target):
        raise ValueError("stop")
    assert text_of(target) == "old"
    assert names(tmp_path) == ["b"]
    write(target, kind, "new")
    assert text_of(target) == "new"


def test_what_is_in_use_or_not_ours_is_no_leftover(tmp_path):
    begun, of_another = tmp_path / ".b.0123456789abcdef.part", tmp_path / ".c.0123456789abcdef.part"
    for folder in (begun, of_another, tmp_path / ".b.backup.part", tmp_path / ".b.0123456789abcdef.part.txt"):
        folder.mkdir()
    (tmp_path / ".b.0123456789abcdee.part").symlink_to(of_another)
    before = names(tmp_path)
    with whole_file(tmp_path / "b") as new:
        new.write_text("first")
        write(tmp_path / "b", "file", "second")
        assert text_of(tmp_path / "b") == "second"
    assert text_of(tmp_path / "b") == "first"
    assert names(tmp_path) == sorted([*before, "b"])
    os.utime(begun, (0, 0))
    write(tmp_path / "b", "file", "third")
    assert names(tmp_path) == sorted({*before, "b"} - {begun.name})


def test_two_that_replace_a_folder_at_once_leave_one_of_theirs(tmp_path, monkeypatch):
    target, rename = tmp_path / "b", Path.rename
    write(target, "folder", "old")

    def slow(self, other):
        if self == target and Path(other).name == "old0":
            monkeypatch.setattr(Path, "rename", rename)
            moved = rename(self, other)
            write(target, "folder", "theirs")
            return moved
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", slow)
    write(target, "folder", "ours")
    assert text_of(target) == "ours"
    assert names(tmp_path) == ["b"]


def test_links_are_replaced_and_nobody_else_can_put_one_in_the_way(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "b").symlink_to(victim)
    with whole_file(tmp_path / "b") as new:
        assert new.parent.parent.stat().st_mode & 0o777 == 0o700
        assert not new.exists()
        new.write_text("new")
    assert victim.read_text() == "precious"
    assert text_of(tmp_path / "b") == "new"
    assert not (tmp_path / "b").is_symlink()


def test_pipes_devices_and_folders_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for name, words in (("pipe", "is a pipe or a device"), ("device", "is a pipe or a device"), (".", "is a folder")):
        with pytest.raises(ExportError, match=f"{words}, expected the name of a file"), whole_file(tmp_path / name):
            pass
    assert names(tmp_path) == ["device", "pipe"]


def test_what_cannot_be_written_names_the_target_and_keeps_what_is_there(tmp_path, monkeypatch):
    write(tmp_path / "b", "folder", "old")
    with (
        pytest.raises(ExportError, match=r"/c cannot be written: No space left on device$"),
        whole_file(tmp_path / "c"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x")
    with pytest.raises(ExportError, match=r"/no/c cannot be written: No such file"), whole_file(tmp_path / "no" / "c"):
        pass
    with pytest.raises(FileNotFoundError, match="elsewhere"), whole_file(tmp_path / "c"):
        Path("elsewhere").read_text()
    rename = Path.rename

    def failing(self, other):
        if self.parent.name == "new":
            raise OSError(28, "No space left on device", str(self))
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ExportError, match="/b cannot be written: No space left"):
        write(tmp_path / "b", "folder", "new")
    assert text_of(tmp_path / "b") == "old"
    assert names(tmp_path) == ["b"]
