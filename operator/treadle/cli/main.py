"""The commands of `treadle`, imported when they run, beside the programs that pods run."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import click

from treadle import __version__

COMMANDS = {
    "status": ("treadle.cli.show", "status"),
    "tree": ("treadle.cli.show", "status"),
    "why": ("treadle.cli.why", "why"),
    "logs": ("treadle.cli.logs", "logs"),
    "wait": ("treadle.cli.wait", "wait"),
    "predict": ("treadle.cli.predict", "predict"),
    "ui": ("treadle.cli.page", "ui"),
    "up": ("treadle.cli.up", "up"),
    "diff": ("treadle.cli.versions", "diff"),
    "lineage": ("treadle.cli.versions", "lineage"),
    "card": ("treadle.cli.versions", "card"),
    "report": ("treadle.cli.versions", "report"),
    "init": ("treadle.cli.init", "init"),
    "validate": ("treadle.cli.validate", "validate"),
    "doctor": ("treadle.cli.doctor", "doctor"),
    "completion": ("treadle.cli.completion", "completion"),
    "retrain": ("treadle.cli.ask", "retrain"),
    "promote": ("treadle.cli.ask", "promote"),
    "rollback": ("treadle.cli.ask", "rollback"),
    "unquarantine": ("treadle.cli.ask", "unquarantine"),
    "refresh": ("treadle.cli.ask", "refresh"),
    "suspend": ("treadle.cli.ask", "suspend"),
    "resume": ("treadle.cli.ask", "resume"),
    "store": ("treadle.cli.store", "store"),
    "keys": ("treadle.cli.store", "keys"),
}
"""Name to module and attribute. A module imports its libraries in its functions, so that help needs none of them."""


class Program(Protocol):
    """What help tells of a program."""

    @property
    def about(self) -> str:
        """Return what it does, in a line."""
        ...

    @property
    def extra(self) -> str:
        """Return the optional dependencies that it needs."""
        ...

    def start(self) -> int:
        """Run it; return its exit code."""
        ...


class Commands(click.Group):
    """A group that imports a command when it is asked for, and lists the programs apart."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        super().__init__(
            "treadle",
            help="The machine-learning life cycle as four Kubernetes objects: DataSource, TrainingJob, "
            "ModelDeployment and Monitor.",
            context_settings={
                "help_option_names": ["-h", "--help"],
                "max_content_width": 100,
                "color": False if os.environ.get("NO_COLOR") else None,
            },
            params=[version()],
        )
        self._programs = programs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command or program, or None where no such name is known."""
        if cmd_name in self._programs:
            return command(cmd_name, self._programs[cmd_name])
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        found: click.Command = getattr(importlib.import_module(module), attribute)
        if ctx.resilient_parsing:
            from treadle.cli.completion import offering

            return offering(found)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the programs."""
        super().format_commands(ctx, formatter)
        with formatter.section("Programs, which pods run; settings come from the environment"):
            formatter.write_dl([(name, program.about) for name, program in self._programs.items()])


def version() -> click.Option:
    """Return the option that prints the version."""

    def told(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
        if asked and not ctx.resilient_parsing:
            click.echo(f"treadle {__version__}")
            ctx.exit()

    return click.Option(
        ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=told, help="Print the version."
    )


def command(name: str, program: Program) -> click.Command:
    """Return a program as a command, for those who ask for its help or give it arguments."""
    about = f"{program.about} It takes no arguments; what it is to do stands in its environment, which the chart and "
    about += f'the operator fill. Its libraries come with pip install "treadle[{program.extra}]".'
    return click.Command(name, help=about, callback=lambda: sys.exit(program.start()))


def run(arguments: Sequence[str], programs: Mapping[str, Program]) -> int:
    """Run a command, and leave by SystemExit with its exit code."""
    called = "kubectl treadle" if Path(sys.argv[0]).name.startswith("kubectl-") else "treadle"
    group = Commands(programs)
    return int(group.main(list(arguments), prog_name=called))
