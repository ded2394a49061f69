"""A real model, a folder store that holds it, and a real pod on loopback ports."""

import asyncio
import hashlib
import http.client
import json
import socket
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from treadle.api.artifacts import GOLDEN_FILE, MODEL_ONNX, SCHEMA_FILE, Golden, ModelSchema
from treadle.api.plan import ServerSpec
from treadle.serving.main import Settings, serve
from treadle.store import blobs, keys, manifest, signing
from treadle.store.folder import FolderStore

PREFIX = "treadle/v1/0b6e/"
OWNER = {"kind": "ModelDeployment", "name": "flights-late", "uid": "u", "namespace": "demo"}
SPEC = ServerSpec.model_validate(
    {
        "owner": OWNER,
        "modelName": "flights-late",
        "store": {"secret": "treadle-store", "prefix": PREFIX},
        "signingSecret": "treadle-signing",
    }
)
ORIGINS = ["EWR", "JFK", "LGA"]


def schema(**changes: Any) -> ModelSchema:
    """Return the schema of the flights model."""
    inputs = [
        {"name": "distance", "type": "integer", "nullable": False, "example": 529},
        {"name": "hour", "type": "double"},
        {"name": "origin", "type": "string", "values": ORIGINS, "example": "LGA"},
    ]
    return ModelSchema.model_validate(
        {"task": "BinaryClassification", "inputs": inputs, "classes": ["0", "1"], "idColumn": "flight", **changes}
    )


@cache
def flights_model(seed: int) -> tuple[bytes, Golden]:
    """Return a logistic regression on flights as ONNX, and the golden rows as scikit-learn answers them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
        from sklearn.compose import ColumnTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(
            {
                "distance": rng.integers(80, 2600, 400).astype("float32"),
                "hour": rng.integers(5, 24, 400).astype("float32"),
                "origin": rng.choice(ORIGINS, 400),
            }
        )
        late = (rng.random(400) < 0.1 + 0.03 * (frame["hour"] - 5) * (1 + (frame["origin"] == "EWR"))).astype(int)
        encode = ColumnTransformer(
            [("number", StandardScaler(), ["distance", "hour"]), ("text", OneHotEncoder(), ["origin"])]
        )
        pipeline = Pipeline([("encode", encode), ("model", LogisticRegression())]).fit(frame, late)
        number, text = FloatTensorType([None, 1]), StringTensorType([None, 1])
        onnx = convert_sklearn(
            pipeline,
            initial_types=[("distance", number), ("hour", number), ("origin", text)],
            final_types=[("label", Int64TensorType([None])), ("score", FloatTensorType([None, 2]))],
            options={id(pipeline): {"zipmap": False}},
            target_opset=17,
        )
        rows = frame.head(20)
        columns = {
            "distance": [int(value) for value in rows["distance"]],
            "hour": [float(value) for value in rows["hour"]],
            "origin": list(rows["origin"]),
        }
        scores = pipeline.predict_proba(rows)[:, 1].tolist()
        labels = [str(label) for label in pipeline.predict(rows)]
    return onnx.SerializeToString(), Golden(columns=columns, scores=scores, labels=labels)


PRIVATE = signing.new_key()


def publish(
    store: FolderStore,
    seed: int = 1,
    *,
    signed: bool = True,
    onnx: bytes | None = None,
    golden: Golden | None = None,
    primary: tuple[str, str] = ("onnx", MODEL_ONNX),
) -> str:
    """Publish a model as training does; return its digest."""
    data, answers = flights_model(seed)
    contents = {
        primary[1]: data if onnx is None else onnx,
        SCHEMA_FILE: json.dumps(schema().dump()).encode(),
        GOLDEN_FILE: json.dumps((golden or answers).dump()).encode(),
    }
    files = []
    for path, content in contents.items():
        sha256 = blobs.put_bytes(store, content).removeprefix("sha256:")
        files.append({"path": path, "bytes": len(content), "sha256": sha256})
    document = {
        "format": "treadle.dev/model/v1",
        "fitKey": f"sha256:{seed:064x}",
        "primary": {"format": primary[0], "path": primary[1]},
        "files": files,
    }
    digest = manifest.publish_manifest(store, "models", document)
    if signed:
        listed = {file["path"]: file["sha256"] for file in files}
        bundle = signing.sign(PRIVATE, listed, manifest.manifest_bytes(store, "models", digest))
        store.put_once(keys.signature(digest), bundle)
    return digest


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body's value."""
        return json.loads(self.body)

    def output(self, name: str) -> list[Any]:
        """Return the values of an output."""
        return next(item["data"] for item in self.json["outputs"] if item["name"] == name)


