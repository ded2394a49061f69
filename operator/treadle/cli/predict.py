"""`treadle predict`: one request to a model, and the same as a line for a shell."""

import difflib
import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import click

from treadle.cli.cluster import CONNECTION, Answer, Cluster, Object, connected, core, object_of, ours, refusal
from treadle.cli.estate import condition

SERVICE_PORT = 80
FORWARDED_PORT = 18080
WITHIN_SECONDS = 60.0
SAMPLES: Mapping[str, Any] = {"BOOL": True, "INT64": 1, "FP64": 0.5, "BYTES": "text"}
"""For an input without an example: a personal column, or one that is always null."""
NUMBERS = {"INT64": int, "FP64": float}
TRUTHS = {"true": True, "false": False}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
FORM = '{"COLUMN": VALUE, …}, a list of such rows, or the protocol\'s own {"inputs": […]}'


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model answers, as the API server's Service proxy reaches it."""

    cluster: Cluster
    service: str
    model: str

    @property
    def proxy(self) -> str:
        """Return the path of the Service proxy."""
        return f"{core('services', self.cluster.namespace, self.service)}:{SERVICE_PORT}/proxy"

    @property
    def path(self) -> str:
        """Return the model's path below the Service."""
        return f"/v2/models/{self.model}"


@click.command()
@click.argument("model")
@click.argument("values", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--example", is_flag=True, help="Fill what no KEY=VALUE gives with values of the training data.")
@click.option("--json", "file", type=click.File("r"), metavar="FILE", help="Rows to send; - for standard input.")
@click.option("--curl", is_flag=True, help="Send nothing; print the lines that send it from your shell.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@CONNECTION
def predict(
    *,
    model: str,
    values: tuple[str, ...],
    example: bool,
    file: IO[str] | None,
    curl: bool,
    output: str,
    context: str,
    namespace: str,
) -> None:
    """Ask a model for a prediction.

    Prints the answer and the same call with curl. MODEL is the name of a ModelDeployment. Without values, or with
    --example, a ready example is sent: for each input a value of the training data, as the server tells. The request
    goes through the API server, with your own rights.

    \b
    Examples:
      treadle predict flights-late
      treadle predict flights-late --example hour=23 origin=LGA
      treadle predict flights-late --json rows.json
      treadle predict flights-late --curl

    FILE holds {"COLUMN": VALUE, …}, a list of such rows, or a body of the Open Inference Protocol, sent as it is.
    A refusal of the server is printed as it came, with exit code 1. Needs the rights to get the ModelDeployment, and
    to get and create services/proxy.

    With -o json: {status, milliseconds, version, digest, request, response, curl}.
    """
    if file is not None and (values or example):
        raise click.UsageError("--json brings its own rows; leave out --example and KEY=VALUE")
    with connected(context, namespace) as cluster:
        endpoint = found(cluster, model)
        body = request_of(endpoint, values, file, is_filled=example or not values)
        line = shell(endpoint, body)
        if curl:
            click.echo(line)
            return
        told = ask(endpoint, body) | {"request": json.loads(body), "curl": line}
    if output == "json":
        click.echo(json.dumps(told, sort_keys=True, ensure_ascii=False, indent=2))
    else:
        write(told)
        if told["status"] == 400 and values and not example:
            click.echo("--example fills the inputs that no KEY=VALUE gives", err=True)
    click.get_current_context().exit(0 if told["status"] == 200 else 1)


def found(cluster: Cluster, what: str) -> Endpoint:
    """Return where a ModelDeployment answers; raise ClickException where it does not exist."""
    kind, name = object_of(what)
    if kind != "ModelDeployment":
        raise click.UsageError(f"a ModelDeployment answers, and {what} is a {kind}")
    deployment = cluster.find(ours(kind, cluster.namespace, name))
    if deployment is None:
        known = [each["metadata"]["name"] for each in cluster.items(ours(kind, cluster.namespace))]
        raise click.ClickException(
            f"no ModelDeployment {name} is in {cluster.namespace}; there are: {', '.join(known) or 'none'}"
        )
    ready = condition(deployment, "Ready")
    if ready.get("status") != "True" and not (deployment.get("status") or {}).get("champion"):
        raise click.ClickException(f"{name} answers nothing yet: {ready.get('reason')}: {ready.get('message')}")
    return Endpoint(cluster, name, deployment["spec"]["modelName"])


def request_of(endpoint: Endpoint, values: Sequence[str], file: IO[str] | None, *, is_filled: bool) -> bytes:
    """Return the body to send."""
    if file is not None:
        document = parsed(file.read(), getattr(file, "name", "-"))
        if isinstance(document, dict) and "inputs" in document:
            return json.dumps(document, ensure_ascii=False).encode()
        return columns(document if isinstance(document, list) else [document], metadata(endpoint))
    inputs = metadata(endpoint)
    given = dict(pair(value, inputs) for value in values)
    row = {each["name"]: sample(each) for each in inputs} if is_filled else {}
    return columns([row | given], inputs)


def metadata(endpoint: Endpoint) -> list[Object]:
    """Return the inputs of a model, as its server tells them; raise ClickException where it tells none."""
    status, _, body = endpoint.cluster.send("GET", endpoint.proxy + endpoint.path, headers=HEADERS)
    if status != 200:
        raise unanswered(endpoint, status, body)
    inputs: list[Object] = json.loads(body).get("inputs") or []
    if not inputs:
        hidden = "hides its inputs (requestPolicy.errorDetail: Minimal); send rows by --json"
        raise click.ClickException(f"{endpoint.service} {hidden}")
    return inputs


def ask(endpoint: Endpoint, body: bytes) -> Object:
    """Send a request and return what came, with how long it took."""
    began = time.perf_counter()
    status, headers, answer = endpoint.cluster.send(
        "POST", f"{endpoint.proxy}{endpoint.path}/infer", body, HEADERS, WITHIN_SECONDS
    )
    milliseconds = round((time.perf_counter() - began) * 1000)
    try:
        response = json.loads(answer)
    except ValueError:
        response = None
    if not isinstance(response, dict) or response.get("kind") == "Status":
        raise unanswered(endpoint, status, answer)
    return {
        "status": status,
        "milliseconds": milliseconds,
        "version": headers.get("treadle-model-version"),
        "digest": headers.get("treadle-model-digest"),
        "response": response,
    }


def unanswered(endpoint: Endpoint, status: int, body: bytes) -> click.ClickException:
    """Return why no model answered: what its server says, or the API server."""
    text = body.decode(errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict) and "error" in document:
        return click.ClickException(f"{status} from {endpoint.service}: {document['error']}")
    answer = refusal("GET", endpoint.proxy, status, text)
    if status == 503:
        line = (
            f"no ready pod is behind Service {endpoint.service}: {answer.message}; see treadle why {endpoint.service}"
        )
        return Answer(line, status=status)
    return answer


# Rows; pure.


def parsed(text: str, name: str) -> Any:
    """Return what a file holds; raise ClickException for no JSON."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise click.ClickException(f"{name} is no JSON: {error}; write {FORM}") from error
    rows = document if isinstance(document, list) else [document]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise click.ClickException(f"{name} holds no rows; write {FORM}")
    return document


def pair(text: str, inputs: Sequence[Object]) -> tuple[str, Any]:
    """Return a KEY=VALUE as column and value; raise UsageError where the model has no such column."""
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f'"{text}" is no KEY=VALUE; write for example {inputs[0]["name"]}=1')
    names = [each["name"] for each in inputs]
    if key not in names:
        near = difflib.get_close_matches(key, names, 1)
        meant = f'; did you mean "{near[0]}"?' if near else "."
        raise click.UsageError(f'the model has no input "{key}"{meant} It has: {", ".join(names)}')
    return key, typed(value, next(each["datatype"] for each in inputs if each["name"] == key), key)


def typed(text: str, datatype: str, name: str) -> Any:
    """Return a value as its datatype has it; null is null."""
    if text == "null":
        return None
    try:
        if datatype == "BOOL":
            return TRUTHS[text.lower()]
        return NUMBERS[datatype](text) if datatype in NUMBERS else text
    except (ValueError, KeyError) as error:
        raise click.UsageError(f'{name} is {datatype}, and "{text}" is none') from error


def sample(tensor: Object) -> Any:
    """Return a value that an input takes."""
    found = (tensor.get("parameters") or {}).get("example")
    return SAMPLES.get(tensor["datatype"], "text") if found is None else found


def columns(rows: Sequence[Object], inputs: Sequence[Object]) -> bytes:
    """Return rows as a body of the protocol: a tensor for each column that a row has, in the model's order."""
    datatypes = {each["name"]: each["datatype"] for each in inputs}
    given = list(dict.fromkeys(key for row in rows for key in row))
    ordered = [*(key for key in datatypes if key in given), *(key for key in given if key not in datatypes)]
    tensors = [
        {
            "name": key,
            "shape": [len(rows)],
            "datatype": datatypes.get(key, "BYTES"),
            "data": [row.get(key) for row in rows],
        }
        for key in ordered
    ]
    return json.dumps({"inputs": tensors}, ensure_ascii=False).encode()


# How it is written.


def shell(endpoint: Endpoint, body: bytes) -> str:
    """Return the lines that send the same from a shell: straight to a local server, else through a forwarded port."""
    way, path = endpoint.cluster.way, f"{endpoint.path}/infer"
    said = f"-H 'Content-Type: application/json' -d {shlex.quote(body.decode())}"
    if way.is_local:
        return f"curl -sS {shlex.quote(way.server.rstrip('/') + endpoint.proxy + path)} {said}"
    where = f"--context {shlex.quote(way.context)} -n {endpoint.cluster.namespace}"
    return "\n".join(
        [
            f"kubectl port-forward {where} service/{endpoint.service} {FORWARDED_PORT}:{SERVICE_PORT} >/dev/null &",
            f"curl -sS --retry 9 --retry-delay 1 --retry-connrefused http://127.0.0.1:{FORWARDED_PORT}{path} {said}",
            "kill $!",
        ]
    )


def write(told: Object) -> None:
    """Print an answer for people: how it went, its outputs or the refusal, and the line for a shell."""
    digest = (told["digest"] or "")[7:19]
    version = f"  version {told['version']} {digest}" if told["version"] else ""
    fine = told["status"] == 200
    status = click.style(str(told["status"]), fg="green" if fine else "red", bold=True)
    click.echo(f"{status}  {told['milliseconds']} ms{version}")
    response = told["response"]
    if fine:
        for line in table(told["request"], response):
            click.echo(line)
    else:
        click.echo(response.get("error") or json.dumps(response, ensure_ascii=False))
    click.echo(f"\n{told['curl']}")


def table(request: Object, response: Object) -> list[str]:
    """Return inputs and outputs of one row as a list, or the outputs of several as a table."""
    outputs = response.get("outputs") or []
    rows = len(outputs[0]["data"]) if outputs else 0
    if rows == 1:
        longest = max(len(each["name"]) for each in (*request["inputs"], *outputs))
        sent = ((each["name"], json.dumps(first(each), ensure_ascii=False)) for each in request["inputs"])
        told = [f"  {name:<{longest}}  {value}" for name, value in sent]
        return [*told, *(f"→ {each['name']:<{longest}}  {shown(first(each))}" for each in outputs)]
    cells = [[each["name"], *(shown(value) for value in each["data"])] for each in outputs]
    widths = [max(map(len, column)) for column in cells]
    lines = zip(*cells, strict=True)
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def first(tensor: Object) -> Any:
    """Return a tensor's first value, which may be a list of one."""
    value = tensor["data"][0]
    return value[0] if isinstance(value, list) and value else value


def shown(value: Any) -> str:
    """Return an output's value for people."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
