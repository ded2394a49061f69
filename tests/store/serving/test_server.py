"""A real pod on loopback: a model made by scikit-learn, a folder store, plans written as kubelet does."""

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from serving_pod import Pod, ask, flights_model, inference, planned, publish, tampered
from treadle.api.artifacts import MODEL_ONNX, Golden
from treadle.api.plan import ServerState
from treadle.serving.onnxfile import problem
from treadle.serving.split import takes
from treadle.store import blobs, keys, tables


def test_answers_as_training_did(serving: Pod) -> None:
    golden = flights_model(1)[1]
    columns = golden.columns
    body = inference(
        distance=("INT64", columns["distance"]), hour=("FP64", columns["hour"]), origin=("BYTES", columns["origin"])
    )
    answer = serving.infer({**body, "id": "r"})
    assert answer.status == 200
    assert answer.output("score") == pytest.approx(golden.scores, abs=1e-5)
    assert answer.output("label") == golden.labels
    assert answer.output("prediction_id") == ["r", *(f"r/{row}" for row in range(1, 20))]
    assert answer.headers["treadle-model-digest"] == serving.plan["champion"]["digest"]
    assert answer.headers["treadle-model-version"] == "v1"
    assert (answer.json["model_name"], answer.json["model_version"], answer.json["id"]) == ("flights-late", "v1", "r")


def test_a_real_model_stands_alone() -> None:
    assert problem(flights_model(1)[0]) == ""


def test_reports_what_it_holds(serving: Pod) -> None:
    state = ServerState.model_validate(serving.progress())
    assert state.champion is not None
    assert (state.plan, state.champion.state, state.champion.golden, state.champion.reason) == (
        serving.revision,
        "Serving",
        "20/20",
        None,
    )


ROUTES = {
    "server metadata": ("GET", "/v2", 200, "treadle"),
    "live": ("GET", "/v2/health/live", 200, "true"),
    "ready": ("GET", "/v2/health/ready", 200, "true"),
    "model metadata": ("GET", "/v2/models/flights-late", 200, "distance"),
    "model ready": ("GET", "/v2/models/flights-late/ready", 200, "true"),
    "another model": ("GET", "/v2/models/other", 404, "no such path or model"),
    "another model's inference": ("POST", "/v2/models/other/infer", 404, "no such path or model"),
    "a version's inference": ("POST", "/v2/models/flights-late/versions/v1/infer", 404, "release plan"),
    "no path": ("GET", "/", 404, "no such path"),
    "a GET of inference": ("GET", "/v2/models/flights-late/infer", 405, "POST"),
    "a POST of metadata": ("POST", "/v2", 405, "GET"),
}


@pytest.mark.parametrize(("method", "path", "status", "text"), ROUTES.values(), ids=ROUTES.keys())
def test_routes(serving: Pod, method: str, path: str, status: int, text: str) -> None:
    answer = ask(serving.settings.predict_port, method, path)
    assert answer.status == status
    assert text in answer.body.decode()
    assert status == 200 or set(answer.json) == {"error"}


JSON = {"content-type": "application/json"}
HOSTILE: dict[str, tuple[Any, dict[str, str] | None, int, str]] = {
    "a form": (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    "gzip": (b"{}", {**JSON, "content-encoding": "gzip"}, 415, "Content-Encoding"),
    "binary tensors": (b"{}", {"content-type": "application/octet-stream"}, 415, "application/json"),
    "a body over the bound": (b" " * 1_048_577, JSON, 413, "over 1048576 bytes"),
    "no body": (b"", JSON, 400, "for example"),
    "a torn body": (b'{"inputs":', JSON, 400, "for example"),
    "a missing column": (inference(hour=None), JSON, 400, 'column "hour" is missing'),
    "a wrong type": (inference(origin=("FP64", [1.0])), JSON, 400, 'column "origin": expected BYTES'),
    "too many rows": (inference(1001), JSON, 400, "allowed are 1 to 1000"),
}


@pytest.mark.parametrize(("body", "headers", "status", "text"), HOSTILE.values(), ids=HOSTILE.keys())
def test_refuses(serving: Pod, body: Any, headers: dict[str, str], status: int, text: str) -> None:
    digest = serving.plan["champion"]["digest"]
    before = serving.counts(digest)
    answer = serving.infer(body, headers)
    after = serving.counts(digest)
    assert answer.status == status
    assert text in answer.json["error"]
    assert (after["rejected"], after["errors"]) == (before.get("rejected", 0) + 1, before.get("errors", 0))
    assert serving.infer(inference()).status == 200


def test_the_example_of_a_refusal_works(serving: Pod) -> None:
    text = serving.infer(b"{}").json["error"]
    assert serving.infer(json.loads(text.partition("for example: ")[2])).status == 200


def test_refuses_a_chunked_body_over_the_bound(serving: Pod) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serving.settings.predict_port, timeout=10)
    pieces = (b" " * 65_536 for _ in range(20))
    try:
        connection.request("POST", "/v2/models/flights-late/infer", pieces, JSON, encode_chunked=True)
        assert connection.getresponse().status == 413
    except ConnectionError:
        pass  # the server closed while we still wrote
    finally:
        connection.close()
    assert serving.infer(inference()).status == 200


