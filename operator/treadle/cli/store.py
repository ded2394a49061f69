"""`treadle store init`, `treadle store probe` and `treadle keys create`: what must be there before anything runs."""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import click

PREFIX = "treadle/v1/"
"""Where the format marker lies, and where the probe runs: above the namespaces, which are told apart by their UIDs."""

NAMES = click.option("--name", default="treadle-store", show_default=True, metavar="SECRET", help="Name of the Secret.")
NAMESPACE = click.option(
    "-n", "--namespace", default="", metavar="NAME", help="Its namespace. Default: the current one of kubectl."
)
APPLY = click.option("--apply", "applied", is_flag=True, help="Hand the Secret to kubectl instead of printing it.")


def told[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Turn a StoreError into the one line that a person reads, and exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from treadle.store.errors import StoreError

        try:
            return command(*args, **kwargs)
        except StoreError as error:
            raise click.ClickException(f"{error.reason.value}: {error.message}") from error

    return run


@click.group()
def store() -> None:
    """Prepare and check the bucket of versions, models and logs."""


@click.group()
def keys() -> None:
    """Make the keys by which models are signed."""


@store.command()
@click.option("--bucket", required=True, metavar="NAME", help="The bucket; created if it is missing.")
@click.option("--endpoint", default="", metavar="URL", help="https://HOST, or file:///DIRECTORY. Default: AWS.")
@click.option("--region", default="", metavar="NAME", help="Region of the bucket. Default: us-east-1.")
@click.option("--prefix", default="", metavar="PATH", help="Where in the bucket. Default: at its top.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM file of the store's CA.")
@NAMES
@NAMESPACE
@APPLY
@told
def init(
    *, bucket: str, endpoint: str, region: str, prefix: str, ca: Path | None, name: str, namespace: str, applied: bool
) -> None:
    """Create the bucket if it is missing, probe it, and make its Secret.

    The keys are read from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, so that they stand in no
    command line; without them pods use their own identity. The Secret is printed for `kubectl apply -f -`.

    \b
    Example:
      treadle store init -n demo --bucket ml --endpoint https://s3.example.com --apply
    """
    from treadle.store.open import create_bucket, open_store
    from treadle.store.probe import prepare, probe, require

    given = {"bucket": bucket, "endpoint": endpoint, "region": region, "prefix": prefix}
    given["ca.crt"] = ca.read_text(encoding="utf-8") if ca else ""
    given |= {key: os.environ.get(key, "") for key in AWS_KEYS}
    values = {key: value for key, value in given.items() if value}
    with mounted(values) as directory:
        created = create_bucket(directory, name)
        opened = open_store(directory, name, PREFIX, namespace)
        require(probe(opened))
        marked = prepare(opened)
    say(f'bucket "{bucket}" {"was created" if created else "was there"}')
    say(f"{opened.place}/store.json {'was written' if marked else 'was there'}; the store keeps its promises")
    hand_over(secret(name, namespace, values), applied, "apply", f'Secret "{name}"')


@store.command("probe")
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the Secret is mounted. Default: kubectl reads it.",
)
@NAMES
@NAMESPACE
@told
def probe_command(directory: Path | None, name: str, namespace: str) -> None:
    """Check the promises of the store that a Secret names.

    Each of the eight is a line: ok, BROKEN, or absent where Treadle can do without it. Exit code 1 if one is broken.
    """
    from treadle.store.open import open_store
    from treadle.store.probe import probe, require

    if directory is None:
        with mounted(read_by_kubectl(name, namespace)) as found:
            findings = probe(open_store(found, name, PREFIX, namespace))
    else:
        findings = probe(open_store(directory, name, PREFIX, namespace))
    for finding in findings:
        click.echo(f"{'ok' if finding.ok else 'BROKEN' if finding.needed else 'absent':<8}{finding.detail}")
    require(findings)


@keys.command()
@click.option("--name", default="treadle-signing", show_default=True, metavar="SECRET", help="Name of the Secret.")
@NAMESPACE
@click.option(
    "--also",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of public keys that stay valid, while keys are rotated.",
)
@APPLY
@told
def create(name: str, namespace: str, also: Path | None, applied: bool) -> None:
    """Make a new signing key (EC P-256) and its Secret.

    The Secret is printed for `kubectl apply -f -`; --apply refuses to replace one that is there, since models that
    the lost key signed would no longer load.
    """
    from treadle.store.signing import key_id, new_key, public_keys, public_of

    private = new_key()
    public = public_of(private)
    if also is not None:
        kept = also.read_bytes()
        public_keys(kept, name)
        public += kept
    say(f"key {key_id(public_of(private))[:8]} was made")
    values = {"private.pem": private.decode(), "public.pem": public.decode()}
    hand_over(secret(name, namespace, values), applied, "create", f'Secret "{name}"')


AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def secret(name: str, namespace: str, values: Mapping[str, str]) -> str:
    """Return a Secret as YAML; JSON strings are YAML strings."""
    where = f", namespace: {json.dumps(namespace)}" if namespace else ""
    lines = [f"  {key}: {json.dumps(value)}" for key, value in values.items()]
    head = ["apiVersion: v1", "kind: Secret", f"metadata: {{name: {json.dumps(name)}{where}}}", "type: Opaque"]
    return "\n".join([*head, "stringData:", *lines, ""])


def hand_over(document: str, applied: bool, verb: str, what: str) -> None:
    """Print a Secret, or give it to kubectl on its standard input, where no process list shows it."""
    if not applied:
        click.echo(document, nl=False)
        return
    result = kubectl([verb, "-f", "-"], document)
    if result.returncode:
        raise click.ClickException(f"{what} was not made: {last_line(result.stderr)}")
    say(result.stdout.strip())


def read_by_kubectl(name: str, namespace: str) -> dict[str, str]:
    """Return the values of a Secret of the cluster; none if it does not exist."""
    where = ["--namespace", namespace] if namespace else []
    result = kubectl(["get", "secret", name, *where, "--ignore-not-found", "-o", "json"])
    if result.returncode:
        raise click.ClickException(f'Secret "{name}" cannot be read: {last_line(result.stderr)}')
    data = json.loads(result.stdout).get("data", {}) if result.stdout.strip() else {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def kubectl(arguments: list[str], document: str = "") -> subprocess.CompletedProcess[str]:
    """Run kubectl; raise ClickException where there is none."""
    try:
        return subprocess.run(["kubectl", *arguments], input=document, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise click.ClickException("kubectl is not on the path; install it, or leave out --apply") from error


@contextmanager
def mounted(values: Mapping[str, str]) -> Iterator[Path]:
    """Give values as the directory that a pod would see, readable to nobody else."""
    with tempfile.TemporaryDirectory() as directory:
        for key, value in values.items():
            (Path(directory) / key).write_text(value, encoding="utf-8")
        yield Path(directory)


def last_line(text: str) -> str:
    """Return what a failed program said last."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def say(text: str) -> None:
    """Tell progress beside the document: standard output is for kubectl."""
    click.echo(text, err=True)
