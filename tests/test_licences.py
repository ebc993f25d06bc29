"""The licences of everything that requirements.lock installs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))
import make_licences


def test_every_package_has_a_licence_that_is_allowed():
    packages = make_licences.locked()
    assert len(packages) > 50
    found = {package: set(make_licences.licences_of(package)) for package in packages}
    assert {package: licences for package, licences in found.items() if not licences <= make_licences.ALLOWED} == {}
    assert all(found.values())


def test_the_page_names_every_package():
    rows = [line.split(" | ")[0].removeprefix("| ") for line in make_licences.PAGE.read_text().splitlines()]
    assert [row for row in rows if row in set(make_licences.locked())] == make_licences.locked()
