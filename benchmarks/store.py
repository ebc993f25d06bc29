"""Arrays into a store and out of it: python benchmarks/store.py [--config server.json] [--data-dir FOLDER].

Writes arrays of the size of an STRF through a table, and reads them back, beside DataJoint's own codec for arrays,
which keeps no checksum, and beside NumPy alone, which knows of no database. The store is the one that is configured: a
folder, or an S3 server that datajoint.json names. The tables are deleted at the end.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import dj_neuron
from dj_neuron._datajoint import dj
from dj_neuron.pipeline.store import STORE

BATCH = 20  # arrays stored at once: the neurons of a stimulation


def tables_in(connection, name):
    """Make a table of arrays for each codec."""
    schema = dj.Schema(name, connection=connection)

    class Ours(dj.Manual):
        definition = f"number: int32\n---\nvalues: <array@{STORE}>"

    class DataJoints(dj.Manual):
        definition = f"number: int32\n---\nvalues: <npy@{STORE}>"

    return schema, {"dj-neuron": schema(Ours), "DataJoint's <npy@>": schema(DataJoints)}


def through(table, arrays, n_threads):
    """Give the seconds to write arrays through a table, and to read them back in another order."""
    started = time.perf_counter()
    for first in range(0, len(arrays), BATCH):
        rows = enumerate(arrays[first : first + BATCH], start=first)
        table.insert({"number": number, "values": values} for number, values in rows)
    written = time.perf_counter()
    stored = [row["values"] for row in table().to_dicts(order_by="number")]
    order = np.random.default_rng(0).permutation(len(stored))
    with ThreadPoolExecutor(n_threads) as threads:
        found = list(threads.map(lambda number: np.asarray(stored[number].load()), order))
    read = time.perf_counter()
    if not all(np.array_equal(values, arrays[number]) for number, values in zip(order, found, strict=True)):
        raise AssertionError("arrays came back changed")
    return written - started, read - written


def beside(folder, arrays):
    """Give the seconds for NumPy's files in a folder."""
    started = time.perf_counter()
    for number, values in enumerate(arrays):
        np.save(folder / f"{number}.npy", values)
    written = time.perf_counter()
    for number in range(len(arrays)):
        np.load(folder / f"{number}.npy")
    return written - started, time.perf_counter() - written


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--arrays", type=int, default=1000)
    parser.add_argument("--shape", type=int, nargs=3, default=(31, 16, 16))
    parser.add_argument("--threads", type=int, default=1, help="That read.")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    arrays = list(rng.normal(size=(chosen.arrays, *chosen.shape)).astype(np.float32))
    megabytes = sum(values.nbytes for values in arrays) / 1e6
    found = {}
    with dj_neuron.connect(chosen.data_dir, config_file=chosen.config, prefix="store_benchmark") as opened:
        connection = opened.database.connection
        print(f"{connection._config.get_store_spec(STORE)['protocol']} store, {opened.database.description}")
        for _ in range(chosen.runs):
            schema, tables = tables_in(connection, "store_benchmark_arrays")
            for name, table in tables.items():
                found.setdefault(name, []).append(through(table, arrays, chosen.threads))
            for table in tables.values():
                table().delete(prompt=False)
            schema.drop(prompt=False)
            with tempfile.TemporaryDirectory(dir=chosen.data_dir) as folder:
                found.setdefault("NumPy's files alone", []).append(beside(Path(folder), arrays))
        opened.clean(older_than_s=0, delete=True)
        dj_neuron.pipeline.drop(connection, "store_benchmark")
    size = f"{arrays[0].nbytes / 1e3:.0f} kB"
    print(f"{chosen.arrays} arrays of {size}, median of {chosen.runs}, {chosen.threads} thread(s) reading")
    print(f"{'':24}{'written':>24}{'read':>24}")
    for name, runs in found.items():
        sides = [statistics.median(side) for side in zip(*runs, strict=True)]
        words = [f"{chosen.arrays / s:,.0f}/s {megabytes / s:,.0f} MB/s" for s in sides]
        print(f"{name:24}{words[0]:>24}{words[1]:>24}")


if __name__ == "__main__":
    main()
