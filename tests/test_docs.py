"""The documentation is tested: it builds without a warning, what it shows runs and prints what the page says."""

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from dj_neuron.cli_verbs import cli
from dj_neuron.embedded import EmbeddedServer
from dj_neuron.readers import read_sessions
from dj_neuron.readers.recording_folder import write_recording_folder

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
PEERS = ROOT / ".venv" / "benchmarks" / "bin" / "python"  # made by bash pkg.sh peers
WITH_PEERS = DOCS / "how-to" / "coming-from.md"

# Blocks in bash run if all they do is call dj-neuron. These do not, nor do verbs of pkg.sh that set up this checkout.
NOT_RUN = {
    ("CONTRIBUTING.md", 1): "developers' tools, which .ci/run runs",
    ("CONTRIBUTING.md", 2): "makes the lock files anew from package registries",
    ("docs/explanation/faults.md", 1): "hours; test_faults.py takes some of it",
    ("docs/explanation/faults.md", 2): "hours; test_long_run.py is short",
    ("docs/how-to/choose-a-store.md", 1): "asks for a key; test_stores.py writes such files",
    ("docs/how-to/choose-a-store.md", 3): "needs rclone and two stores; test_stores.py moves one",
    ("docs/how-to/explore.md", 1): "runs until Ctrl+C; test_explorer.py",
    ("docs/how-to/many-workers.md", 1): "one of them runs forever; test_workers.py",
    ("docs/how-to/many-workers.md", 2): "needs a cluster of that name; test_workers.py has one",
    ("docs/how-to/run-with-docker.md", 1): "needs Docker",
    ("docs/how-to/run-with-docker.md", 2): "needs Docker",
    ("docs/how-to/use-a-server.md", 1): "needs a server of that name; test_database.py has one",
    ("docs/how-to/use-a-server.md", 2): "needs a server of that name; test_cli.py has one",
    ("docs/how-to/use-a-server.md", 3): "needs a server of that name; test_copying.py has some",
    ("docs/how-to/use-a-server.md", 4): "the servers' own programs",
    ("docs/how-to/use-a-server.md", 5): "needs a server of that name; test_versions.py has some",
}
SETS_UP = {"", "setup", "test", "benchmark", "peers", "docs", "docker"}  # the main job, which test_cli.py runs, is ""
# Pages that draw pictures of all there is, which is little for them.
DRAWING = (ROOT / "README.md", DOCS / "tutorial" / "first-hour.md")


@dataclass(frozen=True)
class Block:
    """A block of code, the file it is to be written to or empty, and what a ``text`` block after it shows, or None.

    `number` is its place among the page's blocks of its language, from 1.
    """

    place: str
    language: str
    number: int
    code: str
    file: str
    shown: str | None


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks_of(page):
    """Give the fenced blocks of a page; ``<!-- file: NAME -->`` ahead of one names its file."""
    text = page.read_text()
    fence = re.compile(
        r"(?:^<!-- file: (\S+) -->\n+)?^```(\w+)\n(.*?)^```\n(?:\n*^```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL
    )
    numbers = Counter()
    for found in fence.finditer(text):
        file, language, code, shown = found.groups()
        numbers[language] += 1
        line = text.count("\n", 0, found.start(3)) + 1
        yield Block(f"{name(page)}, block from line {line}", language, numbers[language], code, file or "", shown)


