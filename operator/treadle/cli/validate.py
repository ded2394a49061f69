"""`treadle validate`: manifests judged in files, as the API server and the operator would judge them."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from treadle.cli.manifests.document import Document
    from treadle.cli.manifests.finding import Finding

SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = "-"
COLOURS = {"error": "red", "note": "yellow"}


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Refuse references to objects and columns that are not in the files, too.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
def validate(*, paths: Sequence[str], strict: bool, output: str) -> None:
    """Check manifests without a cluster.

    PATHS are files, directories with all below them, or - for standard input.

    Said is what the API server would say, in its words; fields that it would drop, with the one that was meant; what
    the operator would call InvalidSpec, such as a schedule; and what files say of each other. A reference to what is
    not in the files is a note. Objects of other kinds are counted, not checked.

    \b
    Exit codes:  0  all would be taken; there may be notes
                 1  something would be refused
                 2  a path that cannot be read

    \b
    Examples:
      treadle validate manifests/
      kubectl kustomize overlays/prod | treadle validate --strict -

    With -o json: {objects, others, valid, findings[]}, each finding with file, line, weight, kind, name, field, text.
    """
    from treadle.cli.manifests.checks import is_ours, misnamed

    documents, found = judged(paths, strict=strict)
    objects = sum(map(is_ours, documents))
    others = sum(misnamed(document) is None for document in documents) - objects
    show(found, objects, others, output)
    click.get_current_context().exit(1 if any(each.weight == "error" for each in found) else 0)


def judged(paths: Sequence[str], *, strict: bool = False) -> "tuple[list[Document], list[Finding]]":
    """Return the documents of files, and what is to be said of them, by file and line."""
    from treadle.cli.manifests.checks import judge
    from treadle.cli.manifests.document import Document, read
    from treadle.cli.manifests.finding import Finding, Weight

    documents: list[Document] = []
    found: list[Finding] = []
    order: dict[str, int] = {}
    for file, text in texts(paths):
        order.setdefault(file, len(order))
        for part in read(file, text):
            if isinstance(part, Document):
                documents.append(part)
            else:
                found.append(Finding(file, part.line, Weight.ERROR, str(part)))
    found += judge(documents, datetime.now(UTC), strict=strict)
    return documents, sorted(found, key=lambda each: (order[each.file], each.line))


def texts(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each file, by name; raise click.UsageError for a path that cannot be read."""
    for named in paths:
        if named == STANDARD_INPUT:
            yield "standard input", sys.stdin.read()
            continue
        files = list(files_of(Path(named)))
        if not files:
            raise click.UsageError(f"{named} has no file that ends with {', '.join(SUFFIXES)}")
        for file in files:
            try:
                yield str(file), file.read_text(encoding="utf-8")
            except OSError as problem:
                raise click.UsageError(f"{file} cannot be read: {problem.strerror}") from problem
            except UnicodeDecodeError as problem:
                raise click.UsageError(f"{file} is no text in UTF-8: byte {problem.start}; convert it") from problem


def files_of(path: Path) -> Iterator[Path]:
    """Yield a file, or those below a directory that are manifests by their names, but for hidden ones."""
    if not path.is_dir():
        yield path
        return
    for found in sorted(path.rglob("*")):
        is_hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
        if found.suffix in SUFFIXES and found.is_file() and not is_hidden:
            yield found


def show(found: "Sequence[Finding]", objects: int, others: int, output: str) -> None:
    """Print findings, and in text what was looked at."""
    errors = sum(each.weight == "error" for each in found)
    if output == "json":
        rows = [
            {
                "file": each.file,
                "line": each.line,
                "weight": each.weight,
                "kind": each.kind,
                "name": each.name,
                "field": each.field,
                "text": each.text,
            }
            for each in found
        ]
        told = {"objects": objects, "others": others, "valid": not errors, "findings": rows}
        click.echo(json.dumps(told, sort_keys=True, indent=2, ensure_ascii=False))
        return
    for each in found:
        place = click.style(f"{each.file}:{each.line}:", fg=COLOURS[each.weight])
        click.echo(f"{place} {'note: ' if each.weight == 'note' else ''}{each.text}")
    looked = f"{_counted(objects, 'object')} checked" + (f", {others} of other kinds not" if others else "")
    notes = f", {_counted(len(found) - errors, 'note')}" if len(found) > errors else ""
    click.echo(f"{looked}: {_counted(errors, 'error') if errors else 'valid'}{notes}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
