"""What was read of a namespace, and the pages made of it."""

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import unquote

from treadle.api.names import LABEL_ROLE
from treadle.cli.cluster import Answer, Cluster, Object, core
from treadle.cli.estate import Estate, Model, is_true, name_of, read, status_of
from treadle.cli.ui import render
from treadle.cli.ui.orders import Where
from treadle.cli.ui.render import Frame
from treadle.cli.ui.serve import Page, asset
from treadle.cli.ui.shelf import Shelf
from treadle.cli.ui.story import Extras
from treadle.cli.ui.traffic import Look, parse
from treadle.cli.ui.versions import called, of_digest, versions
from treadle.cli.why import around

UNWANTED = ("services",)
"""Parts of an Estate that no page shows."""
FRESH_SECONDS = 1.0
"""Several pages asked for at once are of one reading."""
METRICS_PORT = 8081
METRICS_WITHIN_SECONDS = 1.0
PODS_ASKED = 16
LOOKS_KEPT_SECONDS = 60.0
LOOKS_APART_SECONDS = 4.0


class Site:
    """The pages of a namespace, each from a reading of its own time."""

    def __init__(self, cluster: Cluster, context: str = "", clock: Callable[[], datetime] | None = None) -> None:
        """Read with `cluster`'s rights; context: the one that lines for a shell must name, if any."""
        self._cluster, self._where = cluster, Where(cluster.namespace, context)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._shelf, self._lock = Shelf(cluster), threading.Lock()
        self._read: tuple[float, Estate] | None = None
        self._looks: dict[str, deque[Look]] = {}

    def close(self) -> None:
        """Forget what must not outlive the program."""
        self._shelf.close()

    def page(self, path: str) -> Page:
        """Return the page of a path; whatever keeps it from being read is a page too."""
        frame = Frame(self._where, self._cluster.way.server, self._clock())
        if path == "/icon.svg":
            return Page(200, asset("icon.svg"), "image/svg+xml")
        try:
            return self._routed(path, frame)
        except Answer as answer:
            status = answer.status if answer.status in (401, 403) else 502
            return Page(status, render.trouble(frame, "The cluster did not answer", str(answer)))

    def _routed(self, path: str, frame: Frame) -> Page:
        for pattern, view in VIEWS:
            if (found := re.fullmatch(pattern, path)) is not None:
                text = view(self, frame, *(unquote(part) for part in found.groups()))
                if text is not None:
                    return Page(200, text)
        return self._nothing(path, frame)

    def _nothing(self, path: str, frame: Frame) -> Page:
        links = [(model.name, f"/models/{model.name}") for model in render.named(self._estate())]
        told = f"{unquote(path)} names no page of namespace {frame.where.namespace}"
        return Page(404, render.trouble(frame, "No such page", told, links))

    def _index(self, frame: Frame) -> str:
        return render.index(self._estate(), frame)

    def _model(self, frame: Frame, name: str) -> str | None:
        estate = self._estate()
        model = self._named(estate, name)
        if model is None:
            return None
        found = versions(model)
        served = status_of(model.deployment or {}).get("champion") or {}
        champion = of_digest(found, served.get("digest"))
        cards, no_card = self._card(champion.run, champion.card) if champion is not None else ({}, "")
        look, earlier = self._look(estate, model) if model.deployment is not None else (None, None)
        windows = self._shelf.windows(model.monitors)
        return render.page(estate, model, Extras(look, earlier, windows, cards, no_card, around(self._cluster)), frame)

    def _versions(self, frame: Frame, name: str) -> str | None:
        estate = self._estate()
        model = self._named(estate, name)
        return render.listing(estate, model, frame) if model is not None else None

    def _version(self, frame: Frame, name: str, wanted: str) -> str | None:
        estate = self._estate()
        model = self._named(estate, name)
        found = called(versions(model), wanted) if model is not None else None
        if model is None or found is None:
            return None
        cards, no_card = self._card(found.run, found.card)
        return render.version(estate, model, found, Extras(cards=cards, no_card=no_card), frame)

    def _reason(self, frame: Frame, name: str) -> str | None:
        return render.reason(frame, name)

    def _card(self, run: Object, digest: str) -> tuple[dict[str, str], str]:
        if not digest:
            return {}, ""
        text, why = self._shelf.card(run, digest)
        return ({digest: text} if text is not None else {}), why

    @staticmethod
    def _named(estate: Estate, name: str) -> Model | None:
        return next((model for model in render.named(estate) if model.name == name), None)

    def _estate(self) -> Estate:
        with self._lock:
            if self._read is None or time.monotonic() > self._read[0] + FRESH_SECONDS:
                self._read = (time.monotonic(), read(self._cluster, self._cluster.namespace, without=UNWANTED))
            return self._read[1]

    def _look(self, estate: Estate, model: Model) -> tuple[Look, Look | None]:
        """Return what the serving pods count, and the oldest look of the last minute to compare it with."""
        assert model.deployment is not None
        pods = [pod for pod in estate.pods_of(model.deployment) if _serves(pod)]
        look = scrape(self._cluster, pods, self._clock(), _unlisted(estate))
        with self._lock:
            kept = self._looks.setdefault(model.name, deque())
            while kept and (look.at - kept[0].at).total_seconds() > LOOKS_KEPT_SECONDS:
                kept.popleft()
            earlier = kept[0] if kept and (look.at - kept[0].at).total_seconds() >= LOOKS_APART_SECONDS else None
            if look.pods and (not kept or (look.at - kept[-1].at).total_seconds() >= LOOKS_APART_SECONDS):
                kept.append(look)
        return look, earlier


type View = Callable[..., str | None]
NAME = "([^/]+)"
VIEWS: tuple[tuple[str, View], ...] = (
    ("/", Site._index),
    (f"/models/{NAME}", Site._model),
    (f"/models/{NAME}/versions", Site._versions),
    (f"/models/{NAME}/(?:versions|runs)/{NAME}", Site._version),
    (f"/reasons/{NAME}", Site._reason),
)


def scrape(cluster: Cluster, pods: list[Object], at: datetime, refused: str = "") -> Look:
    """Ask serving pods for their /metrics, through the API server; those that do not answer have told nothing."""
    if not pods:
        return Look(at, refused=refused or "there is no serving pod that is ready")
    asked = pods[:PODS_ASKED]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda pod: _metrics(cluster, pod), asked))
    told = {
        str(pod["metadata"]["uid"]): parse(answer[1])
        for pod, answer in zip(asked, answers, strict=True)
        if answer[0] == 200
    }
    lacks_right = not told and any(status == 403 for status, _ in answers)
    why = f"no right to get pods/proxy in {cluster.namespace}, by which pods tell what they count"
    return Look(at, told, len(pods), why if lacks_right else "")


def _metrics(cluster: Cluster, pod: Object) -> tuple[int, str]:
    path = f"{core('pods', pod['metadata']['namespace'], name_of(pod))}:{METRICS_PORT}/proxy/metrics"
    try:
        status, _, body = cluster.send("GET", path, seconds=METRICS_WITHIN_SECONDS)
    except Answer:
        return 0, ""
    return status, body.decode(errors="replace")


def _serves(pod: Object) -> bool:
    is_server = (pod["metadata"].get("labels") or {}).get(LABEL_ROLE) == "server"
    return is_server and is_true(pod, "Ready")


def _unlisted(estate: Estate) -> str:
    return next((text for text in estate.unread if " pods " in f"{text} "), "")
