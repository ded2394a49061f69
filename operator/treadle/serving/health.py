"""What a pod tells on its state port: /livez, /readyz, /progress and /metrics."""

from dataclasses import dataclass
from typing import Any

import orjson

from treadle.api.plan import ServerState
from treadle.serving.follow import Follower
from treadle.serving.log import RequestLog
from treadle.serving.metrics import Counts, Exporter, Levels
from treadle.serving.wire import Receive, Reply, Scope, Send, answer

TEXT = b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Health:
    """The state of this pod, as it is asked; an ASGI application."""

    follower: Follower
    counts: Counts
    log: RequestLog
    is_draining: bool = False

    @property
    def is_ready(self) -> bool:
        """Say whether a champion answers here that answered its golden requests; store and operator do not count."""
        return self.follower.view is not None and not self.is_draining

    @property
    def state(self) -> ServerState:
        """Return what /progress answers."""
        plan, view = self.follower.plan, self.follower.view
        if plan is None:
            return ServerState(plan=0, arms=self.counts.arms(), log=self.log.state)
        seen = {arm.digest for arm in (view.champion, view.candidate) if arm is not None} if view is not None else set()
        is_split = plan.candidate is not None and plan.candidate.weight > 0
        return ServerState(
            plan=plan.revision,
            champion=self.follower.report(plan.champion, seen),
            candidate=self.follower.report(plan.candidate, seen if is_split else set()),
            arms=self.counts.arms(),
            log=self.log.state,
        )

    @property
    def levels(self) -> Levels:
        """Return what /metrics tells besides the counts."""
        logged = self.log.state
        return Levels(
            plan=self.follower.plan.revision if self.follower.plan is not None else 0,
            waiting=self.follower.waiting(),
            log_rows=logged.rows,
            log_dropped=logged.dropped,
            ready=self.is_ready,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await answer(send, self.reply(scope["method"], scope["path"]))

    def reply(self, method: str, path: str) -> Reply:
        """Return the answer to a request of the state port."""
        routes: dict[str, Any] = {
            "/livez": lambda: Reply(200, b'{"live":true}'),
            "/readyz": lambda: Reply(200 if self.is_ready else 503, orjson.dumps({"ready": self.is_ready})),
            "/progress": lambda: Reply(200, orjson.dumps(self.state.dump())),
            "/metrics": lambda: Reply(
                200, Exporter(self.counts, lambda: self.levels).text(), ((b"content-type", TEXT),)
            ),
        }
        if path not in routes:
            return Reply.error(404, "no such path; this port has /livez, /readyz, /progress and /metrics")
        if method not in ("GET", "HEAD"):
            return Reply.error(405, "only GET", (b"allow", b"GET"))
        reply: Reply = routes[path]()
        return reply