def commands(block):
    """Give the lines of a bash block without comments."""
    lines = (line.partition(" #")[0].strip() for line in block.code.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def is_exempt(page, block):
    return block.language == "bash" and (name(page), block.number) in NOT_RUN


def to_run(page):
    """Give the blocks of a page that run."""
    for block in blocks_of(page):
        if (block.file or block.language in {"bash", "python"}) and not is_exempt(page, block):
            yield block


RUNNABLE = [page for page in PAGES if any(not block.file for block in to_run(page))]


def home_with(file, program, home):
    """Make the home of a user whose default data folder holds a file's STRFs and fields, with a running server."""
    (home / "bin").mkdir()
    (home / "bin" / "dj-neuron").symlink_to(program)
    with EmbeddedServer(home / "share" / "dj-neuron"):
        subprocess.run([program, "build", file], env=environment(home), check=True)
        yield home


@pytest.fixture(scope="session")
def home(tmp_path_factory, program, small_file):
    yield from home_with(small_file, program, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def brief_home(tmp_path_factory, program, brief_file):
    yield from home_with(brief_file, program, tmp_path_factory.mktemp("home"))


def environment(home):
    own = {"HOME": str(home), "XDG_DATA_HOME": str(home / "share"), "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    return {**os.environ, **own, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def folder(tmp_path):
    """Where a reader types, with pkg.sh."""
    (tmp_path / ".git").mkdir()  # DataJoint looks no further for a configuration
    skipped = "|".join(f'"{verb}"' for verb in sorted(SETS_UP))
    (tmp_path / "pkg.sh").write_text(f'case "${{1:-}}" in {skipped}) ;; *) exec dj-neuron "$@" ;; esac\n')
    return tmp_path


def run_page(page, folder, home, file, python):
    (folder / "ret1_data.pkl").symlink_to(file)
    blocks = list(to_run(page))
    (folder / "blocks.json").write_text(json.dumps([asdict(block) for block in blocks]))
    command = [python, ROOT / "tests" / "run_page.py", "blocks.json", "outputs.json"]
    result = subprocess.run(command, cwd=folder, env=environment(home), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for block, printed in zip(blocks, json.loads((folder / "outputs.json").read_text()), strict=True):
        if block.shown is not None:
            assert_same(printed, block)


def assert_same(printed, block):
    """Words must be the same, numbers to within 2 %, as processors round differently."""
    number = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    ours, pages = (re.split(number, " ".join(text.split())) for text in (printed, block.shown))
    assert ours[::2] == pages[::2], f"{block.place} prints\n{printed}"
    approximately = pytest.approx([float(value) for value in pages[1::2]], rel=0.02, abs=1e-9)
    assert [float(value) for value in ours[1::2]] == approximately, f"{block.place} prints\n{printed}"


@pytest.mark.parametrize("page", [page for page in RUNNABLE if page not in (*DRAWING, WITH_PEERS)], ids=name)
def test_what_a_page_shows_runs(page, folder, home, small_file, programs):
    run_page(page, folder, home, small_file, programs[1])


@pytest.mark.parametrize("page", DRAWING, ids=name)
def test_what_a_page_shows_is_drawn(page, folder, brief_home, brief_file, programs):
    write_recording_folder(next(read_sessions(brief_file)), folder / "my-recording")
    run_page(page, folder, brief_home, brief_file, programs[1])
    assert (folder / "pictures" / "report.html").stat().st_size > 1e5


@pytest.mark.skipif(not PEERS.exists(), reason="bash pkg.sh peers installs pyret, RFEst and pynapple")
def test_the_same_by_other_packages(folder, home, small_file):
    run_page(WITH_PEERS, folder, home, small_file, PEERS)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_of_a_kind_that_is_tested(page):
    for block in blocks_of(page):
        if block.language == "bash":
            is_ours = all(re.match(r"(dj-neuron|bash pkg\.sh)( |$)", line) for line in commands(block))
            assert is_ours or is_exempt(page, block), block.place
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "json":
            json.loads(block.code)
        else:  # sql and mysql: the roles of a server, which test_sharing.py makes
            assert block.language in {"mysql", "python", "sql", "text"}, block.place


def test_what_does_not_run_is_there():
    there = {(name(page), block.number) for page in PAGES for block in blocks_of(page) if is_exempt(page, block)}
    assert there == NOT_RUN.keys()


def test_commands_in_the_documentation_exist():
    known, seen = {*cli.commands, *SETS_UP}, set()
    for page in PAGES:
        for block in (block for block in blocks_of(page) if block.language == "bash"):
            for verb in re.findall(r"^(?:dj-neuron|bash pkg\.sh)(?: --\S+ \S+)* ([a-z]\S*)", block.code, re.MULTILINE):
                assert verb in known, f"{block.place}: {verb}"
                seen.add(verb)
    assert {"build", "compute", "figures", "tables", "status"} <= seen


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_reference_is_what_the_program_says():
    for page, made in runpy.run_path(str(DOCS / "make_reference.py"))["pages"]().items():
        assert page.read_text() == made, f"{name(page)}: python docs/make_reference.py makes it anew"


def test_the_readme_names_every_verb():
    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in cli.commands if f"`{verb}" not in readme] == []
    assert all(command.help for command in cli.commands.values())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; warnings, such as a page in no table of contents, are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-q",
        "-b",
        "html",
        "-d",
        folder / "doctrees",
        DOCS,
        folder / "html",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder / "html"


def test_the_site_has_every_page(site):
    made = {page.relative_to(site).with_suffix("") for page in site.rglob("*.html")}
    assert {page.relative_to(DOCS).with_suffix("") for page in DOCS.rglob("*.md")} <= made


def test_the_site_asks_no_other_host(site):
    """Links may lead elsewhere; what a browser loads by itself may not."""
    loaded = r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)|<link\b[^>]*\bhref=\"([^\"]+)"
    found = [
        (page.relative_to(site), source or link)
        for page in site.rglob("*.html")
        for source, link in re.findall(loaded, page.read_text())
    ]
    assert len(found) > 100
    assert [entry for entry in found if "//" in entry[1]] == []
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style


def test_the_site_can_be_searched_for_what_a_docstring_says(site):
    index = (site / "searchindex.js").read_text()
    assert index.startswith("Search.setIndex(")
    assert '"spike_triggered_averag' in index


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path, programs):
    notebook = DOCS / "tutorial" / "from-file-to-mosaic.py"
    cells = re.split(r"^# %%", notebook.read_text(), flags=re.MULTILINE)[1:]
    assert sum(not cell.startswith(" [markdown]") for cell in cells) >= 12
    command = [programs[1], notebook]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert re.search(r"neuron \d+ z = .*, p = 0\.000999", result.stdout)


def test_examples_in_docstrings_run():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--doctest-modules",
        str(ROOT / "src" / "dj_neuron" / "strf"),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert re.search(r"[1-9]\d* passed", result.stdout), result.stdout
