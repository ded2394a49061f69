"""Start a program with its own libraries alone; whatever is no program is a command of the command line."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

EXIT_USAGE = 2


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a pod runs. It takes no arguments: what it is to do stands in its environment."""

    extra: str
    """The optional dependencies of the wheel that it needs."""
    about: str
    start: Callable[[], int]


def _operate() -> int:
    from treadle.control.main import main

    return main()


def _serve() -> int:
    from treadle.serving.main import main

    return main()


def _step(name: str) -> int:
    from treadle.cli.step import load, run_step

    # First, since `run_step` turns every error into a result, and a missing library is none.
    load(name)
    return run_step(name)


PROGRAMS = {
    "operate": Program("operator", "Reconcile the four kinds.", _operate),
    "ingest": Program("worker", "Turn a source into a dataset version.", partial(_step, "ingest")),
    "train": Program("worker", "Turn a dataset version into a judged model version.", partial(_step, "train")),
    "monitor": Program("worker", "Judge one window of a prediction log.", partial(_step, "monitor")),
    "serve": Program("server", "Answer predictions of one ModelDeployment.", _serve),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Start what the arguments name; return its exit code, or 2 where a library is not installed."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # A program alone; with anything after it, it is the command line that answers.
    program = PROGRAMS.get(words[0]) if len(words) == 1 else None
    try:
        return program.start() if program else _command(words)
    except ModuleNotFoundError as error:
        missing = error.name or "treadle"
        if missing.partition(".")[0] == "treadle":
            raise
        extra = program.extra if program else extra_of(words, missing)
        sys.stderr.write(
            f"{' '.join(['treadle', *words[:1]])} needs the Python module {missing}, which is not installed. "
            f'Install it: pip install "treadle[{extra}]"\n'
        )
        return EXIT_USAGE


def complete() -> int:
    """Answer kubectl, which asks for the words that may follow `kubectl treadle`; silent where that cannot be known."""
    try:
        from treadle.cli.completion import for_kubectl
        from treadle.cli.main import Commands
    except ModuleNotFoundError:
        return EXIT_USAGE
    sys.stdout.write(for_kubectl(Commands(PROGRAMS), sys.argv[1:]))
    return 0


def extra_of(words: Sequence[str], missing: str) -> str:
    """Return the optional dependencies by which a command gets a module that is missing."""
    if missing == "click":
        return "cli"
    return "local" if words[:1] == ["up"] else "cli,worker"


def _command(words: Sequence[str]) -> int:
    from treadle.cli.main import run

    return run(words, PROGRAMS)


if __name__ == "__main__":
    sys.exit(main())
