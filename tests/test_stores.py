"""Movies and STRFs in a folder and in an S3 server: whole, damaged, missing, orphaned, moved."""

import json
import pickle
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import dj_neuron
from dj_neuron import Movie
from dj_neuron._datajoint import Config, global_config
from dj_neuron.errors import StoreError
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline import movie_codec
from dj_neuron.pipeline.store import STORE, backend_of, in_words, listing, write

MENDED = "bring them back from a copy of the store, or delete their rows and compute or ingest anew"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "store").mkdir()
    return {"protocol": "file", "location": str(tmp_path / "store")}


@pytest.fixture(params=["folder", "s3"])
def configured(request, monkeypatch):
    """DataJoint's configuration of the store, of both kinds."""
    monkeypatch.setitem(global_config.stores, STORE, spec := request.getfixturevalue(request.param))
    return spec


def config_of(spec):
    config = Config()
    config.stores = {STORE: spec}
    return config


class Objects:
    """The objects of a pipeline, reached beside DataJoint."""

    def __init__(self, pipeline):
        self.backend = backend_of(pipeline.database.connection._config, STORE)
        self.prefix = pipeline.database.prefix

    def paths(self, text=""):
        return sorted(path for path in listing(self.backend, "") if f"/{self.prefix}_" in path and text in path)

    def read(self, path):
        return self.backend.fs.cat_file(self.backend._full_path(path), start=0)

    def put(self, path, content):
        self.backend.fs.pipe_file(self.backend._full_path(path), content)

    def remove(self, path):
        self.backend.fs.rm_file(self.backend._full_path(path))


@pytest.fixture
def objects(configured, embedded, make_session):
    """The objects of a pipeline with one stimulation of three neurons; one file for the movie, one for each STRF."""
    ingest_session(make_session({}))
    assert embedded.compute([0.05], judge=False).errors == ()
    return Objects(embedded)


def flipped(content):
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


DAMAGE = {
    "flipped": flipped,
    "cut": lambda content: content[:-1],
    "header only": lambda content: content[:100],
    "empty": lambda content: b"",
    "longer": lambda content: content + b"!",
    "missing": None,
}


def load_movie(pipeline):
    return pipeline.experiment.Movie().fetch1("frames").load()


def load_strfs(pipeline):
    return pipeline.strfs()


def test_what_is_damaged_or_missing_is_named(embedded, objects):
    for load, text, name in (
        (load_movie, "/frames/", "Movie of movie_hash"),
        (load_strfs, "neuron_id=1/strf_", "StrfEstimation.Strf of subject_name WT, session_date 2020-01-02"),
    ):
        (path,) = objects.paths(text)
        content = objects.read(path)
        for damage, damaged in DAMAGE.items():
            if damaged is None:
                objects.remove(path)
            else:
                objects.put(path, damaged(content))
            what = "missing" if damaged is None else "damaged"
            sentence = f"{name}.* is {what}.*{re.escape(path)} in the store"
            if not (damage == "longer" and load is load_movie):  # of a movie, only its frames are read
                with pytest.raises(StoreError, match=sentence):
                    load(embedded)
            for is_read in {True, damage == "flipped"}:
                (fault,) = embedded.inventory(is_read=is_read).faults
                assert (fault.path, bool(re.match(sentence, fault.sentence))) == (path, True)
        objects.put(path, content)
        assert load(embedded)
    found = embedded.inventory()
    assert (found.faults, found.orphans, found.n_objects, found.n_without_checksum) == ((), (), 4, 0)
    assert found.n_bytes == sum(len(objects.read(path)) for path in objects.paths())


RUSSIAN = "Мышь линии C57BL/6, правый глаз, третья сетчатка, второй препарат"
NAMES = ("ü" * 128, "\N{MOUSE}" * 100, RUSSIAN, "KO chx/10", "WT")


