"""Explorer queries at a million neurons: python benchmarks/scale_tables.py --config server.json --prefix scratch.

Ingests and computes one stimulation of 100 neurons, says what its rows weigh, copies its rows inside the server until
there are --neurons, and times every query that the explorer makes. Large arrays in rows are cut short in the copies (a
server keeps long ones apart from the rows); the measures of the copies are random numbers. The schemas are deleted at
the end, unless --keep; with --again an earlier --keep is timed once more.
"""

import argparse
import datetime
import json
import re
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import dj_neuron
from dj_neuron import Movie, pipeline, queries
from dj_neuron.computing import DelayRange
from dj_neuron.contracts import Session, SpikeTrain, Stimulation
from dj_neuron.explorer.pages.table import ROWS_PER_PAGE, most_rows
from dj_neuron.ingest import ingest_session
from dj_neuron.thread_connections import ThreadConnections

N_IN_SESSION = 100
SUBJECT = "template"
CUT_BYTES = 200  # of a blob in the copies
# PostgreSQL's words; MySQL's are made of them
RANDOM = {
    "n_spikes": "cast(floor(random() * 20000) as int)",
    "peak_z": "(random() - 0.4) * 30",
    "peak_delay_s": "random() * 0.2",
    "noise_z": "3 + random()",
    "p_value_field": "random()",
    "q_value_field": "random()",
    "polarity": "cast(sign(random() - 0.5) as int)",
    "centre_x_um": "random() * 1600",
    "centre_y_um": "random() * 1200",
    "sigma_major_um": "40 + random() * 80",
    "time_to_peak_s": "0.03 + random() * 0.1",
    "test_correlation": "random() * 0.7",
}


def session(n_neurons, n_frames, n_blocks, n_spikes):
    """One stimulation with spikes at random."""
    rng = np.random.default_rng(1)
    movie = Movie.from_frames(rng.choice([-1, 1], (n_frames, n_blocks, n_blocks)), block_size_px=(20, 20))
    trains = tuple(
        SpikeTrain(i, np.sort(rng.uniform(0, n_frames / 60, n_spikes)), f"unit {i}") for i in range(1, n_neurons + 1)
    )
    shown = Stimulation(1, movie, 60.0, 0.0, 4.0, trains)
    return Session(subject_name=SUBJECT, session_date=datetime.date(2000, 1, 1), sample_number=1, stimulations=(shown,))


def computed(opened, made, delays, n_shifts):
    """Ingest a session and compute all that follows from it."""
    ingest_session(made)
    pipeline.receptive_field.SignificanceParams().insert1({"significance_params_id": 1, "n_shifts": n_shifts})
    report = opened.compute(delays)
    if report.errors:
        sys.exit("; ".join(report.errors))


class Server:
    """What differs between the two kinds of server."""

    def __init__(self, connection):
        self.query = connection.query
        self.is_mysql = connection.adapter.backend == "mysql"
        self.number = "seq" if self.is_mysql else "i"
        self.alias = "" if self.is_mysql else "(i)"

        self.process = self._process()

    def _process(self):
        """The process at work for us, if the server runs here."""
        if not self.is_mysql:
            return Path(f"/proc/{self.query('SELECT pg_backend_pid()').fetchone()[0]}/task")
        file = Path(self.query("SELECT @@pid_file").fetchone()[0])
        return Path(f"/proc/{file.read_text().strip()}/task")

    def busy_s(self):
        """Seconds that processors have worked for the server; of PostgreSQL, for this connection."""
        return sum(int((task / "schedstat").read_text().split()[0]) for task in self.process.iterdir()) / 1e9

    def column(self, name):
        """Quote a name."""
        return f"`{name}`" if self.is_mysql else f'"{name}"'

    def random(self, expression):
        """Give an expression in the server's words."""
        return expression.replace("random()", "rand()").replace("as int", "as signed") if self.is_mysql else expression

    def cut(self, column):
        """Give the first bytes of a column."""
        return f"left({column}, {CUT_BYTES})" if self.is_mysql else f"substr({column}, 1, {CUT_BYTES})"

    def numbers(self, n):
        """Give a table of 1 to `n`."""
        database = pipeline.experiment.schema.database
        return f"`{database}`.seq_1_to_{n}" if self.is_mysql else f"generate_series(1, {n})"

    def copy_key(self):
        """Twenty animal lines, one session a day each."""
        if self.is_mysql:
            return {
                "subject_name": "concat('line ', 1 + seq % 20)",
                "session_date": "date_add('2001-01-01', interval seq day)",
            }
        return {"subject_name": "'line ' || (1 + i % 20)", "session_date": "date '2001-01-01' + i"}

    def bytes_of(self, table):
        """Bytes of a table with what is kept apart from its rows, and of its indexes."""
        name = table.full_table_name
        if self.is_mysql:
            self.query(f"ANALYZE TABLE {name}").fetchall()
            database, table_name = name.replace("`", "").split(".")
            sizes = "SELECT data_length, index_length FROM information_schema.tables"
            where = "WHERE table_schema = %s AND table_name = %s"
            return self.query(f"{sizes} {where}", args=(database, table_name)).fetchall()[0]
        quoted = name.replace("'", "''")
        return self.query(f"SELECT pg_table_size('{quoted}'), pg_indexes_size('{quoted}')").fetchall()[0]


