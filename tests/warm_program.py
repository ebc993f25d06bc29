"""``dj-neuron`` without its start, for tests that call it often: processes forked from one that has imported the rest.

:func:`serving` starts that one and makes programs that hand their arguments, folder, environment and streams to a
process forked from it, pass signals on and end as that process ends: ``dj-neuron``, and ``python SCRIPT ARGUMENTS``,
for which warnings are errors. What depends on the environment when it is imported, DataJoint and all of ours that needs
it, is imported by the forked process.
"""

import atexit
import contextlib
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from pathlib import Path

IMPORTED = (
    *("dash", "dj_neuron.contracts", "dj_neuron.simulate", "dj_neuron.readers", "dj_neuron.strf"),
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "networkx", "pandas", "platform", "psutil", "psycopg2"),
    *("pydantic_settings", "pymysql", "s3fs", "scipy.optimize", "urllib.request"),
)
CLIENT = """#!{python} -IS
import array, json, os, signal, socket, sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    streams = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    server.sendmsg([len(call).to_bytes(4, "big")], [streams])
    server.sendall(call)
    answer = server.makefile()
    process = int(answer.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(process, number))
    code = int(answer.readline())
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextlib.contextmanager
def serving(folder, interpreter=sys.executable):
    """Make the executable files ``dj-neuron`` and ``python`` in `folder`, which work until the context ends."""
    programs = [folder / "dj-neuron", folder / "python"]
    place = tempfile.mkdtemp(prefix="dj-neuron-")  # short, as a socket's path must be
    address = f"{place}/socket"
    server = subprocess.Popen(
        (interpreter, __file__, address),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # other tests have the other cores
    )
    try:
        assert server.stdout.readline() == b"ready\n"
        for program in programs:
            program.write_text(CLIENT.format(python=interpreter, address=address))
            program.chmod(0o755)
        yield programs
    finally:
        server.communicate()
        Path(address).unlink()
        Path(place).rmdir()


def _serve(address):
    for name in IMPORTED:
        importlib.import_module(name)
    running = {}  # connections to clients by the processes that work for them
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen(64)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    client = listener.accept()[0]
                    call, streams = _receive(client)
                    process = os.fork()
                    if process == 0:
                        selector.close()
                        _run(call, streams)
                    for stream in streams:
                        os.close(stream)
                    client.sendall(b"%d\n" % process)
                    running[process] = client
                    selector.register(os.pidfd_open(process), selectors.EVENT_READ, process)
                    selector.register(client, selectors.EVENT_READ, process)
                elif isinstance(key.fileobj, socket.socket):  # the client was killed
                    selector.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGKILL)
                else:
                    selector.unregister(key.fileobj)
                    os.close(key.fileobj)
                    code = os.waitstatus_to_exitcode(os.waitpid(key.data, 0)[1])
                    with running.pop(key.data) as client, contextlib.suppress(KeyError, BrokenPipeError):
                        selector.unregister(client)
                        client.sendall(b"%d\n" % code)


def _receive(client):
    length, streams, _, _ = socket.recv_fds(client, 4, 3)
    left = int.from_bytes(length, "big")
    text = b""
    while len(text) < left:
        text += client.recv(left - len(text))
    return json.loads(text), streams


def _run(call, streams):
    """Be the process that was asked for, to its end."""
    code = 1
    try:
        sys.argv, folder, environment = call
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, 64)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1)
        sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
        program = Path(sys.argv[0]).name
        if program == "python":
            sys.argv = sys.argv[1:]
            warnings.simplefilter("error")
            runpy.run_path(sys.argv[0], run_name="__main__")
        else:
            from dj_neuron.cli import main  # noqa: PLC0415 - with the environment that was given

            main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        code = 1
        traceback.print_exc()
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
