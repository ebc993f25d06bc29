"""A lab's own reader: the package of the how-to, installed and used."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "write-a-reader.md"


def run(*command, **options):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The page's package, installed by pip into a folder of its own."""
    page = PAGE.read_text(encoding="utf-8")
    package, target, pip = (tmp_path_factory.mktemp(name) for name in ("our-rig", "target", "pip"))
    for name, language in (("our_rig.py", "python"), ("pyproject.toml", "toml")):
        (code,) = re.findall(rf"`{re.escape(name)}`:\n\n```{language}\n(.*?)```", page, re.DOTALL)
        (package / name).write_text(code, encoding="utf-8")
    # an environment made by uv has no pip: one that has works on it
    assert run(sys.executable, "-m", "venv", pip).returncode == 0
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--disable-pip-version-check")
    done = run(
        *(pip / "bin" / "python", "-m", "pip", "--python", sys.executable),
        *("install", *options, "--target", target, package),
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def recording(tmp_path):
    folder = tmp_path / "2024-05-02_a"
    folder.mkdir()
    rng = np.random.default_rng(1)
    np.save(folder / "movie.npy", rng.integers(0, 2, (300, 6, 8)))
    rig = {"animal": "WT 12", "date": "2024-05-02", "retina": 1, "rate_hz": 29.9908, "onset_s": 1.26}
    (folder / "rig.json").write_text(json.dumps(rig | {"um_per_pixel": 8.3, "block_px": [10, 10]}))
    with (folder / "spikes.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["unit", "time_s"])
        lines.writerows(zip(rng.choice(["b7", "a3"], 200), rng.uniform(0, 11, 200), strict=True))
    return folder


@pytest.fixture
def dj_neuron(installed, tmp_path, data_dir, prefix):
    (tmp_path / ".git").mkdir()
    command = (Path(sys.executable).with_name("dj-neuron"), "--data-dir", data_dir, "--prefix", prefix)
    environment = os.environ | {"PYTHONPATH": str(installed)}
    return lambda *arguments: run(*command, *arguments, cwd=tmp_path, env=environment)


def test_the_reader_of_the_page_is_short():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code[code.index("class ") :].splitlines()) <= 32


def test_the_installed_reader_is_ingested_with(dj_neuron, recording):
    done = dj_neuron("ingest", recording)
    assert done.returncode == 0, done.stderr
    assert "WT 12, 2024-05-02, sample 1: new; 1 stimulation(s), 2 neuron(s), 200 spikes" in done.stderr + done.stdout


def test_it_is_outlined_and_unpacked(dj_neuron, recording, tmp_path):
    shown = json.loads(dj_neuron("outline", recording).stdout)
    assert [train["label"] for train in shown[0]["stimulations"][0]["spike_trains"]] == ["a3", "b7"]
    assert dj_neuron("unpack", recording, tmp_path / "out").returncode == 0
    assert 'neuron_001 = "a3"' in next((tmp_path / "out").rglob("session.toml")).read_text()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("um_per_pixel", 0, "stimulation 1: pixel_size_um is 0, expected a positive number"),
        (
            "block_px",
            None,
            (
                "reader 'our_rig' raised TypeError: 'NoneType' object is not iterable, "
                "expected a recording that it can read"
            ),
        ),
    ],
)
def test_what_it_cannot_read_is_refused_in_a_sentence(dj_neuron, recording, tmp_path, key, value, sentence):
    rig = json.loads((recording / "rig.json").read_text()) | {key: value}
    (recording / "rig.json").write_text(json.dumps(rig))
    refused = dj_neuron("unpack", recording, tmp_path / "out")
    assert (refused.returncode, refused.stderr.splitlines()[-1]) == (2, f"Error: 2024-05-02_a: {sentence}")
