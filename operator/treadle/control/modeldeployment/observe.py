"""Reads what a pass over a ModelDeployment needs: runs, requests, data, pods and what they answer."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from treadle.api.blocks import StoreRef
from treadle.api.modeldeployment import ModelDeployment
from treadle.api.names import LABEL_FOR_RUNS, plan_name, server_name
from treadle.api.plan import ENV_SERVE, ServerSpec, ServerState
from treadle.api.reasons import Reason
from treadle.api.step import StoreAddress
from treadle.control.engine.errors import Invalid
from treadle.control.engine.fields import managed
from treadle.control.engine.objects import is_deleting
from treadle.control.engine.ports import (
    CONFIG_MAP,
    DATA_SOURCE,
    DEPLOYMENT,
    MONITOR,
    POD,
    SERVICE_ACCOUNT,
    TRAINING_JOB,
    Api,
    Object,
    Pods,
    Ports,
)
from treadle.control.jobs import store_prefix
from treadle.control.modeldeployment.desired import SERVER, has_model, selector
from treadle.control.modeldeployment.seen import Seen, ServingPod, read_asks, read_plan, read_runs, read_version
from treadle.control.podspec import may_run_as

log = logging.getLogger(__name__)

ENDED = ("Succeeded", "Failed")
OF_SPEC = (
    "f:spec", "f:template", "f:spec", "f:containers", f'k:{{"name":"{SERVER}"}}', "f:env", f'k:{{"name":"{ENV_SERVE}"}}'
)  # fmt: skip


async def observe(md: ModelDeployment, ports: Ports) -> Seen:
    """Return what this deployment's next step depends on; without a model no pod, plan or Monitor is read."""
    api, namespace = ports.api, md.metadata.namespace
    data = await _data(md, api)
    version = read_version(data)
    runs = read_runs(md, await api.list(TRAINING_JOB, namespace))
    if not has_model(md.status):
        return Seen(
            settings=ports.settings,
            runs=runs,
            has_data_source=data is not None,
            data_digest=version,
            owner_uid=md.metadata.uid,
        )
    await _refuse_account(md, api)
    return Seen(
        settings=ports.settings,
        store=StoreAddress(secret=_store_secret(md), prefix=await _prefix(md, ports)),
        runs=runs,
        has_data_source=data is not None,
        data_digest=version,
        asks=read_asks(md, await api.list(MONITOR, namespace)) if may_be_asked(md) else (),
        pods=await _pods(await api.list(POD, namespace, labels=selector(md)), ports.pods),
        plan=read_plan(await api.get(CONFIG_MAP, namespace, plan_name(md.metadata.name))),
        owner_uid=md.metadata.uid,
    )


def may_be_asked(md: ModelDeployment) -> bool:
    """Say whether a Monitor can want something: a retrain needs a template, a rollback a former champion."""
    has_template = md.spec.training is not None and md.spec.training.template is not None
    return md.status.champion is not None and (has_template or md.status.last_known_good is not None)


async def _data(md: ModelDeployment, api: Api) -> Object | None:
    template = md.spec.training.template if md.spec.training else None
    if template is None:
        return None
    return await api.get(DATA_SOURCE, md.metadata.namespace, template.spec.data_ref.name)


def _store_secret(md: ModelDeployment) -> str:
    return (md.spec.store_ref or StoreRef()).name


async def _prefix(md: ModelDeployment, ports: Ports) -> str:
    """Return the namespace's place in the bucket: as we told the pods, else from the namespace's uid.

    The uid never changes, and a value that our field manager owns is the one that it applied; one read less a pass.
    """
    live = await ports.api.get(DEPLOYMENT, md.metadata.namespace, server_name(md.metadata.name))
    told = told_server(live) if live is not None else None
    return told.store.prefix if told is not None else await store_prefix(md.metadata.namespace, ports)


def told_server(live: Object) -> ServerSpec | None:
    """Return what we told the pods of a live Deployment, or None where somebody else did."""
    fields: Any = managed(live)
    for step in OF_SPEC:
        fields = fields.get(step) or {}
    if "f:value" not in fields:
        return None
    container = next(found for found in live["spec"]["template"]["spec"]["containers"] if found["name"] == SERVER)
    value = next(found["value"] for found in container["env"] if found["name"] == ENV_SERVE)
    try:
        return ServerSpec.model_validate_json(value)
    except ValidationError:
        return None  # A former version of ours wrote it otherwise.


async def _refuse_account(md: ModelDeployment, api: Api) -> None:
    pod = md.spec.predictor.pod if md.spec.predictor else None
    name = pod.service_account_name if pod else None
    if name is None:
        return
    account = await api.get(SERVICE_ACCOUNT, md.metadata.namespace, name)
    if account is None or not may_run_as(account):
        found = "does not exist" if account is None else f"does not carry the label {LABEL_FOR_RUNS}"
        raise Invalid(
            Reason.INVALID_SPEC,
            f"predictor.pod.serviceAccountName: ServiceAccount {name!r} {found}; "
            f"label it {LABEL_FOR_RUNS}: 'true', or name another",
        )


async def _pods(found: Iterable[Object], pods: Pods) -> tuple[ServingPod, ...]:
    # An evicted pod stays as Failed beside its successor.
    alive = sorted(
        (raw for raw in found if not is_deleting(raw) and (raw.get("status") or {}).get("phase") not in ENDED),
        key=lambda raw: str(raw["metadata"]["uid"]),
    )
    answers = await asyncio.gather(*(_ask(raw, pods) for raw in alive))
    return tuple(ServingPod(raw, state) for raw, state in zip(alive, answers, strict=True))


async def _ask(raw: Object, pods: Pods) -> ServerState | None:
    if not (raw.get("status") or {}).get("podIP"):
        return None
    answer = await pods.progress(raw)
    if answer is None:
        return None
    try:
        return ServerState.parse(answer)
    except ValidationError as problem:
        log.warning("Could not read a pod's state", extra={"pod": raw["metadata"]["name"], "problem": str(problem)})
        return None