@dataclass
class Pod:
    """A serving pod in a thread of its own, with mounts that the test writes as kubelet does."""

    root: Path
    store: FolderStore
    settings: Settings
    revision: int = 0
    plan: dict[str, Any] = field(default_factory=dict)
    _stop: Callable[[], None] | None = None
    _thread: threading.Thread | None = None

    @classmethod
    def prepare(cls, root: Path) -> "Pod":
        """Make bucket, Secrets and settings below a directory."""
        (root / "bucket").mkdir()
        for name, values in {
            "treadle-store": {"bucket": "bucket", "endpoint": f"file://{root}"},
            "treadle-signing": {"public.pem": signing.public_of(PRIVATE).decode()},
        }.items():
            directory = root / "mounts" / "secrets" / name
            directory.mkdir(parents=True)
            for key, value in values.items():
                (directory / key).write_text(value)
        (root / "mounts" / "plan").mkdir()
        chosen = Settings(SPEC, "pod", "8d1f", root / "mounts", "127.0.0.1", free_port(), free_port(), 0.0)
        return cls(root, FolderStore(root / "bucket", PREFIX), chosen)

    def start(self) -> None:
        """Begin to serve."""
        begun = threading.Event()

        def run() -> None:
            async def go() -> None:
                loop, stop = asyncio.get_running_loop(), asyncio.Event()
                self._stop = lambda: loop.call_soon_threadsafe(stop.set)
                begun.set()
                await serve(self.settings, work, stop)

            asyncio.run(go())

        work = self.root / f"work-{time.monotonic_ns()}"
        work.mkdir()
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert begun.wait(5)
        self.until("the state port answers", lambda: self.state("/livez").status == 200)

    def stop(self) -> None:
        """Tell the pod to end, and wait for it."""
        if self._stop is not None and self._thread is not None:
            self._stop()
            self._thread.join(20)
            assert not self._thread.is_alive()
            self._stop = None

    def apply(self, text: str | None = None, **changes: Any) -> None:
        """Write a plan as kubelet does, by one rename; `text` instead of a plan may be anything."""
        self.revision += 1
        self.plan = {**self.plan, "v": 1, "modelName": "flights-late", "revision": self.revision, **changes}
        directory = self.settings.mounts / "plan"
        (directory / "next").write_text(json.dumps(self.plan) if text is None else text)
        (directory / "next").replace(directory / "plan.json")

    def until(self, what: str, holds: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if holds():
                    return
            except OSError:
                pass  # not listening yet
            threading.Event().wait(0.02)
        raise AssertionError(f"not within {seconds} s: {what}; {self.progress()}")

    def until_state(self, role: str, state: str) -> dict[str, Any]:
        """Wait until the pod, under the newest plan, reports a state of champion or candidate; return the report."""

        def holds() -> bool:
            found = self.progress()
            return found["plan"] == self.revision and found.get(role, {}).get("state") == state

        self.until(f"{role} is {state}", holds)
        return dict(self.progress()[role])

    def state(self, path: str) -> Answer:
        """Ask the state port."""
        return ask(self.settings.state_port, "GET", path)

    def progress(self) -> dict[str, Any]:
        """Return what /progress says."""
        return dict(self.state("/progress").json)

    def counts(self, digest: str) -> dict[str, Any]:
        """Return the counts of a model."""
        return next((arm for arm in self.progress()["arms"] if arm["digest"] == digest), {})

    def infer(self, body: Any, headers: dict[str, str] | None = None, method: str = "POST") -> Answer:
        """Ask for predictions; `body` is bytes or a JSON value."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json"} if headers is None else headers
        return ask(self.settings.predict_port, method, "/v2/models/flights-late/infer", data, given)


def ask(port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """Send one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def inference(rows: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a good request; a change replaces the column of its name, None leaves it out, `id` is the request's."""
    columns: dict[str, Any] = {
        "distance": ("INT64", [529] * rows),
        "hour": ("FP64", [17.0] * rows),
        "origin": ("BYTES", ["LGA"] * rows),
        **changes,
    }
    request_id = columns.pop("id", None)
    inputs = [
        {"name": name, "datatype": value[0], "shape": [len(value[1])], "data": value[1]}
        for name, value in columns.items()
        if value is not None
    ]
    return {**({"id": request_id} if request_id is not None else {}), "inputs": inputs}


def planned(digest: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    """Return a model as a plan names it."""
    return {"version": version, "digest": digest, **more}


def tampered(pod: Pod, digest: str, path: str) -> None:
    """Flip a byte of a model's file in the bucket."""
    document = manifest.read_manifest(pod.store, "models", digest)
    sha256 = next(file["sha256"] for file in document["files"] if file["path"] == path)
    file = pod.root / "bucket" / PREFIX / keys.blob(sha256)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(bytes(data))
    assert hashlib.sha256(data).hexdigest() != sha256
