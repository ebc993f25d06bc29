"""Faults put into the numerics, and how many the tests find: python benchmarks/mutation.py, where cosmic-ray 8.7 is.

Cosmic Ray lists every small change of an operator, a comparison, a number or a branch in src/dj_neuron/strf. A
sample of them, drawn with a seed, is made one at a time in a copy of the checkout, whose tests of that module must
then fail. Changes of annotations, overloads, docstrings and options of dataclasses are left out; so are those of how
much is done at a time (ASSIGNED and FUNCTIONS below). What survives is printed, to be tested or explained.
"""

import argparse
import ast
import contextlib
import itertools
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from warm_program import serving  # noqa: E402

NUMERICS = Path("src/dj_neuron/strf")
# where a module's tests have another name than the module
TESTS = {
    "__init__": ("average",),
    "_align_kernel": ("frame_clock", "average", "engine"),
    "_bit_kernel": ("engine",),
    "_null_kernel": ("significance",),
    "_threads": ("engine",),
    "_trains": ("average", "significance"),
    "_value_kernel": ("engine",),
    "_vectors": ("engine", "significance"),
    "alignment": ("frame_clock", "average", "engine"),
    "bit_counter": ("engine", "average"),
    "covariance_window": ("covariance",),
    "frame_clock": ("frame_clock", "average", "engine"),
    "frame_sums": ("engine", "average"),
    "nonlinearity": ("model",),
    "region": ("spatial_fit", "separability", "smoothed_null", "significance"),
    "ridge": ("ridge", "ridge_separable"),
    "scores": ("model", "repeats"),
    "shape": ("spatial_fit",),
    "significance": ("significance", "smoothed_null"),
    "shift_null": ("significance",),
    "spike_intervals": ("explorer_plots",),
    "value_sums": ("engine", "average"),
}
COMPILED_ELSEWHERE = ("_bit_kernel", "_vectors")
# these start Python anew: the first compiles all vectors for another processor, the second is not about numbers
OF_VECTORS = "tests/test_engine.py::test_without_ternary_logic_the_same_is_counted"
OF_COMPANY = "tests/test_engine.py::test_the_engine_runs_in_any_company"
# what the tests of the module let pass meets those of the whole
LAST = ("metamorphic", "receptive_field_tables")
LAST_OF_COVARIANCE = ("metamorphic", "covariance_tables")
# How much is done at a time, and which of equal ways is the quickest: results do not depend on it, which other tests
# see by varying it. What such a name is given, and what such a function gives, is not counted.
ASSIGNED = (
    *("*_at_a_time", "_BATCH_WORDS", "_BLOCKS_PER_TRANSFORM", "_CHUNK_*", "_FRAMES_*", "_GROUP_VALUES"),
    *("_KEPT_VALUES", "_NS_*", "_SPECTRUM_VALUES", "_TRANSFORM_PER_LAG", "PART_BYTES", "frame_bytes"),
    *("longest", "n_shares", "step"),
)
# of truth values these are the same, and outside of kernels all but three are such
SAME = ("core/ReplaceBinaryOperator_BitAnd_Mul", "core/ReplaceBinaryOperator_BitOr_Add")
FUNCTIONS = ("_batches", "_chunk_frames", "_from_cheapest", "_transform_length", "_work", "costs", "n_shares_of")

RUN_TESTS = """
import json
import sys
import warnings
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

DURATIONS = Path("durations.json")
for name in [name for name in sys.modules if name.partition(".")[0] == "dj_neuron"]:
    del sys.modules[name]
sys.path.insert(0, "src")
warnings.resetwarnings()


class OnlyWhether:
    def __init__(self):
        self.took_s = Counter(json.loads(DURATIONS.read_text()) if DURATIONS.exists() else {})

    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: self.took_s[item.nodeid])  # the quickest first

    def pytest_runtest_logreport(self, report):
        self.took_s[report.nodeid] += report.duration

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus == 0:
            DURATIONS.write_text(json.dumps({test: took_s / 2 for test, took_s in self.took_s.items()}))

    def pytest_configure(self):
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # the smallest example is not asked for
        quick = hypothesis.settings(hypothesis.settings.default, phases=phases, database=None)
        hypothesis.settings.register_profile("only_whether", quick)
        hypothesis.settings.load_profile("only_whether")


options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
sys.exit(pytest.main([*options, *sys.argv[1:]], plugins=[OnlyWhether()]))
"""


def mutants(module, code):
    """Give operator and occurrence for every change of a module."""
    nodes = list(ast_nodes(get_ast(code)))
    for name in sorted(cosmic_ray.plugins.operator_names()):
        operator = cosmic_ray.plugins.get_operator(name)
        if not operator.arguments() and (module.startswith("_") or name not in SAME):
            made = operator()
            n_places = sum(len(list(made.mutation_positions(node))) for node in nodes)
            yield from ((name, occurrence) for occurrence in range(n_places))


def without_words(code):
    """Give the code as it computes: no docstrings, types, or options of dataclasses. None if it is none."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.test, node.body = ast.Constant(0), [ast.Pass()]
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            given = node.args  # Cosmic Ray takes the star among them for an operator
            given.args = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            given.defaults = [*given.defaults, *filter(None, given.kw_defaults)]
            given.posonlyargs, given.kwonlyargs, given.kw_defaults = [], [], []
            node.returns = None
            node.decorator_list = [one for one in node.decorator_list if ast.unparse(one) != "overload"]
        elif isinstance(node, ast.ClassDef):
            node.decorator_list = []
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(0)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body[0] = ast.Pass()
    return ast.dump(tree)


def lines_of_amounts(code):
    """Give the numbers of lines that only say how much is done at a time."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Assign):
            names, patterns = [ast.unparse(target) for target in node.targets], ASSIGNED
        elif isinstance(node, ast.FunctionDef):
            names, patterns = [node.name], FUNCTIONS
        else:
            continue
        if all(any(fnmatch(name, pattern) for pattern in patterns) for name in names):
            found.update(range(node.lineno, node.end_lineno + 1))
    return found