def test_survives_a_caller_that_leaves(serving: Pod) -> None:
    with socket.create_connection(("127.0.0.1", serving.settings.predict_port)) as caller:
        caller.sendall(b"POST /v2/models/flights-late/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert serving.infer(inference()).status == 200


def test_answers_many_at_once_each_with_its_own(serving: Pod) -> None:
    def one(number: int) -> bool:
        answer = serving.infer(inference(flight=("INT64", [number])))
        return answer.output("prediction_id") == [str(number)]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(200)))


def test_a_bad_plan_changes_nothing(serving: Pod) -> None:
    good = dict(serving.plan)
    for text in ("{", "[]", json.dumps({**good, "revision": 99, "champion": {"version": "v9"}}), "x" * 70_000):
        serving.apply(text)
    assert serving.infer(inference()).status == 200
    serving.plan = good
    serving.apply(requestPolicy={"errorDetail": "Minimal"})
    serving.until("the policy changed", lambda: "hour" not in serving.infer(inference(hour=None)).json["error"])
    assert serving.infer(inference(hour=None)).status == 400
    assert ask(serving.settings.predict_port, "GET", "/v2/models/flights-late").json["inputs"] == []
    serving.apply(requestPolicy={})
    serving.until("the policy is back", lambda: "hour" in serving.infer(inference(hour=None)).json["error"])


def test_a_candidate_walks_is_promoted_and_rolled_back(serving: Pod) -> None:
    champion = serving.plan["champion"]
    candidate = planned(publish(serving.store, 2), "v2")
    serving.apply(candidate={**candidate, "weight": 0})
    assert serving.until_state("candidate", "Loaded")["golden"] == "20/20"
    assert serving.infer({**inference(), "id": "x"}).headers["treadle-model-version"] == "v1"
    serving.apply(candidate={**candidate, "weight": 25})
    serving.until_state("candidate", "Serving")
    ids = [f"request-{number}" for number in range(200)]
    answered = {id_: serving.infer(inference(id=id_)).headers["treadle-model-version"] for id_ in ids}
    assert answered == {id_: "v2" if takes(candidate["digest"], id_, 25) else "v1" for id_ in ids}
    counts = serving.counts(candidate["digest"])
    taken = sum(version == "v2" for version in answered.values())
    assert (counts["requests"], counts["errors"], sum(counts["latency"])) == (taken, 0, taken)
    until = "2999-01-01T00:00:00Z"
    serving.apply(champion=candidate, candidate=None, previous={**champion, "until": until})
    serving.until("v2 is champion", lambda: serving.infer(inference()).headers["treadle-model-version"] == "v2")
    serving.apply(champion=champion, previous=None)
    serving.until("v1 is champion", lambda: serving.infer(inference()).headers["treadle-model-version"] == "v1")
    assert ask(serving.settings.predict_port, "GET", "/v2/health/ready").status == 200


def flat() -> Golden:
    """Golden rows that no model answers so."""
    return flights_model(1)[1].model_copy(update={"scores": [0.123] * 20})


