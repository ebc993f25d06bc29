"""The documentation is tested: links lead somewhere, Python runs, the command-line page is the command line."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from dj_neuron.cli import cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_command_line_page_is_what_the_command_line_says():
    made = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["reference"]()
    assert (ROOT / "docs" / "reference" / "command-line.md").read_text() == made


def test_the_readme_names_every_verb():
    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in cli.commands if f"`{verb}" not in readme] == []
    assert all(command.help for command in cli.commands.values())


def test_commands_in_the_documentation_exist():
    known = {*cli.commands, "test", "setup"}
    seen = set()
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL):
            for verb in re.findall(r"^(?:dj-neuron|bash pkg\.sh)(?: --\S+ \S+)* ([a-z]\S*)", block, re.MULTILINE):
                assert verb in known, f"{name(page)}: {verb}"
                seen.add(verb)
    assert {"build", "compute", "figures", "tables", "status"} <= seen


def blocks():
    for page in PAGES:
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL), start=1):
            yield pytest.param(page, number, code, id=f"{name(page)}-{number}")


@pytest.mark.parametrize(("page", "number", "code"), list(blocks()))
def test_python_in_the_documentation_runs(page, number, code, tmp_path, data_dir, prefix, small_file):
    """Pages that read a file get the small one; pages that connect get a pipeline of their own with that file in it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "ret1_data.pkl").symlink_to(small_file)
    code = code.replace("dj_neuron.connect()", f"dj_neuron.connect({str(data_dir)!r}, prefix={prefix!r})")
    code = code.replace("sample_number=4", "sample_number=2")
    if "connect" in code and "ingest" not in code:
        code = (
            f"import dj_neuron\nwith dj_neuron.connect({str(data_dir)!r}, prefix={prefix!r}) as p:\n"
            "    p.ingest('ret1_data.pkl'); p.compute(0.05)\n" + code
        )
    if "connect" in code:
        code += f"\nwith dj_neuron.connect({str(data_dir)!r}, prefix={prefix!r}) as p:\n    p.clear()\n"
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path):
    notebook = ROOT / "docs" / "tutorial" / "from-file-to-mosaic.py"
    cells = re.split(r"^# %%", notebook.read_text(), flags=re.MULTILINE)[1:]
    assert sum(not cell.startswith(" [markdown]") for cell in cells) >= 12
    command = [sys.executable, "-W", "error", str(notebook)]
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
