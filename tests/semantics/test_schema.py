"""What a real API server says to an object, and what memory says: the same code, text, and object to store."""

import copy
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import goldens
import lab
from control_plane import ControlPlane
from manifests import Json, cases_of, changed, free, manifest, structural, structural_rows
from mutations import made, mutated
from treadle.api.names import API_VERSION, PLURALS
from treadle.local.schema.admit import Refused, Schemas, schema_of, schemas

NAMESPACE = "schema"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LAB = structural()["lab"]
SAMPLES = Schemas({"Sample": schema_of(lab.crd())})
ASKED_AGAIN = 200
"""The server tells fields side by side in the order of a Go map; so often it is asked for the order of ours."""

SYSTEM = ("uid", "creationTimestamp", "generation", "managedFields", "resourceVersion", "namespace")
"""Metadata that a dry run makes up."""


@dataclass(frozen=True, slots=True)
class Request:
    """A dry run of a write, and what it is compared with."""

    method: str
    path: str
    body: Json
    live: Json | None = None
    subresource: str = ""


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Yield an API server with the manifest of each kind."""
    plane.namespace(NAMESPACE)
    for kind in PLURALS:
        status, answer = plane.request("POST", path(kind), manifest(kind, {}))
        assert status == 201, answer
    yield plane
    for kind in PLURALS:
        plane.request("DELETE", path(kind))


@pytest.fixture(scope="module")
def samples(server: ControlPlane) -> Iterator[ControlPlane]:
    """Yield an API server with the kind of lab.py, an object of it that keeps its rules, and one from before them."""
    status, answer = server.request("POST", DEFINITIONS, lab.crd(strict=False))
    assert status == 201, answer
    for name in ("good", "bad"):
        eventually(201, lambda name=name: server.request("POST", path("Sample"), sample(name, LAB[name])))
    definition, spec = f"{DEFINITIONS}/{answer['metadata']['name']}", {"spec": lab.crd()["spec"]}
    status, answer = server.request("PATCH", definition, spec, "application/merge-patch+json")
    assert status == 200, answer
    wrong = sample("wrong", {"text": "bad"})
    eventually(422, lambda: server.request("POST", path("Sample", query="dryRun=All"), wrong))
    yield server
    server.request("DELETE", definition)


def eventually(wanted: int, ask: Callable[[], tuple[int, Json]], within: float = 30.0) -> None:
    """Ask until the answer has a code: a server takes up a new definition after a while."""
    until = time.monotonic() + within
    while (answer := ask())[0] != wanted:
        assert time.monotonic() < until, answer
        time.sleep(0.05)


def path(kind: str, name: str = "", *, subresource: str = "", query: str = "") -> str:
    tail = "".join(f"/{part}" for part in (name, subresource) if part)
    return f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURALS.get(kind, 'samples')}{tail}?{query}"


def sample(name: str, spec: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": "Sample", "metadata": {"name": name}, "spec": copy.deepcopy(spec)}


def held(server: ControlPlane, kind: str, name: str) -> Json:
    status, answer = server.request("GET", path(kind, name))
    assert status == 200, answer
    found: Json = answer
    return found


def request_of(server: ControlPlane, section: str, kind: str, changes: Any) -> Request:
    if section == "create":
        return Request("POST", path(kind, query="dryRun=All"), free(kind, changes))
    live = held(server, kind, cases_of(kind)["manifest"]["metadata"]["name"])
    name, subresource = live["metadata"]["name"], "status" if section == "status" else ""
    body = {**live, "status": changes} if subresource else changed({**live, "status": {}}, changes)
    place = path(kind, name, subresource=subresource, query="dryRun=All")
    return Request("PUT", place, body, live, subresource)


def judged(known: Schemas, asked: Request) -> Json:
    """Return what memory answers, as the part of the server's answer that is compared."""
    try:
        return stored(known.admit(copy.deepcopy(asked.body), asked.live, subresource=asked.subresource))
    except Refused as refused:
        causes = [{"reason": c.reason, "message": c.message, "field": c.field} for c in refused.causes]
        return {"code": refused.code, "reason": refused.reason, "message": refused.message, "causes": causes}


def answered(server: ControlPlane, asked: Request) -> Json:
    code, answer = server.request(asked.method, asked.path, asked.body)
    if code < 300:
        return stored(answer)
    causes = answer.get("details", {}).get("causes", [])
    return {"code": code, "reason": answer["reason"], "message": answer["message"], "causes": causes}


def stored(raw: Json) -> Json:
    return raw | {"metadata": {key: value for key, value in raw["metadata"].items() if key not in SYSTEM}}


def same(server: ControlPlane, known: Schemas, asked: Request) -> None:
    """Assert that the server answers as memory does; where its order is chance, that ours is one of its orders."""
    ours, theirs = judged(known, asked), answered(server, asked)
    assert sorted(theirs.get("causes", []), key=str) == sorted(ours.get("causes", []), key=str)
    for _ in range(ASKED_AGAIN if len(ours.get("causes", [])) > 1 else 0):
        if theirs == ours:
            break
        theirs = answered(server, asked)
    assert theirs == ours


