"""Pipelines on real servers: the embedded one always, others where the environment names them.

TEST_POSTGRESQL_SERVER and TEST_MYSQL_SERVER are user:password@host:port; .ci/run starts both servers and sets them.
Tests of a server that is not named, or of a browser that is not there, are skipped, but fail where TEST_ALL_SERVERS is
set.
"""

import contextlib
import datetime
import functools
import gc
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import defaultdict

import hypothesis
import numpy as np
import pytest
import s3fs
from playwright.sync_api import sync_playwright

import dj_neuron
import explored
import warm_program
from dj_neuron._datajoint import dj
from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation
from dj_neuron.embedded import EmbeddedServer
from dj_neuron.pipeline import SCHEMA_MODULES, activate, table_classes
from dj_neuron.pipeline.store import STORE, backend_of, folder_of, listing, remove
from dj_neuron.simulate import load_layout, write_simulation
from dj_neuron.strf._threads import use_threads

# the first example of a test may compile the numerics
hypothesis.settings.register_profile("dj_neuron", deadline=None)
hypothesis.settings.load_profile("dj_neuron")

for name in [name for name in os.environ if name.startswith("DJ_")]:
    del os.environ[name]  # a developer's own server is not for tests


# Files of tests that take longest, the longest first: what begins late ends late, while other cores have nothing left.
LONGEST = (
    *("explorer", "docs", "workers", "cli", "pipeline", "copying", "stores", "sharing", "faults", "versions"),
    *("receptive_field_tables", "long_run", "neuron_page", "engine", "embedded", "package", "figures_covariance"),
    *("figures_receptive_field", "security", "export_nwb", "figures", "report", "bad_input"),
)


def pytest_collection_modifyitems(items):
    order = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="module")
def three_threads():
    """Share the numerics out to three threads, however many cores there are: with one, faults of sharing hide."""
    use_threads(3)
    yield
    use_threads(None)


def pytest_collection_finish():
    """Take what was imported for immortal: looking through it for garbage takes a quarter of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def pytest_sessionstart():
    """Read each line of a table's definition once: parsing takes half of the time of making a table."""
    parser = dj.declare.attribute_parser
    parse = functools.cache(parser.parse_string)
    # DataJoint writes into what it is given
    parser.parse_string = lambda line, **options: parse(line, **options).copy()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A data folder whose server runs as long as the tests do."""
    folder = tmp_path_factory.mktemp("data")
    with EmbeddedServer(folder):
        yield folder


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    """A simulated file of the small layout."""
    return write_simulation(tmp_path_factory.mktemp("small") / "small.pkl", "small")[0]


@pytest.fixture(scope="session")
def brief_layout(tmp_path_factory):
    """A layout with one stimulation of three neurons: for what draws pictures, which take their time."""
    stimulation = dict(load_layout("small")[1]["stimulations"][0])
    stimulation["spike_counts"] = stimulation["spike_counts"][-3:]
    layout = [{"subject_name": "WT", "session_date": "2020-03-01", "sample_number": 2, "stimulations": [stimulation]}]
    file = tmp_path_factory.mktemp("brief") / "brief.json"
    file.write_text(json.dumps(layout))
    return file


@pytest.fixture(scope="session")
def brief_file(brief_layout):
    """A simulated file of the brief layout."""
    return write_simulation(brief_layout.with_suffix(".pkl"), brief_layout)[0]


# Prefixes of empty pipelines by kind of server: making tables takes a second, emptying them a twentieth of one.
EMPTY = defaultdict(list)


@pytest.fixture
def prefix(request):
    """Names of schemas that no other test uses at the same time."""
    kind = server_kind(request)
    return EMPTY[kind].pop() if kind and EMPTY[kind] else new_prefix()


def new_prefix():
    return f"test_{uuid.uuid4().hex[:12]}"


def server_kind(request):
    """The server of the pipeline that a test asks for, or None."""
    if "pipeline" in request.fixturenames:
        return request.node.callspec.params["config_file"]
    return "embedded" if "embedded" in request.fixturenames else None


def without(reason):
    """Skip a test of what is not there, or fail it where everything should be."""
    (pytest.fail if os.environ.get("TEST_ALL_SERVERS") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The executables dj-neuron and python, started at once; those who test the start itself take the real ones."""
    with warm_program.serving(tmp_path_factory.mktemp("programs")) as files:
        yield files


@pytest.fixture(scope="session")
def program(programs):
    """The executable dj-neuron, started at once."""
    return programs[0]


@pytest.fixture(scope="session")
def explorer(program):
    """A real explorer of a data folder, in a process of its own: a context."""
    return functools.partial(explored.explorer, program)


@pytest.fixture(scope="session")
def chromium():
    """The path of a real browser."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or without("chromium is not installed")


@pytest.fixture(scope="module")
def reader(chromium, tmp_path_factory):
    """A real browser whose windows share a profile on disk, as a person's do: it keeps what it has compiled."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        start = playwright.chromium.launch_persistent_context
        with start(profile, executable_path=chromium, args=flags, viewport={"width": 1280, "height": 800}) as context:
            yield context


