"""Write a tiny pipeline of the commit whose `src` is on PYTHONPATH as SQL and arrays, for the tests of `db upgrade`.

    PYTHONPATH=OLD_CHECKOUT/src python tests/data/make_dump.py tests/data/version_N.zip

from the servers of TEST_POSTGRESQL_SERVER and TEST_MYSQL_SERVER (user:password@host:port), which must hold no schemas
of the prefix "stored". Needs pg_dump and mariadb-dump. version_0.zip was made at 2999b42.
"""

import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

import dj_neuron
from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation
from dj_neuron.ingest import ingest_session

PREFIX = "stored"
MODULES = ("experiment", "strf", "receptive_field", "covariance", "quality")


def session():
    """A movie shown twice to a neuron that likes one block, a silent one and one that fires at random."""
    rng = np.random.default_rng(7)
    movie = Movie.from_frames(rng.choice([-1, 1], (600, 3, 4)), block_size_px=(10, 20))
    likes = np.flatnonzero(movie.frames()[:, 1, 2] > 0)
    stimulations = []
    for number, onset_s in ((1, 1.25), (2, 20.0)):
        seen = np.sort(rng.choice(likes, 120, replace=False))
        trains = (
            SpikeTrain(1, onset_s + (seen + 3.5) / 59.98),
            SpikeTrain(2, np.array([])),
            SpikeTrain(3, np.sort(rng.uniform(onset_s, onset_s + 10, 60)), "noise"),
        )
        stimulations.append(Stimulation(number, movie, 59.98, onset_s, 2.0, spike_trains=trains))
    empty = Session("WT", datetime.date(2020, 1, 3), 1)
    return Session("WT", datetime.date(2020, 1, 2), 3, note="it's 100 %", stimulations=tuple(stimulations)), empty


def fill(pipeline):
    for one in session():
        ingest_session(one)
    pipeline.receptive_field.SignificanceParams.insert1({"significance_params_id": 1, "n_shifts": 60})
    pipeline.compute([dj_neuron.connection.DelayRange(-0.05, 0.1)])
    report = pipeline.compute(0.05)
    assert not report.errors, report.errors


def dump(backend, user, password, host, port):
    schemas = [f"{PREFIX}_{module}" for module in MODULES]
    if backend == "mysql":
        command = ["mariadb-dump", f"-h{host}", f"-P{port}", f"-u{user}", f"-p{password}", "--hex-blob", "--compact"]
        return subprocess.run([*command, "--databases", *schemas], check=True, capture_output=True, text=True).stdout
    command = [
        "pg_dump",
        "-h",
        host,
        "-p",
        port,
        "-U",
        user,
        "-d",
        "postgres",
        "--inserts",
        "--no-owner",
        "--no-privileges",
    ]
    text = subprocess.run(
        [*command, *(f"--schema={schema}" for schema in schemas)],
        check=True, capture_output=True, text=True, env={**os.environ, "PGPASSWORD": password},
    ).stdout  # fmt: skip
    # what psql understands, or only servers of that version
    return "\n".join(line for line in text.splitlines() if not re.match(r"\\|SET |--|$|SELECT pg_catalog", line)) + "\n"


def main():
    archive = zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED)
    with tempfile.TemporaryDirectory() as scratch, archive as out:
        for backend in ("postgresql", "mysql"):
            address = re.fullmatch(r"(.+):(.+)@(.+):(\d+)", os.environ[f"TEST_{backend.upper()}_SERVER"]).groups()
            user, password, host, port = address
            file, folder = Path(scratch) / "db.json", Path(scratch) / backend
            keys = {"host": host, "port": int(port), "username": user, "password": password, "backend": backend}
            file.write_text(json.dumps(keys))
            with dj_neuron.connect(folder, config_file=file, prefix=PREFIX) as pipeline:
                fill(pipeline)
                out.writestr(f"{backend}.sql", dump(backend, *address))
                for path in sorted((folder / "store").rglob("*.npy")):
                    name = str(path.relative_to(folder))
                    if name not in out.namelist():  # a movie has the same name for both
                        out.write(path, name)
                dj_neuron.pipeline.drop(pipeline.database.connection, PREFIX)


main()
