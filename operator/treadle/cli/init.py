"""`treadle init`: a file of rows to four manifests, each with its reasons."""

import re
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from treadle.cli.draft.conclude import Proposal

NAME_LIMIT = 40
"""Of a ModelDeployment: the names of its children are made from it."""


class Unusable(click.ClickException):
    """What a person must mend before anything is written, as one line."""

    exit_code = 2


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", metavar="COLUMN", help="The column to predict. Default: guessed by name and place, and said.")
@click.option("--name", default="", metavar="NAME", help="Name of the objects. Default: made of the file's.")
@click.option(
    "-n", "--namespace", default="demo", show_default=True, metavar="NAME", help="Namespace in the manifests."
)
@click.option(
    "--directory", type=click.Path(path_type=Path), metavar="DIR", help="Where to write them. Default: ./NAME."
)
@click.option("--force", is_flag=True, help="Replace manifests that are there.")
def init(*, file: Path, target: str | None, name: str, namespace: str, directory: Path | None, force: bool) -> None:
    """Propose four manifests for a file of rows.

    FILE is a table in csv, Parquet or JSON lines. Types, roles, constraints, personal columns, split, metric and gate
    are guessed from the rows, and each guess says why in a comment. The draft is tried on the file by the functions
    that an ingest runs. Nothing is applied.

    \b
    Example:
      treadle init flights.csv --target late
      treadle up flights
    """
    from treadle.cli.draft.conclude import conclude
    from treadle.cli.draft.form import NoTable
    from treadle.cli.draft.propose import draft
    from treadle.cli.draft.rehearse import rehearse
    from treadle.cli.draft.survey import survey
    from treadle.cli.draft.write import FILES, Named, manifests
    from treadle.data.collect import SourceFile
    from treadle.data.leakage import LIMIT
    from treadle.data.refused import Refused

    chosen = _dns_label(name or slug(file.stem), "--name", NAME_LIMIT)
    _dns_label(namespace, "--namespace", 63)
    where = directory if directory is not None else Path(chosen)
    there = [where / each for each in FILES if (where / each).exists()]
    if there and not (force and all(path.is_file() for path in there)):
        raise Unusable(f"{there[0]} is there; name another --directory, or replace it: --force")
    source = SourceFile(file.name, _read(file))
    try:
        found = survey(source)
        drafted = draft(found, target, file.name)
        proposal = conclude(drafted, rehearse(source, found.form, drafted), LIMIT)
    except NoTable as error:
        # A name or value of the file may hold a line break.
        raise Unusable(" ".join(str(error).split())) from error
    except Refused as error:
        raise Unusable(error.message) from error
    written = manifests(Named(chosen, namespace, file.name, found.rows * len(found.columns)), found.form, proposal)
    write_all(where, written)
    _tell(file, where, chosen, proposal)
    if not found.form.header:
        click.echo(f"\n{file.name} has no line that names its columns; they are called column_1, column_2 and so on.")


def slug(text: str) -> str:
    """Return text as the name of an object: small letters, digits and hyphens, a letter first."""
    import unicodedata

    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
    # A Service is named after the ModelDeployment, and before Kubernetes 1.34 none began with a digit.
    named = name if name[:1].isalpha() else f"data-{name}".rstrip("-")
    return named[:NAME_LIMIT].rstrip("-")


def _dns_label(text: str, option: str, limit: int) -> str:
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", text) or len(text) > limit:
        raise Unusable(
            f"{option}: {text!r} is no name for an object: expected small letters, digits and hyphens, a letter first, "
            f"at most {limit}"
        )
    return text


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise Unusable(f"{file} does not exist; expected a table in csv, Parquet or JSON lines") from error
    except OSError as error:
        raise Unusable(f"{file} cannot be read: {error.strerror}; expected a file") from error


def write_all(where: Path, texts: dict[str, str]) -> None:
    """Write all files or none: those that are there give way only once every new one lies beside them."""
    made: list[Path] = []
    try:
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".treadle-init-", dir=where) as beside:
            former, fresh = Path(beside) / "former", Path(beside) / "fresh"
            for directory in (former, fresh):
                directory.mkdir()
            for name, text in texts.items():
                (fresh / name).write_text(text, encoding="utf-8")
            try:
                for name in texts:
                    if (where / name).exists():
                        (where / name).rename(former / name)
                    made.append(where / name)
                    (fresh / name).rename(where / name)
            except OSError:
                for path in made:
                    path.unlink(missing_ok=True)
                    if (former / path.name).exists():
                        (former / path.name).rename(path)
                raise
    except OSError as error:
        raise Unusable(f"nothing was written: {error.filename or where}: {error.strerror}") from error


def _tell(file: Path, where: Path, name: str, proposal: "Proposal") -> None:
    """Say what was guessed, what to look at, and what comes next."""
    from treadle.cli.draft.write import BUCKET, FILES

    drafted, target = proposal.draft, proposal.draft.target
    click.echo(f'{file.name}: {proposal.rows} rows; {target.task.value} of "{target.name}" ({target.why})')
    for each in drafted.columns:
        if each.column.classification is not None or each.column.name in proposal.suspects:
            click.echo(f'look at  "{each.column.name}": {each.why}')
    for text in drafted.left_out:
        click.echo(f"left out {text}")
    click.echo(f"wrote    {where}/: {', '.join(FILES)}")
    source, folder = shlex.quote(str(file)), f".treadle/buckets/{BUCKET}/{name}"
    click.echo(
        f"\nHere:\n  mkdir -p {folder} && cp {source} {folder}/\n  treadle up {shlex.quote(str(where))}\n"
        "In a cluster with the chart's quickstart, AWS_* set to the keys of Secret treadle-raw:\n"
        f"  kubectl -n demo port-forward svc/treadle-storage 7070 &\n"
        f"  aws --endpoint-url http://127.0.0.1:7070 s3 cp {source} s3://{BUCKET}/{name}/\n"
        f"  kubectl apply -f {shlex.quote(str(where))}"
    )
