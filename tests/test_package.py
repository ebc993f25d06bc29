"""What importing the package does, and that two processes can work at once."""

import os
import subprocess
import sys

import pytest

from dj_neuron import queries


def run(script, *arguments, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJ_")}
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".git").mkdir()
    return tmp_path


def test_importing_connects_to_nothing_prints_nothing_and_leaves_datajoint_alone(folder):
    process = run("import sys, dj_neuron; sys.exit('datajoint' in sys.modules)", folder=folder)
    assert (*process.communicate(), process.returncode) == ("", "", 0)


@pytest.mark.parametrize("module", ["dj_neuron.connection", "dj_neuron.pipeline", "dj_neuron.cli", "dj_neuron.figures"])
def test_importing_any_part_prints_nothing(folder, module):
    process = run(f"import {module}", folder=folder)
    assert (*process.communicate(), process.returncode) == ("", "", 0)


def test_the_package_is_the_command_line(folder):
    script = (
        "import runpy, sys; sys.argv = ['dj-neuron', *sys.argv[1:]]; runpy.run_module('dj_neuron', run_name='__main__')"
    )
    process = run(script, "outline", "none", folder=folder)
    assert (*process.communicate(), process.returncode) == (
        "",
        "Error: none: no such file or folder, expected a recording\n",
        2,
    )


def test_connecting_leaves_the_global_configuration_of_datajoint_alone(folder, data_dir, prefix):
    script = """
import sys, warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import datajoint as dj
before = dj.config.model_dump_json(), dict(dj.config.stores)
import dj_neuron
with dj_neuron.connect(sys.argv[1], prefix=sys.argv[2]) as pipeline:
    pipeline.clear()
    after = dj.config.model_dump_json(), dict(dj.config.stores)
assert before == after, (before, after)
"""
    process = run(script, data_dir, prefix, folder=folder)
    assert (*process.communicate(), process.returncode) == ("", "", 0)


def test_two_processes_at_once_ingest_and_compute_the_same(folder, embedded, data_dir, prefix, small_file):
    script = """
import sys, dj_neuron
with dj_neuron.connect(sys.argv[1], prefix=sys.argv[2]) as pipeline:
    pipeline.ingest(sys.argv[3])
    assert pipeline.compute([0.05, 0.1]).errors == ()
    print(len(pipeline.strfs()))
"""
    processes = [run(script, data_dir, prefix, small_file, folder=folder) for _ in range(2)]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert queries.counts()["sessions"] == 3
    assert queries.counts()["strfs"] == 28
    assert queries.counts()["parameter_rows"] == 2


def test_two_processes_open_an_empty_database_at_once(folder, tmp_path):
    script = """
import sys, dj_neuron
with dj_neuron.connect(sys.argv[1]) as pipeline:
    print(pipeline.status()["sessions"])
"""
    processes = [run(script, tmp_path / "data", folder=folder) for _ in range(4)]
    said = [process.communicate() for process in processes]
    assert [out for out, _ in said] == ["0\n"] * 4, said
