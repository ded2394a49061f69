"""`treadle` itself: what it lists, what it starts, and what it says where something is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from treadle import __version__
from treadle.__main__ import PROGRAMS
from treadle.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]

# Started where these modules do not exist, as in an environment without the extra.
WITHOUT = """
import sys
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from treadle.__main__ import main
sys.argv[0] = "treadle"
sys.exit(main(sys.argv[2:]))
"""


def treadle(*words: str, without: str = "-", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, without, *words],
        check=False,
        capture_output=True,
        text=True,
        env={"HOME": "/nonexistent", **environment},
        timeout=60,
    )


# name: (words, exit code, how it begins)
SAID = {
    "the version": (("--version",), 0, f"treadle {__version__}\n"),
    "help lists commands and programs": (("--help",), 0, "Usage: treadle [OPTIONS] COMMAND [ARGS]..."),
    "no argument shows the same help": ((), 2, "Usage: treadle [OPTIONS] COMMAND [ARGS]..."),
    "a program has help": (("operate", "-h"), 0, "Usage: treadle operate [OPTIONS]\n\n  Reconcile the four kinds."),
    "a program takes no arguments": (("serve", "now"), 2, "Usage: treadle serve"),
    "an unknown name is refused": (("stor",), 2, "Usage: treadle"),
    "a command of a group": (("store", "init", "--help"), 0, "Usage: treadle store init [OPTIONS]"),
}


@pytest.mark.parametrize(("words", "code", "begin"), SAID.values(), ids=SAID.keys())
def test_what_it_says(words: tuple[str, ...], code: int, begin: str) -> None:
    answer = treadle(*words)
    said = answer.stdout if code == 0 else answer.stderr
    assert (answer.returncode, said[: len(begin)]) == (code, begin), answer.stderr


def test_help_has_a_line_for_each_command_and_program() -> None:
    lines = [line.split() for line in treadle("--help").stdout.splitlines()]
    listed = {words[0] for words in lines if len(words) > 1}
    assert {*COMMANDS, *PROGRAMS} <= listed
    assert not [line for line in lines if line and line[-1].endswith("...") and line[0] != "Usage:"], "a line is cut"


# Each costs tens of milliseconds or more; help of all commands, which imports their modules, needs none.
HEAVY = (
    "aiohttp boto3 botocore cel_expr_python cryptography duckdb jinja2 jsonschema kopf kubernetes numpy onnxruntime "
    "pandas psutil pyarrow pydantic rich scipy skl2onnx sklearn skops uvicorn yaml"
)
LOADED = """
import sys
from treadle.__main__ import main
try:
    main(["--help"])
except SystemExit:
    sys.stderr.write(" ".join(name for name in sys.argv[1].split() if name in sys.modules))
"""


def test_help_loads_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, HEAVY], check=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert "Commands:" in done.stdout


# name: (words, what is not installed, what the line names, the extra)
MISSING = {
    "the operator without kopf": (("operate",), "kopf", "kopf", "operator"),
    "a server without uvicorn": (("serve",), "uvicorn", "uvicorn", "server"),
    "a step without pyarrow": (("ingest",), "pyarrow", "pyarrow", "worker"),
    "the command line without click": (("store", "probe"), "click", "click", "cli"),
    "a command without boto3": (("store", "init", "--bucket", "b"), "boto3,botocore", "boto", "cli,worker"),
}


@pytest.mark.parametrize(("words", "without", "named", "extra"), MISSING.values(), ids=MISSING.keys())
def test_a_missing_extra_is_one_line(words: tuple[str, ...], without: str, named: str, extra: str) -> None:
    answer = treadle(*words, without=without)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"treadle {words[0]} needs the Python module {named}")
    assert answer.stderr.endswith(f'Install it: pip install "treadle[{extra}]"\n')
    assert answer.stderr.count("\n") == 1


# name: (what its image does not hold, exit code, what it says of its missing settings); kopf and uvicorn bring click
STARTS = {
    "operate": ("boto3,pyarrow,sklearn", 1, "Cannot start"),
    "serve": ("kopf,kubernetes,duckdb,sklearn", 2, "TREADLE_SERVE is not set"),
    "ingest": ("click,kopf,kubernetes,uvicorn", 10, "TREADLE_STEP is no step"),
}


@pytest.mark.parametrize("name", STARTS)
def test_a_program_starts_without_other_programs_libraries(name: str) -> None:
    without, code, said = STARTS[name]
    answer = treadle(name, without=without)
    assert (answer.returncode, answer.stdout) == (code, ""), answer.stderr
    assert said in answer.stderr


def test_the_wheel_names_the_entry_point_and_each_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {
        "treadle": "treadle.__main__:main",
        "kubectl-treadle": "treadle.__main__:main",
        "kubectl_complete-treadle": "treadle.__main__:complete",
    }
    assert {program.extra for program in PROGRAMS.values()} | {"cli", "local"} == set(project["optional-dependencies"])