def copied_tables():
    """The tables that grow with the sessions, parents before children."""
    shared = {"Subject", "Movie"}
    for _, table in queries.table_classes():
        if "session_date" in table().primary_key and table.__name__ not in shared:
            yield table


def copy(server, table, n_sessions):
    """Multiply the rows of the template."""
    heading = table().heading
    expressions = []
    keys = server.copy_key().values()
    for name in heading.names:
        column = server.column(name)
        attribute = heading[name]
        if name in server.copy_key():
            expressions.append(server.copy_key()[name])
        elif name in RANDOM:
            expressions.append(server.random(RANDOM[name]))
        elif attribute.type in {"bytea", "longblob"}:
            expressions.append(server.cut(column))
        else:
            expressions.append(column)
    columns = ", ".join(server.column(name) for name in heading.names)
    source = f"FROM {table().full_table_name} CROSS JOIN"
    step = 500
    for first in range(0, n_sessions, step):
        number = f"({server.number} + {first})"
        values = [re.sub(rf"\b{server.number}\b", number, one) if one in keys else one for one in expressions]
        numbers = f"{server.numbers(min(step, n_sessions - first))} AS copies{server.alias}"
        statement = f"SELECT {', '.join(values)} {source} {numbers} WHERE subject_name = '{SUBJECT}'"
        # a remainder is written as two signs of per cent, where the clients look for arguments
        server.query(f"INSERT INTO {table().full_table_name} ({columns}) {statement}".replace("%", "%%"))