def test_what_cannot_be_verified_is_refused_while_the_champion_serves(serving: Pod) -> None:
    broken = publish(serving.store, 3)
    tampered(serving, broken, MODEL_ONNX)
    cases = {
        broken: "ChecksumMismatch",
        publish(serving.store, 4, signed=False): "SignatureInvalid",
        f"sha256:{'0' * 64}": "ArtifactMissing",
        publish(serving.store, 1, onnx=b"\x80\x04\x95pickle"): "FormatRefused",
        publish(serving.store, 1, primary=("pickle", "model.pkl")): "FormatRefused",
        publish(serving.store, 1, golden=flat()): "GoldenMismatch",
    }
    for digest, reason in cases.items():
        serving.apply(candidate=planned(digest, "v9", weight=50))
        refused = serving.until_state("candidate", "Refused")
        assert refused["reason"] == reason, refused
        assert refused["message"]
        assert {serving.infer(inference()).headers["treadle-model-version"] for _ in range(4)} == {"v1"}
    serving.apply(candidate=None)


def test_warn_serves_what_is_unsigned_and_says_so(serving: Pod) -> None:
    digest = publish(serving.store, 4, signed=False)
    serving.apply(verification={"policy": "Warn"}, candidate=planned(digest, "v4", weight=100))
    held = serving.until_state("candidate", "Serving")
    assert held["reason"] == "NotEnforced"
    assert serving.infer(inference()).headers["treadle-model-digest"] == digest
    serving.apply(verification={"policy": "Enforce"})
    assert serving.until_state("candidate", "Refused")["reason"] == "SignatureInvalid"
    assert serving.infer(inference()).headers["treadle-model-version"] == "v1"
    serving.apply(verification={}, candidate=None)


def test_metrics_are_prometheus_text(serving: Pod) -> None:
    text = serving.state("/metrics").body.decode()
    digest = serving.plan["champion"]["digest"]
    count = serving.counts(digest)["requests"]
    assert f'treadle_serving_requests_total{{digest="{digest}"}} {float(count)}' in text
    assert f'treadle_serving_latency_seconds_bucket{{digest="{digest}",le="+Inf"}} {float(count)}' in text


def test_the_first_candidate_is_vetted_unready_then_promoted_and_logged(prepared: Pod) -> None:
    bucket = prepared.root / "bucket"
    bucket.rename(prepared.root / "away")
    prepared.start()
    assert prepared.state("/readyz").status == 503
    assert prepared.infer(inference()).status == 503
    digest = publish_away(prepared)
    prepared.apply(candidate=planned(digest, weight=0), champion=None)
    prepared.until(
        "the store is away", lambda: "no bucket" in prepared.progress().get("candidate", {}).get("message", "")
    )
    assert prepared.progress()["candidate"]["state"] == "Loading"
    (prepared.root / "away").rename(bucket)
    prepared.until_state("candidate", "Loaded")
    assert prepared.state("/readyz").status == 503
    prepared.apply(champion=planned(digest), candidate=None)
    prepared.until("it is ready", lambda: prepared.state("/readyz").status == 200)
    assert prepared.infer(inference(2, id="r")).status == 200
    assert prepared.infer(b"{").status == 400
    prepared.stop()
    entries = list(prepared.store.list("requests/flights-late/"))
    found = [json.loads(prepared.store.get(entry.key).data) for entry in entries]  # type: ignore[union-attr]
    rows = [
        row
        for document in found
        for row in tables.decode(blobs.get_bytes(prepared.store, document["files"][0]["sha256"])).to_pylist()
    ]
    assert [(row["prediction_id"], row["status"], row["in.origin"]) for row in rows[:2]] == [
        ("r", 200, "LGA"),
        ("r/1", 200, "LGA"),
    ]
    assert (rows[2]["status"], rows[2]["in.origin"]) == (400, None)
    assert {row["model_digest"] for row in rows} == {digest}


def publish_away(pod: Pod) -> str:
    """Publish into a bucket that the pod does not find."""
    from serving_pod import PREFIX
    from treadle.store.folder import FolderStore

    digest = publish(FolderStore(pod.root / "away", PREFIX))
    assert keys.manifest("models", digest)
    return digest
