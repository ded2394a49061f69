"""`treadle doctor`: what each state of a cluster is told as, and what it reads of a store and of Secrets."""

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import goldens
from builders import condition, data_source, job, model_deployment, monitor, pod, training_job
from faulty_s3 import Faults, serve
from treadle.api.crds import DEFINITIONS, crd
from treadle.api.names import PLURALS
from treadle.cli.checkup import look
from treadle.cli.checkup.around import LEAST
from treadle.cli.checkup.checks import CHECKS, findings
from treadle.cli.checkup.facts import Facts, Operator, Secret, Store
from treadle.cli.checkup.room import UNITS, amount, quantity
from treadle.cli.checkup.schemas import differs, names
from treadle.cli.checkup.uses import Use, uses
from treadle.cli.estate import Estate
from treadle.cli.rights import NEEDS, OPERATOR, Right
from treadle.store import signing

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 5, 8, 10, tzinfo=UTC)

type Object = dict[str, Any]


def operator(ready: int = 1, renewed: int | None = 3, watched: str = "", **changes: Any) -> Operator:
    """Return an operator that is ready and renewed its Lease so many seconds ago; None: nobody holds it."""
    environment = [{"name": "TREADLE_WATCH_NAMESPACES", "value": watched}, {"name": "TREADLE_LEASE_NAMESPACE"}]
    deployment = {
        "metadata": {
            "name": "treadle-operator", "namespace": "treadle-system",
            "labels": {"app.kubernetes.io/version": changes.pop("version", "0.1.0")},
        },
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "operator", "env": environment}]}}},
        "status": {"readyReplicas": ready} if ready else {},
    }  # fmt: skip
    at = (NOW - timedelta(seconds=renewed or 0)).isoformat()
    spec = (
        {"holderIdentity": "treadle-operator-7d9", "renewTime": at} if renewed is not None else {"holderIdentity": ""}
    )
    return Operator("treadle-system", "treadle-operator", deployment, {"spec": spec}, **{"missing": (), **changes})


def space(level: str | None = "restricted") -> Object:
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    return {"metadata": {"name": "demo", "labels": labels}}


def quota(hard: Mapping[str, str], used: Mapping[str, str] = {}, **spec: Any) -> Object:
    return {
        "metadata": {"name": "team"}, "spec": {"hard": dict(hard), **spec},
        "status": {"hard": dict(hard), "used": dict(used)},
    }  # fmt: skip


def limit_range(**row: Any) -> Object:
    return {"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": "Container", **row}]}}


