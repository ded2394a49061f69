"""Watches the plan: loads, switches and unloads models."""

import asyncio
import logging
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from treadle.api.base import duration, moment
from treadle.api.modeldeployment import VerificationPolicy
from treadle.api.plan import HeldModel, PlannedModel, PlannedVerification, ReleasePlan, ServerSpec
from treadle.api.reasons import Reason
from treadle.serving.batch import Batcher
from treadle.serving.children import FINAL, Order, fetch_in_child
from treadle.serving.load import Files, Model, Rejected, load
from treadle.serving.vet import Trial, vet

LOOK_SECONDS = 0.2
PLAN_LIMIT_BYTES = 64 << 10
TRIAL_TIMEOUT_SECONDS = 120.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0
RETIRE_SECONDS = 60.0  # longer than any request that may still hold the model

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod finds the store, the keys and its own disk."""

    spec: ServerSpec
    mounts: Path
    work: Path
    """Private to this process."""

    @property
    def plan(self) -> Path:
        """Return the file that kubelet swaps."""
        return self.mounts / "plan" / "plan.json"

    def secret(self, name: str) -> Path:
        """Return where a Secret is mounted."""
        return self.mounts / "secrets" / name


@dataclass(slots=True)
class Held:
    """A model that the plan wants here, and how far it has come."""

    planned: PlannedModel
    terms: PlannedVerification
    state: Literal["Loading", "Verifying", "Loaded", "Refused"] = "Loading"
    golden: str = ""
    reason: Reason | None = None
    message: str = ""
    due: float = 0.0
    """When it is tried next, on the monotonic clock."""
    failures: int = 0
    arm: "Arm | None" = None


@dataclass(frozen=True, slots=True)
class Arm:
    """A loaded model as requests reach it."""

    version: str
    digest: str
    model: Model
    batcher: Batcher


@dataclass(frozen=True, slots=True)
class View:
    """What one request sees: replaced whole when the plan or a model's state changes."""

    plan: ReleasePlan
    champion: Arm
    candidate: Arm | None
    weight: int
    timeout_seconds: float