def server_config(backend, folder):
    """Write a configuration file as the 2019 system had, for the real server that the environment names."""
    variable = f"TEST_{backend.upper()}_SERVER"
    address = re.fullmatch(r"(.+):(.+)@(.+):(\d+)", os.environ.get(variable, ""))
    if address is None:
        without(f"{variable} names no server")
    user, password, host, port = address.groups()
    keys = {"host": host, "port": int(port), "username": user, "password": password, "backend": backend}
    keys["use_tls"] = False  # DataJoint warns of a server without
    file = folder / "db.json"
    file.write_text(json.dumps(keys))
    return file


@pytest.fixture(scope="session")
def postgresql_config(tmp_path_factory):
    """The configuration file of a PostgreSQL server."""
    return server_config("postgresql", tmp_path_factory.mktemp("postgresql"))


@pytest.fixture(scope="session")
def mysql_config(tmp_path_factory):
    """The configuration file of a MySQL-protocol server."""
    return server_config("mysql", tmp_path_factory.mktemp("mysql"))


@pytest.fixture(params=["embedded", "postgresql", "mysql"])
def config_file(request):
    """Every kind of server: its configuration file, or None for the embedded one."""
    return None if request.param == "embedded" else request.getfixturevalue(f"{request.param}_config")


def opened(request, data_dir, prefix, config_file=None):
    with dj_neuron.connect(data_dir, config_file=config_file, prefix=prefix) as pipeline:
        yield pipeline
        empty(pipeline.database.connection, prefix)
    EMPTY[server_kind(request)].append(prefix)


def empty(connection, prefix):
    """Delete all rows, with jobs and stored objects."""
    activate(connection, prefix)
    adapter, config = connection.adapter, connection._config
    names = [table.full_table_name for table in reversed(list(table_classes()))]
    for schema in (f"{prefix}_{module}" for module in SCHEMA_MODULES):
        there = [name for name, *_ in connection.query(adapter.list_tables_sql(schema))]
        names += [adapter.make_full_table_name(schema, name) for name in there if name.startswith("~~")]  # jobs
        backend, folder = backend_of(config, STORE), folder_of(config, STORE, schema)
        remove(backend, listing(backend, folder))
    for name in names:
        connection.query(f"DELETE FROM {name}")  # noqa: S608


@pytest.fixture
def embedded(request, data_dir, prefix):
    """An empty pipeline on the embedded server."""
    yield from opened(request, data_dir, prefix)


@pytest.fixture
def empty_prefix(data_dir):
    """The prefix of an empty pipeline on the embedded server, for what opens it by itself."""
    prefix = EMPTY["embedded"].pop() if EMPTY["embedded"] else new_prefix()
    yield prefix
    with dj_neuron.connect(data_dir, prefix=prefix) as pipeline:
        empty(pipeline.database.connection, prefix)
    EMPTY["embedded"].append(prefix)


@pytest.fixture
def pipeline(request, data_dir, prefix, config_file):
    """An empty pipeline, on every kind of server."""
    yield from opened(request, data_dir, prefix, config_file)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """A real S3 server in a process of its own: moto's, or the one TEST_S3_SERVER names as key:secret@host:port."""
    with contextlib.ExitStack() as stack:
        given = re.fullmatch(r"(.+):(.+)@(.+:\d+)", os.environ.get("TEST_S3_SERVER", ""))
        key, secret, endpoint = given.groups() if given else ("lab", "white noise secret", stack.enter_context(moto()))
        yield {"endpoint": endpoint, "access_key": key, "secret_key": secret}


@contextlib.contextmanager
def moto():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", address.split(":")[1]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/moto-api/"):
                    break
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()


@pytest.fixture
def s3(s3_server):
    """An empty place in a bucket, as DataJoint is told of it."""
    fs = s3fs.S3FileSystem(
        key=s3_server["access_key"],
        secret=s3_server["secret_key"],
        client_kwargs={"endpoint_url": f"http://{s3_server['endpoint']}"},
    )
    if not fs.exists("lab"):
        fs.mkdir("lab")
    return {"protocol": "s3", "bucket": "lab", "location": f"store-{uuid.uuid4().hex}", "secure": False, **s3_server}


@pytest.fixture
def make_session():
    """Make a session of random stimulations; `changes` go to the session, a dictionary each to the stimulations."""

    def make(*stimulations, seed=0, **changes):
        rng = np.random.default_rng(seed)
        made = []
        for number, own in enumerate(stimulations, start=1):
            frames = rng.choice([-1, 1], (200, 3, 4))
            values = {
                "stimulation_number": number,
                "movie": Movie.from_frames(frames, block_size_px=(10, 20)),
                "frame_rate_hz": 59.98,
                "onset_s": 1.25,
                "pixel_size_um": 2.0,
                "spike_trains": tuple(
                    SpikeTrain(i, np.sort(rng.uniform(0, 5, n))) for i, n in enumerate((80, 0, 3), 1)
                ),
            }
            made.append(Stimulation(**(values | own)))
        whole = {"subject_name": "WT", "session_date": datetime.date(2020, 1, 2), "sample_number": 3}
        return Session(**(whole | changes), stimulations=tuple(made))

    return make
