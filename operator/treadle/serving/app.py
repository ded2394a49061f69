"""Raw ASGI: routes, limits and errors of the predict port."""

import logging
import random
import time
import uuid
from dataclasses import dataclass, field

import orjson

from treadle.api.artifacts import ModelSchema
from treadle.api.modeldeployment import ErrorDetail
from treadle.serving import v2
from treadle.serving.batch import QueueFull
from treadle.serving.follow import Arm, View
from treadle.serving.health import Health
from treadle.serving.log import Answered
from treadle.serving.schema import Checked, Refusal, check, example, feeds
from treadle.serving.split import takes
from treadle.serving.wire import Gone, Receive, Reply, Scope, Send, answer, expect_json, read_body

CANDIDATE_SHARE = 0.5  # of the deadline: what is left is the champion's, if the candidate fails
CHAMPION, CANDIDATE = "champion", "candidate"

log = logging.getLogger(__name__)


class Failure(Exception):
    """A model, or its queue, that gave no answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was read: by whom it is to be answered, and when it came."""

    request: v2.Inference
    id: str
    view: View
    started: float


@dataclass(slots=True)
class Predict:
    """The Open Inference Protocol over one view at a time; an ASGI application."""

    health: Health
    model_name: str
    rng: random.Random = field(default_factory=random.Random)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            reply = await self.reply(scope, receive)
        except Gone:
            return
        except Exception:  # a bug of ours is one request's, and tells nothing of the inside
            log.exception("Failed to answer", extra={"path": scope["path"]})
            reply = Reply.error(500, "the server failed to answer; its log says why")
        await answer(send, reply)

    async def reply(self, scope: Scope, receive: Receive) -> Reply:
        """Return the answer to a request."""
        method, path = scope["method"], scope["path"].rstrip("/")
        base = f"/v2/models/{self.model_name}"
        if path == f"{base}/infer":
            if method != "POST":
                return Reply.error(405, "send a POST", (b"allow", b"POST"))
            return await self._infer(scope, receive)
        if path.startswith(f"{base}/versions/"):
            return Reply.error(404, f"the release plan chooses the version; POST to {base}/infer")
        routes = {
            "/v2": lambda: Reply(200, orjson.dumps(v2.server_metadata())),
            "/v2/health/live": lambda: Reply(200, b'{"live":true}'),
            "/v2/health/ready": self._ready,
            base: self._metadata,
            f"{base}/ready": self._ready,
        }
        if path not in routes:
            known = "/v2/models/<model>/infer" if path.startswith("/v2/models/") else f"{base}/infer"
            return Reply.error(404, f"no such path or model; this server answers POST {known}")
        if method not in ("GET", "HEAD"):
            return Reply.error(405, "send a GET", (b"allow", b"GET"))
        return routes[path]()

    def _ready(self) -> Reply:
        ready = self.health.is_ready
        return Reply(200 if ready else 503, orjson.dumps({"name": self.model_name, "ready": ready}))

    def _metadata(self) -> Reply:
        view = self.health.follower.view
        if view is None:
            return self._busy("no model is ready yet")
        arms = [view.champion, *([view.candidate] if view.candidate is not None else [])]
        hidden = view.plan.request_policy.error_detail == ErrorDetail.MINIMAL
        model = view.champion.model
        versions = [arm.version for arm in arms]
        return Reply(
            200,
            orjson.dumps(v2.model_metadata(self.model_name, versions, model.platform, model.schema, hidden=hidden)),
        )

    def _busy(self, text: str) -> Reply:
        # With jitter, so that callers that were turned away together do not come back together.
        return Reply.error(503, text, (b"retry-after", str(self.rng.randint(1, 3)).encode()))

    async def _infer(self, scope: Scope, receive: Receive) -> Reply:
        started = time.perf_counter()
        view = self.health.follower.view
        if view is None:
            return self._busy("no model is ready yet")
        request_id = str(uuid.uuid4())
        try:
            policy = view.plan.request_policy
            expect_json(scope["headers"], policy.max_body_bytes)
            body = await read_body(receive, policy.max_body_bytes)
            view = self.health.follower.view or view  # a plan may have come with the body
            request = v2.parse(body, view.plan.request_policy.max_rows)
        except Refusal as error:
            return self._refuse(error, view, view.champion, request_id, started)
        asked = Asked(request, request.id or request_id, view, started)
        try:
            return await self._answer(asked)
        except Failure as error:
            self._log_empty(view.champion, view, asked.id, time.perf_counter() - started, error.status)
            if error.status == 503:
                return self._busy(error.text)
            return Reply.error(error.status, error.text)

    async def _answer(self, asked: Asked) -> Reply:
        """Ask the arm that the split names; what the candidate fails, the champion answers."""
        view = asked.view
        candidate = view.candidate
        if candidate is not None and takes(candidate.digest, asked.id, view.weight):
            try:
                return await self._ask(asked, candidate, CANDIDATE)
            except Failure as error:
                self.health.counts.answered(candidate.digest, time.perf_counter() - asked.started, failed=True)
                log.warning("Fell back to the champion", extra={"candidate": candidate.digest, "error": error.text})
                return await self._ask(asked, view.champion, CHAMPION, is_counted=False)
            except Refusal as error:
                return await self._second_opinion(asked, candidate, error)
        try:
            return await self._ask(asked, view.champion, CHAMPION)
        except Refusal as error:
            return self._refuse(error, view, view.champion, asked.id, asked.started)
        except Failure:
            self.health.counts.answered(view.champion.digest, time.perf_counter() - asked.started, failed=True)
            raise

    async def _second_opinion(self, asked: Asked, candidate: Arm, refusal: Refusal) -> Reply:
        """Answer what the candidate refuses and the champion takes: then the candidate's schema failed the caller."""
        try:
            reply = await self._ask(asked, asked.view.champion, CHAMPION, is_counted=False)
        except Refusal:
            return self._refuse(refusal, asked.view, candidate, asked.id, asked.started)
        self.health.counts.answered(candidate.digest, time.perf_counter() - asked.started, failed=True)
        return reply

    async def _ask(self, asked: Asked, arm: Arm, name: str, *, is_counted: bool = True) -> Reply:
        """Return one arm's answer, counted and logged; raise Refusal for the caller's fault, Failure for the arm's."""
        view, request = asked.view, asked.request
        checked = check(request.tensors, arm.model.schema, view.plan.request_policy)
        answers = await self._predict(asked, arm, checked, name)
        seconds = time.perf_counter() - asked.started
        ids = v2.prediction_ids(checked.ids, asked.id, request.rows)
        if is_counted:
            self.health.counts.answered(arm.digest, seconds, failed=False)
        self.health.log.add(
            Answered(ids, arm.digest, name, seconds, 200, checked.columns, answers.scores, answers.labels),
            arm.model.schema,
            view.plan.logger,
        )
        return Reply(
            200,
            v2.response(request, asked.id, (self.model_name, arm.version), answers, ids),
            (
                (b"treadle-model-digest", arm.digest.encode()),
                (b"treadle-model-version", arm.version.encode()),
            ),
        )

    async def _predict(self, asked: Asked, arm: Arm, checked: Checked, name: str) -> v2.Answers:
        spent = time.perf_counter() - asked.started
        left = asked.view.timeout_seconds * (CANDIDATE_SHARE if name == CANDIDATE else 1.0) - spent
        try:
            return await arm.batcher.ask(
                feeds(checked.columns, arm.model.schema),
                checked.rows,
                max(left, 0.0),
                asked.view.plan.predictor.max_batch_rows,
            )
        except QueueFull:
            raise Failure(503, "too many requests wait; send it again later") from None
        except TimeoutError:
            raise Failure(504, f"no answer within {asked.view.plan.predictor.timeout}; send fewer rows") from None
        except Exception as error:  # whatever a model's engine raises: the caller learns no more than that it failed
            log.exception("Model failed", extra={"digest": arm.digest})
            raise Failure(500, "the model failed to answer; its owner finds the cause in the server's log") from error

    def _refuse(self, error: Refusal, view: View, arm: Arm, request_id: str, started: float) -> Reply:
        """Return a refusal, counted and logged without the inputs."""
        self.health.counts.rejected(arm.digest)
        self._log_empty(arm, view, request_id, time.perf_counter() - started, error.status)
        text = error.shown(view.plan.request_policy.error_detail)
        closing = ((b"connection", b"close"),) if error.closes else ()
        return Reply.error(error.status, with_example(text, error, view, arm.model.schema), *closing)

    def _log_empty(self, arm: Arm, view: View, request_id: str, seconds: float, status: int) -> None:
        name = CANDIDATE if view.candidate is not None and arm.digest == view.candidate.digest else CHAMPION
        self.health.log.add(
            Answered([request_id], arm.digest, name, seconds, status), arm.model.schema, view.plan.logger
        )


def with_example(text: str, error: Refusal, view: View, schema: ModelSchema) -> str:
    """Return a refusal of a body that is no request with one that is, where the schema may be shown."""
    is_shown = view.plan.request_policy.error_detail == ErrorDetail.FULL
    if error.status != 400 or not is_shown or "for example" in text:
        return text
    return f"{text}; for example: {example(schema)}"
