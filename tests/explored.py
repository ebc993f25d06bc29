"""An explorer in a process of its own, and what a browser asks of it."""

import contextlib
import http.client
import json
import subprocess


@contextlib.contextmanager
def explorer(program, data_dir, *options, explore=()):
    """A real explorer in a process of its own; gives its address and the process."""
    command = [program, "--data-dir", data_dir, *options, "explore", "--port", "0", "--no-browser", *explore]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), process.stderr.read()
        yield address.rstrip("/").replace("//0.0.0.0:", "//127.0.0.1:"), process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def ask(address, path="/", method="GET", body=None, **headers):
    """The answer to one request, and its text."""
    host, _, port = address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer, text


def call(address, outputs, inputs, state=()):
    """What Dash's script sends when the first of `inputs` changed: "id.property" of outputs, and values."""

    def named(name, value=None):
        one, _, what = name.rpartition(".")
        return {"id": one, "property": what, "value": value}

    plain = [{key: value for key, value in named(name).items() if key != "value"} for name in outputs]
    body = {
        "output": outputs[0] if len(outputs) == 1 else f"..{'...'.join(outputs)}..",
        "outputs": plain[0] if len(plain) == 1 else plain,
        "inputs": [named(*one) for one in inputs],
        "changedPropIds": [inputs[0][0]],
        "state": [named(*one) for one in state],
    }
    return ask(address, "/_dash-update-component", "POST", json.dumps(body), **{"Content-Type": "application/json"})


def page_of(address, pathname, search=""):
    """The answer that holds a page."""
    inputs = [("url.pathname", pathname), ("url.search", search)]
    return call(address, ["page.children", "shown.data"], inputs, [("shown.data", None)])