def test_any_name_that_tables_hold_has_a_place(embedded, objects, make_session):
    """Names of folders end at 255 bytes; those that are shorter are DataJoint's own."""
    for name in NAMES:
        ingest_session(make_session({}, subject_name=name))
    assert embedded.compute(0.05, judge=False).errors == ()
    assert {strf.stimulation_id.subject_name for strf in embedded.strfs()} == set(NAMES)
    rows = embedded.strf.StrfEstimation.Strf().to_dicts()
    folders = {row["subject_name"]: row["strf"].metadata["path"].split("/")[3] for row in rows}
    assert max(len(folder.encode()) for folder in folders.values()) <= 255
    assert len(set(folders.values())) == len(NAMES)
    assert (folders["WT"], folders["KO chx/10"]) == ("subject_name=WT", "subject_name=KO%20chx%2F10")
    found = embedded.inventory()
    assert (found.faults, found.orphans, found.n_objects) == ((), (), 3 * len(NAMES) + 1)


@pytest.mark.parametrize("configured", ["folder"], indirect=True)
def test_rows_without_a_checksum_are_read_and_counted(embedded, objects):
    table = embedded.strf.StrfEstimation.Strf().full_table_name
    embedded.database.connection.query(f"UPDATE {table} SET strf = (strf::jsonb - 'sha256' - 'n_bytes')::json")  # noqa: S608
    assert len(embedded.strfs()) == 3
    found = embedded.inventory()
    assert (found.n_objects, found.n_without_checksum, found.faults) == (4, 3, ())
    path = objects.paths("neuron_id=1/strf_")[0]
    objects.put(path, objects.read(path)[:-1])
    with pytest.raises(StoreError, match="is no array"):
        embedded.strfs()
    objects.remove(path)
    assert [fault.path for fault in embedded.inventory().faults] == [path]