@dataclass(slots=True)
class Follower:
    """The plan in force, the models held for it, and the view that requests use."""

    place: Place
    plan: ReleasePlan | None = None
    view: View | None = None
    held: dict[str, Held] = field(default_factory=dict)
    _seen: tuple[int, int, int] | None = None
    _bringing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Look at the plan five times a second, and bring one wanted model at a time; ends only when cancelled."""
        try:
            while True:
                self.look()
                self.settle()
                if self._bringing is None or self._bringing.done():
                    wanted = next_due(self.plan, self.held, time.monotonic())
                    self._bringing = asyncio.create_task(self._bring(wanted)) if wanted is not None else None
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            if self._bringing is not None:
                self._bringing.cancel()

    def look(self) -> None:
        """Apply the plan file if it changed and says something newer; a bad one changes nothing."""
        try:
            state = self.place.plan.stat()
            seen = (state.st_mtime_ns, state.st_ino, state.st_size)
            if seen == self._seen:
                return
            self._seen = seen
            if state.st_size > PLAN_LIMIT_BYTES:
                log.warning("Ignored a plan that is too long", extra={"bytes": state.st_size})
                return
            data = self.place.plan.read_bytes()
        except OSError:
            return  # not mounted yet, or swapped this moment: looked at again in 0.2 s
        plan = read_plan(data, self.place.spec.model_name, self.plan.revision if self.plan is not None else 0)
        if plan is not None:
            self.plan = plan
            log.info("Applied plan", extra={"revision": plan.revision})

    def settle(self) -> None:
        """Hold what the plan wants, let go of the rest, and renew the view."""
        if self.plan is None:
            return
        planned = wanted_models(self.plan, datetime.now(UTC))
        for digest, model in planned.items():
            held = self.held.setdefault(digest, Held(model, self.plan.verification))
            if must_try_again(held, self.plan.verification):
                held.state, held.due, held.failures = "Loading", 0.0, 0
            held.terms = self.plan.verification
        self.view = next_view(self.plan, self.held, self.view)
        kept = {*planned, *([self.view.champion.digest] if self.view is not None else [])}
        for digest in [digest for digest in self.held if digest not in kept]:
            gone = self.held.pop(digest)
            if gone.arm is not None:
                asyncio.get_running_loop().call_later(RETIRE_SECONDS, gone.arm.batcher.close)
            log.info("Unloaded model", extra={"digest": digest})

    def waiting(self) -> int:
        """Return how many requests wait for any model."""
        return sum(held.arm.batcher.waiting for held in self.held.values() if held.arm is not None)

    def report(self, planned: PlannedModel | None, serving: Collection[str]) -> HeldModel | None:
        """Return how far a planned model has come here; `serving` holds the digests that requests reach."""
        if planned is None:
            return None
        held = self.held.get(planned.digest)
        if held is None:
            return HeldModel(digest=planned.digest, state="Loading")
        return HeldModel(
            digest=planned.digest,
            state="Serving" if held.state == "Loaded" and planned.digest in serving else held.state,
            golden=held.golden,
            reason=held.reason,
            message=held.message,
        )

    async def _bring(self, held: Held) -> None:
        """Take one model from the store to memory, or to a refusal."""
        target = self.place.work / held.planned.digest.removeprefix("sha256:")
        terms = held.terms
        try:
            await self._try(held, target, terms)
        except Exception as error:  # a bug of ours must not end the loop that keeps the champion
            log.exception("Failed to bring model", extra={"digest": held.planned.digest})
            away(held, None, f"{type(error).__name__} while loading; read this pod's log")
        finally:
            shutil.rmtree(target, ignore_errors=True)
        if held.terms != terms and must_try_again(held, held.terms):
            held.state, held.due = "Loading", 0.0
        self.settle()
        log.info("Tried model", extra={"digest": held.planned.digest, "state": held.state, "reason": held.reason})

    async def _try(self, held: Held, target: Path, terms: PlannedVerification) -> None:
        await asyncio.to_thread(target.mkdir, mode=0o700, parents=True)
        fetched = await fetch_in_child(self._order(held, target, terms.policy))
        if fetched.outcome == "Away":
            away(held, fetched.reason, fetched.message)
            return
        if fetched.outcome == "Refused":
            refuse(held, fetched.reason or Reason.FORMAT_REFUSED, fetched.message)
            return
        held.state = "Verifying"
        trial = Trial(
            directory=str(target),
            format=fetched.format,
            primary=fetched.primary,
            sha256=fetched.sha256,
            tolerance=float(terms.golden_tolerance),
        )
        verdict = await vet(trial, TRIAL_TIMEOUT_SECONDS)
        held.golden = verdict.golden
        if verdict.reason is not None:
            refuse(held, verdict.reason, verdict.message)
            return
        try:
            model = held.arm.model if held.arm is not None else await asyncio.to_thread(opened, trial)
        except Rejected as error:
            refuse(held, error.reason, error.message)
            return
        held.arm = held.arm or Arm(
            held.planned.version, held.planned.digest, model, Batcher(model, held.planned.version)
        )
        held.state, held.reason, held.message, held.failures = "Loaded", fetched.reason, fetched.message, 0

    def _order(self, held: Held, target: Path, policy: VerificationPolicy) -> Order:
        spec = self.place.spec
        return Order(
            digest=held.planned.digest,
            policy=policy,
            secret_directory=str(self.place.secret(spec.store.secret)),
            secret=spec.store.secret,
            prefix=spec.store.prefix,
            namespace=spec.owner.namespace,
            public_keys=str(self.place.secret(spec.signing_secret) / "public.pem"),
            signing_secret=spec.signing_secret,
            target=str(target),
        )


def read_plan(data: bytes, model_name: str, revision: int) -> ReleasePlan | None:
    """Return a plan that is to be applied; None for one that is no newer, for another model, or unreadable."""
    try:
        plan = ReleasePlan.model_validate_json(data)
        duration(plan.predictor.timeout)
        # Patterns admit what no calendar holds; read here, since a plan is applied whole or not at all.
        if plan.previous is not None:
            moment(plan.previous.until)
    except (ValidationError, ValueError) as error:
        log.warning("Ignored an unreadable plan", extra={"error": type(error).__name__})
        return None
    if plan.model_name != model_name:
        log.warning("Ignored a plan for another model", extra={"model": plan.model_name})
        return None
    return plan if plan.revision > revision else None


def wanted_models(plan: ReleasePlan, now: datetime) -> dict[str, PlannedModel]:
    """Return the models that a pod holds under a plan, by digest, in the order in which they are brought."""
    previous = plan.previous if plan.previous is not None and now < moment(plan.previous.until) else None
    return {model.digest: model for model in (plan.champion, plan.candidate, previous) if model is not None}


def next_due(plan: ReleasePlan | None, held: dict[str, Held], now: float) -> Held | None:
    """Return the model to bring next, the champion first; None if none is due."""
    if plan is None:
        return None
    first = plan.champion.digest if plan.champion is not None else ""
    ordered = sorted(held.values(), key=lambda item: item.planned.digest != first)
    waiting = [item for item in ordered if item.due <= now and (item.state == "Loading" or is_mendable(item))]
    return waiting[0] if waiting else None


def is_mendable(held: Held) -> bool:
    """Say whether a refusal may end without a new plan: when the store's content or the key is restored."""
    return held.state == "Refused" and held.reason in FINAL


def must_try_again(held: Held, terms: PlannedVerification) -> bool:
    """Say whether other terms can change what was found under the former ones."""
    return held.terms != terms and (held.state == "Refused" or held.reason == Reason.NOT_ENFORCED)


def next_view(plan: ReleasePlan, held: dict[str, Held], view: View | None) -> View | None:
    """Return what requests see: the plan's champion once it is loaded, until then the one that serves."""
    if plan.champion is None:
        return None
    named = held.get(plan.champion.digest)
    champion = named.arm if named is not None and named.state == "Loaded" else None
    champion = champion or (view.champion if view is not None else None)
    if champion is None:
        return None
    candidate = held.get(plan.candidate.digest) if plan.candidate is not None else None
    is_loaded = candidate is not None and candidate.state == "Loaded"
    return View(
        plan,
        champion,
        candidate.arm if candidate is not None and is_loaded else None,
        plan.candidate.weight if plan.candidate is not None else 0,
        duration(plan.predictor.timeout).total_seconds(),
    )


def refuse(held: Held, reason: Reason, message: str) -> None:
    """Record that a model must not serve."""
    held.state, held.reason, held.message = "Refused", reason, message
    held.due = time.monotonic() + LONGEST_WAIT_SECONDS


def away(held: Held, reason: Reason | None, message: str) -> None:
    """Record that the store did not answer; the model is tried again, ever later."""
    wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(held.failures, 8))
    held.state, held.reason, held.message = "Loading", reason, message
    held.due, held.failures = time.monotonic() + wait, held.failures + 1


def opened(trial: Trial) -> Model:
    """Return a vetted model in this process; raise Rejected if it answers otherwise here than in its child."""
    files = Files(Path(trial.directory), trial.format, trial.primary, trial.sha256)
    model = load(files)
    found = model.recite(trial.tolerance)
    if not found.is_whole:
        raise Rejected(Reason.GOLDEN_MISMATCH, f"{found} golden rows in the server; {found.difference}")
    return model
