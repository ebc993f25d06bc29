"""The corpus of the fuzzing is whole, and its guard sees what a file gets done; fuzzing itself is run by .ci/run."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from dj_neuron.readers import find_reader

FUZZ = Path(__file__).parents[1] / "fuzz"


@pytest.fixture(scope="module")
def targets():
    spec = importlib.util.spec_from_file_location("targets", FUZZ / "targets.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


CORPUS = sorted(path for path in (FUZZ / "corpus").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", CORPUS, ids=[f"{path.parent.name}/{path.name}" for path in CORPUS])
def test_fuzzing_begins_with_whole_recordings(path, targets, tmp_path):
    targets.TARGETS[path.parent.name](tmp_path, path.read_bytes())
    if path.parent.name == "sidecar" or path.name == "scalars_and_sets":
        return
    (made,) = tmp_path.iterdir()
    assert list(find_reader(made).read(made))


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in CORPUS) < 300_000
    assert {path.parent.name for path in CORPUS} == {"pickle", "mat", "folder", "sidecar"}


def test_the_guard_sees_what_a_file_gets_done(targets, tmp_path):
    code = f"""
import os, pathlib, sys
sys.path.insert(0, {str(FUZZ)!r})
from targets import EscapeError, Guard
guard = Guard(pathlib.Path({str(tmp_path)!r}))
(pathlib.Path({str(tmp_path)!r}) / "before").touch()
for escape in (lambda: os.system("true"), lambda: open("/dev/null", "w"), os.fork):
    try:
        with guard():
            open({str(tmp_path / "own")!r}, "w").close()
            escape()
    except EscapeError:
        continue
    raise SystemExit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