def test_slices_of_a_movie_are_read_and_verified_each_by_itself(configured, embedded, make_session, monkeypatch):
    monkeypatch.setattr(movie_codec, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(movie_codec, "_CHUNK_BYTES", 1000)
    movie = Movie.from_frames(np.random.default_rng(0).choice([-1, 1], (800, 3, 4)))
    ingest_session(make_session({"movie": movie}))
    lazy = load_movie(embedded)
    for part in (slice(0, 800), slice(3, 9), slice(499, 501), slice(790, 900), slice(7, 7)):
        np.testing.assert_array_equal(lazy.data[part], movie.data[part])
    assert lazy.movie_hash == movie.movie_hash

    objects = Objects(embedded)
    (path,) = objects.paths("/frames/")
    objects.put(path, flipped(objects.read(path)))
    np.testing.assert_array_equal(lazy.data[0:500], movie.data[0:500])  # the damage is in the last frames
    with pytest.raises(StoreError, match="is damaged"):
        lazy.data[790:800]


def test_an_upload_that_breaks_off_leaves_nothing(configured):
    backend = backend_of(config_of(configured), STORE)

    def chunks():
        yield b"first"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(backend, "_schema/a/b", chunks())
    assert listing(backend, "") == {}
    write(backend, "_schema/a/b", [b"first", b"second"])
    assert [found.n_bytes for found in listing(backend, "_schema").values()] == [11]


def test_orphans_are_cleaned_when_old_and_asked_for(embedded, objects, make_session):
    kept = objects.paths("/frames/")
    embedded.strf.StrfParams().delete(prompt=False)
    orphans = [path for path in objects.paths() if path not in kept]
    found = embedded.inventory()
    assert [orphan.path for orphan in found.orphans] == orphans
    assert found.n_orphan_bytes == sum(len(objects.read(path)) for path in orphans)
    assert found.n_objects == 1

    assert embedded.clean(delete=True) == []  # they are young
    assert [orphan.path for orphan in embedded.clean(older_than_s=0)] == orphans
    assert objects.paths() == sorted([*kept, *orphans])
    assert [orphan.path for orphan in embedded.clean(older_than_s=0, delete=True)] == orphans
    assert objects.paths() == kept
    assert load_movie(embedded)

    # what an earlier version may have left: an object of the right name that is cut
    embedded.experiment.Session().delete(prompt=False)
    embedded.experiment.Movie().delete(prompt=False)
    content = objects.read(kept[0])
    objects.put(kept[0], content[:-1])
    ingest_session(make_session({}))
    assert objects.read(kept[0]) == content


INGEST = """
import pickle, sys
import dj_neuron
from dj_neuron._datajoint import global_config
from dj_neuron.ingest import session_rows, _TABLES
data_dir, config_file, prefix, session = pickle.load(sys.stdin.buffer)
with dj_neuron.connect(data_dir, config_file=config_file, prefix=prefix) as pipeline:
    rows = session_rows(session)
    with pipeline.database.connection.transaction:
        for name in _TABLES:
            getattr(pipeline.experiment, name).insert(rows[name])
        print("written", flush=True)
        sys.stdin.buffer.read()
"""


def test_cleaning_waits_for_an_ingest_and_keeps_its_movie(pipeline, make_session, config_file, data_dir, prefix):
    """The object is there already, without a row: an old one, which the ingest takes rather than write it again."""
    session = make_session({})
    ingest_session(session)
    pipeline.experiment.Session().delete(prompt=False)
    pipeline.experiment.Movie().delete(prompt=False)
    pipeline.experiment.Subject().delete(prompt=False)
    (orphan,) = pipeline.clean(older_than_s=0)

    with subprocess.Popen(
        [sys.executable, "-c", INGEST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    ) as process:
        process.stdin.write(pickle.dumps((data_dir, config_file, prefix, session)))
        process.stdin.flush()
        assert process.stdout.readline() == b"written\n"
        done = []
        cleaning = threading.Thread(target=lambda: done.append(pipeline.clean(older_than_s=0, delete=True)))
        cleaning.start()
        time.sleep(1)
        assert done == []
        process.stdin.close()
        cleaning.join()
    assert process.returncode == 0
    assert done == [[]]
    assert load_movie(pipeline).movie_hash == session.stimulations[0].movie.movie_hash
    assert orphan.path == pipeline.experiment.Movie().fetch1("frames").metadata["path"]


@pytest.fixture
def mysql_or_none(request):
    def config_file(pipeline):
        is_mysql = pipeline.database.connection.adapter.backend == "mysql"
        return request.getfixturevalue("mysql_config") if is_mysql else None

    return config_file


def test_a_store_that_does_not_answer_is_named_and_nothing_is_written(embedded, make_session, monkeypatch, s3, prefix):
    config = embedded.database.connection._config
    spec = {**s3, "bucket": "no-such-bucket"}
    monkeypatch.setitem(config.stores, STORE, spec)
    with pytest.raises(StoreError, match=r"the store 'dj_neuron' cannot be used for .*/frames/.*bucket does not exist"):
        ingest_session(make_session({}))
    monkeypatch.setitem(config.stores, STORE, {**s3, "endpoint": "127.0.0.1:1"})
    with pytest.raises(StoreError, match=r"the store 'dj_neuron' cannot be used for .*Could not connect"):
        ingest_session(make_session({}))
    monkeypatch.setitem(config.stores, STORE, {"protocol": "file", "location": "/not/mounted"})
    with pytest.raises(StoreError, match="the store 'dj_neuron' cannot be used: there is no folder /not/mounted"):
        ingest_session(make_session({}))
    assert len(embedded.experiment.Session()) == 0
    monkeypatch.undo()


def test_what_is_not_allowed_or_not_installed_is_said():
    metadata = {"path": "_schema/a/movie/frames/x.npy", "store": STORE}
    for error, sentence in (
        (PermissionError("no"), r"^Movie cannot be read: permission denied \(_schema/a/movie/frames/x.npy in"),
        (ImportError("Install s3fs", name="s3fs"), r"needs s3fs that is not installed: install dj-neuron\[s3\]"),
        (OSError("disk on fire"), "cannot be used for _schema/a/movie/frames/x.npy: disk on fire"),
    ):
        with pytest.raises(StoreError, match=sentence), in_words(metadata):
            raise error
    with pytest.raises(ZeroDivisionError), in_words(metadata):
        raise ZeroDivisionError


def test_a_store_is_moved_by_copying_its_objects(make_session, monkeypatch, folder, s3, data_dir, prefix):
    monkeypatch.setitem(global_config.stores, STORE, folder)
    with dj_neuron.connect(data_dir, prefix=prefix) as pipeline:
        ingest_session(make_session({}))
        pipeline.compute([0.05], judge=False)
        before = pipeline.inventory()
        strfs = [strf.values for strf in pipeline.strfs()]
    monkeypatch.setitem(global_config.stores, STORE, s3)
    with dj_neuron.connect(data_dir, prefix=prefix) as pipeline:
        assert len(pipeline.inventory().faults) == before.n_objects == 4
        backend = backend_of(pipeline.database.connection._config, STORE)
        backend.fs.put(f"{folder['location']}/", backend._full_path(""), recursive=True)
        assert pipeline.inventory() == before
        np.testing.assert_array_equal([strf.values for strf in pipeline.strfs()], strfs)
        dj_neuron.pipeline.drop(pipeline.database.connection, prefix)
        assert listing(backend, "") == {}


@pytest.fixture
def work_dir(tmp_path, s3):
    """A folder whose DataJoint files name the S3 store, the secrets apart."""
    public = {name: value for name, value in s3.items() if not name.endswith("_key")}
    (tmp_path / "datajoint.json").write_text(json.dumps({"stores": {STORE: public}}))
    (tmp_path / ".secrets").mkdir(mode=0o700)
    for name in ("access_key", "secret_key"):
        (tmp_path / ".secrets" / f"stores.{STORE}.{name}").write_text(s3[name])
    return tmp_path


def test_every_verb_on_s3_and_no_secret_is_shown(work_dir, s3, data_dir, prefix, brief_file, program):
    def run(*args, code=0):
        command = [program, "--data-dir", data_dir, "--prefix", prefix, *args]
        done = subprocess.run(command, capture_output=True, text=True, cwd=work_dir, check=False)
        assert done.returncode == code, done.stderr
        assert s3["secret_key"] not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    run("build", str(brief_file), "--delays", "-0.05:0.1", "--strfs-only")
    stored = json.loads(run("status", "--deep", "--json").stdout)["store"]
    assert (stored["faults"], stored["orphans"], stored["is_read"]) == ([], [], True)
    assert stored["n_objects"] == 1 + 3  # a movie and three STRFs
    assert run("figures", "--out", "pictures").stdout.endswith("pictures/report.html leads through them\n")
    run("export", "neurons", "neurons.csv")
    assert "0 object(s) without rows" in run("db", "clean").stdout

    backend = backend_of(config_of(s3), STORE)
    path = next(path for path in listing(backend, "") if "/frames/" in path)
    backend.fs.rm_file(backend._full_path(path))
    for args in (("compute", "--delay", "0.2", "--strfs-only"), ("figures", "--out", "more")):
        assert f"is missing ({path} in the store" in run(*args, code=2).stderr
    done = run("status", "--deep", "--names-only", code=2)
    assert f"is missing ({path} in the store" in done.stdout
    assert re.search(rf"^Error: 1 of \d+ objects are missing or damaged: {MENDED}$", done.stderr, re.MULTILINE)

    (work_dir / "datajoint.json").write_text(
        json.dumps(
            {
                "stores": {
                    STORE: {**json.loads((work_dir / "datajoint.json").read_text())["stores"][STORE], "bucket": "none"}
                }
            }
        )
    )
    assert "bucket does not exist" in run("figures", "--out", "more", code=2).stderr
    (work_dir / "datajoint.json").write_text(json.dumps({"stores": {STORE: {"protocol": "s3", "bucket": "lab"}}}))
    assert "the configured store 'dj_neuron' is not valid" in run("status", code=2).stderr