KEYS = {
    "signing": Secret("treadle-signing", Use.SIGNING, frozenset({"private.pem", "public.pem"})),
    "store": Secret("treadle-store", Use.STORE, frozenset({"bucket"})),
    "raw": Secret("treadle-raw", Use.SOURCE, frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"})),
    "privacy": Secret("treadle-privacy", Use.PRIVACY, frozenset({"hash.key"})),
}
GOOD = Facts(
    namespace="demo",
    server="https://10.0.0.1:6443",
    program="0.1.0",
    now=NOW,
    kubectl="v1.35.1",
    version="v1.35.4",
    ahead_seconds=0.2,
    groups=frozenset({"metrics.k8s.io"}),
    crds=dict.fromkeys(names(), ""),
    operators=(operator(),),
    estate=Estate("demo", sources=(data_source(),), runs=(training_job(),), monitors=(monitor(),)),
    secrets=tuple(KEYS.values()),
    stores=(Store("treadle-store", "ml/treadle/v1", "s3.example.com", ahead_seconds=1.1),),
    space=space(),
)
WAITING = job(data_source(), "flights-1")
LIST_PODS = "no right to list pods in demo; ask for a Role with that verb (pods is forbidden)"

STATES: dict[str, Facts] = {
    "all is well": GOOD,
    "treadle up": Facts(
        "demo", "http://127.0.0.1:8480", "0.1.0", NOW, is_local=True, version="v1.35.0",
        secrets=(KEYS["signing"],), stores=(Store("treadle-store", "treadle/treadle/v1"),),
    ),
    "an old cluster and an old kubectl": replace(GOOD, version="v1.30.2", kubectl="v1.27.0"),
    "a server that tells no version": replace(GOOD, version=""),
    "no definitions": replace(
        GOOD, crds=dict.fromkeys(names()), estate=Estate("demo"),
        unread={"objects": "the cluster does not know datasources.treadle.dev: Treadle's CRDs are not installed"},
    ),
    "one definition of another version": replace(
        GOOD, crds={**GOOD.crds, "monitors.treadle.dev": "spec.window.minSamples"}
    ),
    "definitions that may not be seen": replace(GOOD, unread={"crds": "no right to get customresourcedefinitions"}),
    "no operator": replace(GOOD, operators=()),
    "an operator without a pod": replace(GOOD, operators=(operator(ready=0, renewed=600),)),
    "an operator that nobody leads": replace(GOOD, operators=(operator(renewed=None),)),
    "an operator of other namespaces": replace(GOOD, operators=(operator(watched="sales,ops"),)),
    "an operator of another version": replace(GOOD, operators=(operator(version="0.2.0"),)),
    "two operators": replace(GOOD, operators=(operator(), operator())),
    "operators that may not be seen": replace(
        GOOD, operators=(), unread={"operators": "no right to list deployments.apps in treadle-system"}
    ),
    "a Lease that may not be seen": replace(GOOD, unread={"lease": "no right to get leases.coordination.k8s.io"}),
    "an operator without rights": replace(GOOD, operators=(operator(missing=OPERATOR[:9]),)),
    "an operator whose rights may not be seen": replace(GOOD, operators=(operator(missing=None),)),
    "a user who may only read": replace(
        GOOD, lacking=frozenset(right for right in NEEDS["promote"] + NEEDS["retrain"] if right.verb != "get")
    ),
    "a user who may do nothing": replace(
        GOOD, lacking=frozenset(right for needs in NEEDS.values() for right in needs), estate=Estate("demo"),
        secrets=(), stores=(), space=None, operators=(),
        unread={
            "objects": "no right to list datasources.treadle.dev in demo", "operators": "no right to list deployments",
            "secret treadle-store": "no right to get secrets in demo", "quotas": "no right to list resourcequotas",
            "secret treadle-signing": "no right to get secrets in demo", "limits": "no right to list limitranges",
            "crds": "no right to get customresourcedefinitions", "space": "no right to get namespaces",
        },
    ),
    "no Secret": replace(
        GOOD,
        secrets=tuple(replace(each, keys=None) for each in KEYS.values()),
        stores=(look.store("treadle-store", None, "demo"),),
    ),
    "Secrets without their keys": replace(
        GOOD,
        secrets=(
            replace(KEYS["signing"], keys=frozenset({"public.pem"})),
            replace(KEYS["privacy"], keys=frozenset({"key"})),
            replace(KEYS["raw"], problem="Secret treadle-raw holds one of the two AWS keys. Add the other"),
        ),
    ),
    "a store that only pods reach": replace(
        GOOD, stores=(Store("treadle-store", host="treadle-storage.demo.svc", is_inside=True),)
    ),
    "a store without checksums": replace(
        GOOD, stores=(replace(GOOD.stores[0], lacks=("no SHA-256 echoed: each blob is read back",)),)
    ),
    "a machine that is late": replace(GOOD, ahead_seconds=-1840.0),
    "a store whose clock is ahead": replace(
        GOOD, ahead_seconds=-70.0, stores=(replace(GOOD.stores[0], ahead_seconds=-400.0),)
    ),
    "a quota with room": replace(GOOD, quotas=(quota({"requests.cpu": "4", "pods": "20"}, {"requests.cpu": "2"}),)),
    "a quota that is used up": replace(
        GOOD,
        quotas=(quota({"requests.cpu": "2", "memory": "4Gi", "pods": "9"}, {"requests.cpu": "1900m", "pods": "9"}),),
    ),
    "a quota that is too small": replace(GOOD, quotas=(quota({"limits.memory": "1Gi", "requests.storage": "1Gi"}),)),
    "a quota that demands limits": replace(GOOD, quotas=(quota({"limits.cpu": "8"}),)),
    "a quota that demands limits, and a default": replace(
        GOOD, quotas=(quota({"limits.cpu": "8"}),), limits=(limit_range(default={"cpu": "1"}),)
    ),
    "a quota of other pods": replace(GOOD, quotas=(quota({"cpu": "0"}, scopes=["BestEffort"]),)),
    "a quota that one object exceeds": replace(
        GOOD,
        estate=Estate(
            "demo",
            runs=(training_job(jobTemplate={"pod": {"resources": {"requests": {"cpu": "6", "memory": "1Gi"}}}}),),
            deployments=(model_deployment(predictor={"pod": {"resources": {"limits": {"memory": "16Gi"}}}}),),
        ),
        quotas=(quota({"requests.cpu": "4", "limits.memory": "8Gi"}),),
    ),
    "bounds that admit": replace(GOOD, limits=(limit_range(max={"memory": "8Gi"}, min={"cpu": "10m"}),)),
    "bounds that do not": replace(
        GOOD, limits=(limit_range(max={"memory": "1Gi", "ephemeral-storage": "1Gi"}, min={"cpu": "200m"}),)
    ),
    "a namespace without a level": replace(GOOD, space=space(None)),
    "no such namespace": replace(GOOD, space=None),
    "pods that wait": replace(
        GOOD,
        estate=Estate(
            "demo",
            pods=(
                pod(
                    WAITING, {"waiting": {}}, "flights-1-a", "Pending",
                    conditions=[condition("PodScheduled", "False", "Unschedulable", "0/3 nodes:\n Insufficient cpu.")],
                ),
                pod(WAITING, {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}, "flights-1-b"),
                pod(WAITING, {"waiting": {"reason": "CrashLoopBackOff"}}, "flights-1-c"),
                pod(WAITING, {"waiting": {"reason": "ContainerCreating"}}, "flights-1-d"),
                pod(WAITING, {"running": {}}, "flights-1-e"),
            ),
        ),
    ),
    "pods that may not be seen": replace(GOOD, estate=Estate("demo", unread=("no right to list pods in demo",))),
    "objects that are stalled": replace(
        GOOD,
        estate=Estate(
            "demo",
            sources=(data_source(status={"conditions": [condition("Stalled", "True", "SchemaMismatch")]}),),
            runs=(training_job(status={"conditions": [condition("Stalled", "False", "Settled")]}),),
        ),
    ),
    "many neighbours": replace(GOOD, groups=frozenset({"kueue.x-k8s.io", "monitoring.coreos.com", "metrics.k8s.io"})),
}  # fmt: skip


def lines(facts: Facts) -> list[str]:
    """Return the lines that are not as when all is well, with what mends them."""
    usual = {(each.check, each.text) for each in findings(GOOD)} if facts is not GOOD else set()
    return [
        f"{each.result} {each.check}: {each.text}" + (f" | {each.mend}" if each.mend else "")
        for each in findings(facts)
        if (each.check, each.text) not in usual
    ]


def test_each_state_is_told_as_the_golden_file_says() -> None:
    goldens.same("cli/doctor/findings", {name: lines(facts) for name, facts in STATES.items()})


@pytest.mark.parametrize("facts", STATES.values(), ids=STATES.keys())
def test_each_finding_is_one_line(facts: Facts) -> None:
    told = findings(facts)
    assert all("\n" not in f"{each.text}{each.mend}" and each.text and len(each.text) <= 400 for each in told)
    assert all(each.mend or each.result == "ok" or re.search(r"[;.:]|seen|may", each.text) for each in told)


def test_all_is_well_where_it_is() -> None:
    assert {each.result for each in findings(GOOD)} == {"ok"}
    assert [each.check for each in findings(GOOD)][:3] == ["cluster", "kubectl", "crds"]
    assert {each.check for each in findings(GOOD)} == {name for name, _, _ in CHECKS}


def test_nothing_of_a_cluster_is_needed_locally() -> None:
    told = {each.check: each for each in findings(STATES["treadle up"])}
    assert {each.result for each in told.values()} == {"ok"}
    assert {name for name, each in told.items() if each.text == "local: not needed"} == {
        name for name, _, is_of_clusters in CHECKS if is_of_clusters
    }


# Tables that must agree with others.


def test_the_operators_rights_are_the_charts() -> None:
    text = (ROOT / "charts/treadle/templates/_helpers.tpl").read_text()
    (block,) = re.findall(r'\{\{- define "treadle.rules" -\}\}\n(.*?)\{\{- end \}\}', text, re.DOTALL)
    granted = {
        Right(verb, resource, group)
        for rule in yaml.safe_load(block)
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
    }
    assert set(OPERATOR) == granted


def test_the_least_version_is_the_charts() -> None:
    chart = yaml.safe_load((ROOT / "charts/treadle/Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={LEAST[0]}.{LEAST[1]}.0-0"


# Schemas.


def changed(path: str, value: Any) -> Object:
    """Return the DataSource's definition with another value at a path below the schema's properties; None: none."""
    found = copy.deepcopy(crd(DEFINITIONS[0]))
    node = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    *way, last = path.split("/")
    for step in way:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return found


SOURCE = "spec/properties/source/properties"
DIFFERENCES = {
    "none": (crd(DEFINITIONS[0]), ""),
    "a description": (changed(f"{SOURCE}/s3/description", "older words"), ""),
    "a field that is missing": (changed(f"{SOURCE}/http", None), "spec.source.http"),
    "a field that is too many": (changed(f"{SOURCE}/sql", {"type": "object"}), "spec.source.sql"),
    "another default": (changed("spec/properties/suspend/default", True), "spec.suspend"),
    "another rule": (changed("spec/x-kubernetes-validations", []), "spec"),
    "a field of list items": (
        changed("spec/properties/schema/properties/columns/items/properties/role", None), "spec.schema.columns[].role",
    ),
    "no status": (changed("status", None), "status"),
}  # fmt: skip


@pytest.mark.parametrize(("found", "place"), DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_where_a_definition_differs(found: Object, place: str) -> None:
    assert differs("datasources.treadle.dev", found) == place


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: str(each.kind))
def test_the_files_are_of_this_version(definition: Any) -> None:
    name = f"{PLURALS[definition.kind]}.treadle.dev"
    (path,) = [path for path in (ROOT / "crds").glob("*.yaml") if PLURALS[definition.kind] in path.name]
    assert differs(name, yaml.safe_load(path.read_text())) == ""


# Quantities.

QUANTITIES = {"250m": 0.25, "1": 1, "1.5": 1.5, "2Gi": 2 * 2**30, "512Mi": 2**29, "1e3": 1000, "4k": 4000, "-1": -1}


@pytest.mark.parametrize(("text", "number"), QUANTITIES.items())
def test_a_quantity(text: str, number: float) -> None:
    assert float(quantity(text)) == number


@given(st.integers(1, 2**40), st.sampled_from(sorted(UNITS)))
def test_an_amount_is_within_a_thousandth_of_its_quantity(number: int, unit: str) -> None:
    whole = quantity(f"{number}{unit}")
    if whole >= 1:
        assert abs(quantity(amount(whole)) - whole) <= whole / 1000


# Secrets and stores.


def test_which_secrets_are_looked_at() -> None:
    hashed = {"policies": [{"classification": "personal", "action": "Hash"}], "secretRef": {"name": "treadle-keys"}}
    estate = Estate(
        "demo",
        sources=(data_source(privacy=hashed), data_source("more", inline=True, storeRef={"name": "treadle-other"})),
        runs=(training_job(output={"signing": {"secretRef": {"name": "treadle-mine"}}}),),
        deployments=(model_deployment(verification={"secretRef": {"name": "treadle-theirs"}}),),
    )
    assert uses(Estate("demo")) == {"treadle-store": Use.STORE, "treadle-signing": Use.SIGNING}
    assert uses(estate) == {
        "treadle-store": Use.STORE, "treadle-signing": Use.SIGNING, "treadle-other": Use.STORE,
        "treadle-mine": Use.SIGNING, "treadle-theirs": Use.SIGNING, "treadle-keys": Use.PRIVACY,
        "treadle-raw": Use.SOURCE,
    }  # fmt: skip


ONE, OTHER = signing.new_key(), signing.new_key()
PUBLIC = signing.public_of(ONE).decode()
VALUES: dict[str, tuple[Use, dict[str, str], str]] = {
    "a pair": (Use.SIGNING, {"private.pem": ONE.decode(), "public.pem": PUBLIC}, ""),
    "a pair among older keys": (
        Use.SIGNING, {"private.pem": ONE.decode(), "public.pem": signing.public_of(OTHER).decode() + PUBLIC}, "",
    ),
    "the public half": (Use.SIGNING, {"public.pem": PUBLIC}, ""),
    "two halves of two pairs": (
        Use.SIGNING, {"private.pem": OTHER.decode(), "public.pem": PUBLIC},
        '"public.pem" of Secret x does not hold the key of "private.pem": no model would load',
    ),
    "no key": (
        Use.SIGNING, {"private.pem": "x", "public.pem": PUBLIC},
        '"private.pem" is no PEM key, expected EC P-256 without a password. Create it: kubectl treadle keys create. '
        "docs: reasons/SignatureInvalid",
    ),
    "a short key": (Use.PRIVACY, {"hash.key": "short"}, '"hash.key" of Secret x has fewer than 16 bytes'),
    "a long key": (Use.PRIVACY, {"hash.key": "k" * 16}, ""),
    "one of two": (Use.SOURCE, {"AWS_ACCESS_KEY_ID": "a"}, "Secret x holds one of the two AWS keys. Add the other"),
    "none of two": (Use.SOURCE, {"endpoint": "file:///srv"}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("use", "values", "problem"), VALUES.values(), ids=VALUES.keys())
def test_what_is_wrong_with_a_secret(use: Use, values: dict[str, str], problem: str) -> None:
    found = look.checked("x", use, values)
    assert (found.problem, found.keys) == (problem, frozenset(values))
    assert not any(value in repr(found) for value in values.values() if len(value) > 4)


AWS = {"bucket": "sales", "AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
TROUBLE = {
    "a key that is not known": (
        Faults(403, "InvalidAccessKeyId"),
        "InvalidAccessKeyId for the key of Secret treadle-store; DNS and connection work. Replace both AWS keys. "
        "docs: reasons/CredentialsRejected",
    ),
    "no bucket": (
        Faults(404, "NoSuchBucket"),
        'no bucket "sales" at {server}; the key is valid. Create it, or correct "bucket". docs: reasons/BucketNotFound',
    ),
    "a promise that is broken": (
        Faults(ignores_create_once=True),
        "If-None-Match ignored: 8 of 8 writers created one key. Use another store. docs: reasons/StoreUnsupported",
    ),
}


@pytest.mark.parametrize(("faults", "problem"), TROUBLE.values(), ids=TROUBLE.keys())
def test_a_stores_trouble_is_in_its_own_words(faults: Faults, problem: str) -> None:
    with serve(faults) as endpoint:
        found = look.store("treadle-store", {**AWS, "endpoint": endpoint}, "demo")
    assert found.problem == problem.replace("{server}", endpoint.removeprefix("http://"))


def test_a_store_that_does_not_answer_is_tried_once() -> None:
    found = look.store("treadle-store", {**AWS, "endpoint": "http://127.0.0.1:9"}, "demo")
    assert found.problem == (
        "127.0.0.1:9 refused; the name resolves. Check the port and the NetworkPolicy. docs: reasons/ConnectionFailed"
    )


def test_a_store_that_keeps_its_promises_tells_its_time() -> None:
    faults = Faults()
    with serve(faults) as endpoint:
        found = look.store("treadle-store", {**AWS, "endpoint": endpoint}, "demo")
    assert (found.problem, found.place, found.host) == ("", "sales/treadle/v1", "localhost")
    assert found.ahead_seconds is not None and abs(found.ahead_seconds) < 5
    assert [key for key in faults.objects if "/probe/" in key] == []


def test_a_folder_is_a_store(tmp_path: Path) -> None:
    (tmp_path / "sales").mkdir()
    found = look.store("treadle-store", {"bucket": "sales", "endpoint": tmp_path.as_uri()}, "demo")
    assert (found.problem, found.place, found.ahead_seconds) == ("", "sales/treadle/v1", None)


def test_a_services_name_is_not_asked_from_outside() -> None:
    found = look.store("treadle-store", {**AWS, "endpoint": "http://treadle-storage.demo.svc:7070"}, "demo")
    assert (found.is_inside, found.problem, found.host) == (True, "", "treadle-storage.demo.svc")