def changed(code, name, occurrence):
    """Give the changed code and the line, or None if nothing is changed that results could depend on."""
    new = mutate_code(code, cosmic_ray.plugins.get_operator(name)(), occurrence)
    running = new and without_words(new)
    if not running or running == without_words(code):
        return None
    pairs = zip(code.splitlines(), new.splitlines(), strict=False)
    line = next(number for number, (old, now) in enumerate(pairs, 1) if old != now)
    return None if line in lines_of_amounts(code) else (new, line)


class Tester:
    """Runs tests of a copy of the checkout, each time in a process forked from one that has imported the libraries."""

    def __init__(self, python, folder):
        self._python, self._folder = python, folder
        self._script = folder / "run_tests.py"
        self._script.write_text(RUN_TESTS)

    def __call__(self, names, timeout_s, without=()):
        """Say whether tests passed, failed, or took too long."""
        files, left_out = (f"tests/test_{name}.py" for name in names), (f"--deselect={test}" for test in without)
        command = [self._python, self._script, *files, *left_out]
        environment = {**os.environ, "PYTHONPATH": str(self._folder / "src")}
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=environment, capture_output=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return "took too long"
        return "passed" if done.returncode == 0 else "failed"


def change(path, code):
    """Write a module anew, and forget what was compiled of it."""
    path.write_text(code)
    if path.stem in COMPILED_ELSEWHERE:  # numba looks only at the module of a kernel itself
        for compiled in (path.parent / "__pycache__").glob("*.nb[ci]"):
            compiled.unlink()


def interval(n_found, n_all):
    """Give Wilson's 95 % confidence interval of a share."""
    z, share = 1.96, n_found / n_all
    middle = (share + z**2 / (2 * n_all)) / (1 + z**2 / n_all)
    half = z / (1 + z**2 / n_all) * math.sqrt(share * (1 - share) / n_all + z**2 / (4 * n_all**2))
    return middle - half, middle + half


def drawn(codes, chosen):
    """Give modules, what is changed, the new code and the changed line, in an order that depends on the seed."""
    every = [(module, *mutant) for module, code in codes.items() for mutant in mutants(module, code)]
    random.Random(chosen.seed).shuffle(every)  # noqa: S311 - draws a sample
    print(f"{len(every)} changes in {len(codes)} modules", flush=True)
    per_line = Counter()
    for module, name, occurrence in every:
        made = changed(codes[module], name, occurrence)
        if made is not None:
            new, line = made
            per_line[module, line] += 1
            if not chosen.per_line or per_line[module, line] <= chosen.per_line:
                yield module, name.removeprefix("core/"), new, line


def main():
    """Draw, change, test, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", default="1/1", help="Of the sample: 1/2 and 2/2 may run beside each other.")
    parser.add_argument("--per-line", type=int, help="No more than so many changes of a line.")
    parser.add_argument("--modules", nargs="*", help="Only these, such as frame_clock.")
    parser.add_argument(
        "--quick", action="store_true", help="Run the tests of the module only, not those of the whole."
    )
    chosen = parser.parse_args()
    part, n_parts = map(int, chosen.part.split("/"))
    codes = {path.stem: path.read_text() for path in sorted((ROOT / NUMERICS).glob("*.py"))}
    if chosen.modules:
        codes = {name: codes[name] for name in chosen.modules}
    outcomes = Counter()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, python = stack.enter_context(serving(folder, ROOT / ".venv/bin/python"))
        run_tests = Tester(python, folder)
        for name in ("src", "tests", "docs", "benchmarks"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        usual_s = {}
        for module, name, new, line in itertools.islice(drawn(codes, chosen), part - 1, chosen.sample, n_parts):
            tests, path = TESTS.get(module, (module,)), folder / NUMERICS / f"{module}.py"
            without = (OF_COMPANY,) if module in COMPILED_ELSEWHERE else (OF_COMPANY, OF_VECTORS)
            if module not in usual_s:
                started = time.monotonic()
                if run_tests(tests, 1800, without) != "passed":
                    sys.exit(f"the tests of {module} fail without any change")
                usual_s[module] = time.monotonic() - started
            change(path, new)
            started = time.monotonic()
            outcome = run_tests(tests, 30 + 3 * usual_s[module], without)
            if outcome == "passed" and not chosen.quick:
                outcome = run_tests(LAST_OF_COVARIANCE if "covariance" in tests else LAST, 1800)
            change(path, codes[module])
            outcomes[outcome] += 1
            took_s = time.monotonic() - started
            print(f"{sum(outcomes.values())} {module}.py:{line} {name} {outcome} {took_s:.0f} s", flush=True)
            if outcome == "passed":
                print(f"    {new.splitlines()[line - 1].strip()}", flush=True)
    n_all = sum(outcomes.values())
    n_found = n_all - outcomes["passed"]
    low, high = interval(n_found, n_all)
    print(
        f"{n_found} of {n_all} found: {n_found / n_all:.1%} (95 % confidence {low:.1%} to {high:.1%}); {dict(outcomes)}"
    )


if __name__ == "__main__":
    main()