def fill(server, n_neurons):
    """Make the rows and give the seconds it took."""
    started = time.perf_counter()
    n_sessions = n_neurons // N_IN_SESSION - 1
    names = [{"subject_name": f"line {i}"} for i in range(1, 21)]
    pipeline.experiment.Subject().insert(names, skip_duplicates=True)
    server.query("SET foreign_key_checks = 0" if server.is_mysql else "SET session_replication_role = replica")
    for table in copied_tables():
        copy(server, table, n_sessions)
        print(f"  {table.__name__}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    for table in copied_tables():
        if server.is_mysql:
            server.query(f"ANALYZE TABLE {table().full_table_name}").fetchall()
        else:
            server.query(f"VACUUM ANALYZE {table().full_table_name}")
    return time.perf_counter() - started


def explorer_queries():
    """Every query of the explorer, by the page that makes it."""
    parameters = queries.default_parameters()
    everything = queries.NeuronQuery(parameters)
    n_all = queries.n_neurons(everything)
    middle = queries.neuron_page(everything, offset=n_all // 2, limit=1)[0]
    stimulation_id = next(iter(queries.recordings(offset=1, limit=1))).stimulations[0].stimulation_id
    key = vars(stimulation_id)

    def of(**changes):
        return queries.NeuronQuery(parameters, **changes)

    def counted(query):
        return queries.n_neurons(query, at_most=most_rows(query) + 1)

    def last_page(query):
        return queries.neuron_page(query, offset=max(counted(query) - 1 - ROWS_PER_PAGE, 0))

    found = {
        "start: tiles": lambda: queries.totals(parameters),
        "start: is it large?": queries.is_large,
        "start: 50 sessions": lambda: queries.recordings(limit=50),
        "start: last 50 sessions": lambda: queries.recordings(offset=max(n_all // N_IN_SESSION - 50, 0), limit=50),
        "parameters": queries.default_parameters,
        "estimates to choose from": queries.parameter_rows,
        "table: count": lambda: counted(everything),
        "table: first page": lambda: queries.neuron_page(everything),
        "table: last page": lambda: last_page(everything),
    }
    for name in queries.SORT_COLUMNS:
        for descending in (False, True):
            query = of(sort_by=name, descending=descending)
            found[f"table: by {'-' * descending}{name}"] = lambda query=query: queries.neuron_page(query)
            found[f"table: by {'-' * descending}{name}: last page"] = lambda query=query: last_page(query)
    significant, on = {"p_value_field": (None, 0.05)}, {"polarity": (1, 1)}
    for words, changes in {
        "significant": {"ranges": significant},
        "ON": {"ranges": on},
        "significant and ON": {"ranges": significant | on},
        "significant, label contains 77": {"ranges": significant, "label": "77"},
        "significant, 100 < x < 101": {"ranges": significant | {"centre_x_um": (100, 101)}},
        "z and r above a half": {"ranges": {"peak_z": (3, None), "test_correlation": (0.35, None)}},
        "significant and ON, z and r above a half": {
            "ranges": {**significant, **on, "peak_z": (3, None), "test_correlation": (0.35, None)}
        },
        "100 < x < 101": {"ranges": {"centre_x_um": (100, 101)}},
        "label contains 77": {"label": "77"},
        "label contains nothing there": {"label": "no such"},
    }.items():
        for sort_by in ("", "peak_z", "test_correlation"):
            query = of(**changes, sort_by=sort_by, descending=bool(sort_by))
            by = f" by -{sort_by}" if sort_by else ""
            found[f"table: {words}{by}: rows"] = lambda query=query: queries.neuron_page(query)
            found[f"table: {words}{by}: last page"] = lambda query=query: last_page(query)
        found[f"table: {words}: count"] = lambda query=query: counted(query)
    own = of(key=key, sort_by="peak_z", descending=True)
    found |= {
        "stimulation: described": lambda: queries.stimulation_infos([key]),
        "stimulation: count": lambda: queries.n_neurons(own),
        "stimulation: rows": lambda: queries.neuron_page(own),
        "stimulation: state": lambda: queries.state_of(stimulation_id),
        "neuron: neighbours": lambda: queries.neighbours(middle),
        "pipeline: progress": queries.progress,
        "pipeline: tables": lambda: queries.tables(is_counted=False),
        "pipeline: jobs": queries.open_jobs,
        "pipeline: foreign keys": queries.foreign_keys,
    }
    return found


def timed(server, ask, n_runs):
    """Milliseconds of `n_runs` calls after one that is not counted, by the clock and of both processors' work."""
    ask()
    found = []
    while len(found) < n_runs and sum(wall for wall, _ in found) < 5000:
        busy, started = time.process_time() + server.busy_s(), time.perf_counter()
        ask()
        wall = time.perf_counter() - started
        found.append((1e3 * wall, 1e3 * (time.process_time() + server.busy_s() - busy)))
    return found


def measure(server, n_runs, only):
    """Print and give the milliseconds of every query."""
    found = {}
    print(f"\n{'median of milliseconds (least to most)':64}{'by the clock':>28}{'of work':>24}")
    for name, ask in explorer_queries().items():
        if only in name:
            found[name] = timed(server, ask, n_runs)
            sides = [
                f"{statistics.median(s):8.1f} ({min(s):.1f} to {max(s):.1f})" for s in zip(*found[name], strict=True)
            ]
            print(f"{name:64}{sides[0]:>28}{sides[1]:>24}", flush=True)
    return found


def weigh(server):
    """Bytes of the rows of the template, which are whole, and of their objects in the store."""
    print(f"\n{'':28}{'rows':>10}{'bytes/row':>12}{'index':>8}")
    for _, table in queries.table_classes():
        n_rows = len(table())
        data, index = server.bytes_of(table())
        if n_rows:
            print(f"{table.__name__:28}{n_rows:>10}{data / n_rows:>12.0f}{index / n_rows:>8.0f}")


def main():
    """Make the rows, measure, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--prefix", default="scale")
    parser.add_argument("--neurons", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--only", default="", help="Queries whose name contains this.")
    parser.add_argument("--weigh", action="store_true", help="Only say what rows of the usual size weigh.")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with dj_neuron.connect(chosen.data_dir, config_file=chosen.config, prefix=chosen.prefix) as opened:
        server = Server(opened.database.connection)
        if chosen.weigh:
            computed(opened, session(5, 36_000, 16, 6000), DelayRange(-0.1, 0.4), 1000)
            weigh(server)
            opened.clear()
            return
        if not chosen.again:
            computed(opened, session(N_IN_SESSION, 600, 8, 40), DelayRange(0.0, 0.05), 20)
            print(f"{fill(server, chosen.neurons):.0f} s to copy the rows", flush=True)
            weigh(server)
        # as the explorer reads
        connections = ThreadConnections(opened.database.connection, opened.database.description)
        pipeline.activate(connections, chosen.prefix)
        queries.load_headings()
        found = measure(Server(connections), chosen.runs, chosen.only)
        connections.close()
        pipeline.activate(opened.database.connection, chosen.prefix)
        if chosen.json:
            chosen.json.write_text(json.dumps(found, indent=2))
        if not (chosen.keep or chosen.again):
            opened.clear()


if __name__ == "__main__":
    main()