ROWS = {
    f"{section} {name}": (section, kind, changes)
    for section in ("create", "update", "status")
    for name, (kind, changes) in structural_rows(section).items()
}


@pytest.mark.parametrize(("section", "kind", "changes"), ROWS.values(), ids=ROWS.keys())
def test_an_object_of_ours(server: ControlPlane, section: str, kind: str, changes: Any) -> None:
    same(server, schemas(), request_of(server, section, kind, changes))


def test_the_words_of_each_answer(server: ControlPlane) -> None:
    """They are kept, so that the unit tier needs no server; in the order of the texts, since the server has none."""
    found = {}
    for name, (section, kind, changes) in ROWS.items():
        answer = answered(server, request_of(server, section, kind, changes))
        causes = sorted(f"{cause['field']}: {cause['message']}" for cause in answer.get("causes", []))
        found[name] = causes or [answer.get("message", "taken")]
    goldens.same("api/structural", found)


def test_a_finalizer_cannot_be_added_to_what_is_being_deleted(server: ControlPlane) -> None:
    body = free("Monitor", {"metadata.name": "going", "metadata.finalizers": ["treadle.dev/one"]})
    server.request("POST", path("Monitor"), body)
    server.request("DELETE", path("Monitor", "going"))
    live = held(server, "Monitor", "going")
    wished = changed(live, {"metadata.finalizers": ["treadle.dev/two", "treadle.dev/one", "treadle.dev/three"]})
    same(server, schemas(), Request("PUT", path("Monitor", "going", query="dryRun=All"), wished, live))
    status, _ = server.request("PUT", path("Monitor", "going"), changed(live, {"metadata.finalizers": []}))
    assert status == 200


@pytest.mark.parametrize("seed", range(6))
def test_what_nobody_thought_of(server: ControlPlane, seed: int) -> None:
    """A case that differs is to become a row of schema.yaml."""
    rng = random.Random(seed)
    for _ in range(40):
        kind = rng.choice(list(PLURALS))
        root = schemas().kinds[kind].root
        live = held(server, kind, cases_of(kind)["manifest"]["metadata"]["name"])
        place = path(kind, live["metadata"]["name"], query="dryRun=All")
        match rng.choice(["create", "update", "status"]):
            case "create":
                changes = rng.choice(list(cases_of(kind)["accepted"].values()))
                body = mutated(rng, free(kind, changes | {"metadata.name": "another"}), root)
                asked = Request("POST", path(kind, query="dryRun=All"), body)
            case "update":
                asked = Request("PUT", place, mutated(rng, live, root), live)
            case _:
                place = path(kind, live["metadata"]["name"], subresource="status", query="dryRun=All")
                body = {**live, "status": made(rng, root["properties"]["status"])}
                asked = Request("PUT", place, body, live, "status")
        ours, theirs = judged(schemas(), asked), answered(server, asked)
        assert _unordered(theirs) == _unordered(ours), f"seed {seed}: {asked}"


def _unordered(answer: Json) -> Json:
    """Return an answer without the order of its causes, which the message repeats."""
    if "causes" not in answer:
        return answer
    said = sorted(f"{cause['field']}: {cause['message']}" for cause in answer["causes"])
    return {"code": answer["code"], "said": said or answer["message"]}


CREATED = structural_rows("create")


@pytest.mark.parametrize(("kind", "changes"), CREATED.values(), ids=CREATED.keys())
def test_what_a_strict_create_names(server: ControlPlane, kind: str, changes: Json) -> None:
    body = free(kind, changes)
    _, answer = server.request("POST", path(kind, query="dryRun=All&fieldValidation=Strict"), body)
    _, is_strict, named = answer.get("message", "").partition("strict decoding error: ")
    is_unreadable = "json:" in answer.get("message", "") or "parsing time" in answer.get("message", "")
    unknown = list(schemas().unknown(body))
    # What cannot be read at all is refused for that.
    assert (named.split(", ") if is_strict else []) == ([] if is_unreadable else unknown)


@pytest.mark.parametrize("spec", LAB["create"].values(), ids=LAB["create"].keys())
def test_a_rule_of_the_lab(samples: ControlPlane, spec: Json) -> None:
    same(samples, SAMPLES, Request("POST", path("Sample", query="dryRun=All"), sample("another", spec)))


@pytest.mark.parametrize("changes", LAB["update"].values(), ids=LAB["update"].keys())
def test_a_rule_of_transition(samples: ControlPlane, changes: Json) -> None:
    live = held(samples, "Sample", "good")
    same(samples, SAMPLES, Request("PUT", path("Sample", "good", query="dryRun=All"), changed(live, changes), live))


@pytest.mark.parametrize("changes", LAB["borne"].values(), ids=LAB["borne"].keys())
def test_what_was_wrong_before_is_borne(samples: ControlPlane, changes: Json) -> None:
    live = held(samples, "Sample", "bad")
    same(samples, SAMPLES, Request("PUT", path("Sample", "bad", query="dryRun=All"), changed(live, changes), live))
