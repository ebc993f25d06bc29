"""Run the blocks of a page one after another, as a reader would: python run_page.py BLOCKS.json OUTPUTS.json.

Python blocks share one namespace and bash blocks one folder, the current one. A block that names a file is written
to it instead. What each block prints goes to OUTPUTS.json.
"""

import contextlib
import io
import json
import linecache
import subprocess
import sys
from pathlib import Path


def run(block, namespace):
    """Give what the block prints."""
    if block["file"]:
        file = Path(block["file"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block["code"])
        return ""
    if block["language"] == "bash":
        command = ["bash", "-euo", "pipefail", "-c", block["code"]]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    code = block["code"]
    linecache.cache[block["place"]] = len(code), None, code.splitlines(keepends=True), block["place"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, block["place"], "exec"), namespace)  # noqa: S102 - the page's own code
    return printed.getvalue()


if __name__ == "__main__":
    sys.path.insert(0, "")
    names = {"__name__": "__main__"}
    outputs = [run(block, names) for block in json.loads(Path(sys.argv[1]).read_text())]
    Path(sys.argv[2]).write_text(json.dumps(outputs))
