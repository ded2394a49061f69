"""`treadle why` against a living namespace: what ails it, where the chain of causes ends, and how that is told.

With -s, each ailment is printed with the cause that was found.
"""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from ailments import AILMENTS, LOOP, SOURCE, Ailment
from answers import Answers, Asked, kubeconfig, listed, served, status
from builders import data_source, model_deployment, monitor
from builders import training_job as run
from goldens import same
from living import Living, refused, waits
from situations import SITUATIONS
from treadle.api.reasons import WORLD, Reason
from treadle.cli.causes.chain import cause, chain, mark
from treadle.cli.causes.link import NOTHING_KNOWN, Link, Target
from treadle.cli.cluster import Cluster, Way
from treadle.cli.estate import Estate, paths
from treadle.cli.why import LEASES, Reply, around, document, leases, lines, replied
from treadle.cli.why import why as command

WIDTH = 100
FOUND: dict[str, tuple[Link, ...]] = {}
"""By ailment; bringing one about takes some tenths of a second."""


async def asked(ailment: Ailment, found: Living) -> Target:
    """Return what is asked about; `newest` is the newest run."""
    kind, name = ailment.asked
    if name != "newest":
        return ailment.asked
    runs = (await found.estate()).runs
    newest = max(runs, key=lambda run: (run["metadata"]["creationTimestamp"], run["metadata"]["name"]))
    return kind, newest["metadata"]["name"]


async def links_of(name: str) -> tuple[Link, ...]:
    if name not in FOUND:
        ailment, found = AILMENTS[name], Living()
        await ailment.arrange(found)
        target = await asked(ailment, found)
        FOUND[name] = chain(await found.estate(), target, found.clock(), ailment.around(found))
    return FOUND[name]


def text(reply: Reply, width: int = WIDTH) -> list[str]:
    return ["".join(part for part, _ in line) for line in lines(reply, width)]


@pytest.mark.parametrize("name", AILMENTS)
async def test_the_chain_ends_at_the_cause(name: str) -> None:
    ailment = AILMENTS[name]
    links = await links_of(name)
    found = Reply("demo", links)
    last, said = cause(links), "\n".join(text(found, 1000))
    print(f"\n{name}\n  {last.subject}: {last.reason or last.message}")
    assert fnmatchcase(last.subject, ailment.cause), said
    assert last.reason == ailment.reason, said
    assert ailment.names in said, said
    assert mark(links) == ailment.mark, f"{mark(links)}: {said}"
    assert found.is_good or last.do, f"nothing says what to do: {said}"


async def test_what_is_told_of_every_ailment() -> None:
    same("cli/why/ailments", {name: text(Reply("demo", await links_of(name))) for name in AILMENTS})


def test_every_reason_that_only_the_world_mends_is_among_the_ailments() -> None:
    kubernetes = {"ImagePullBackOff": Reason.IMAGE_PULL_FAILED, "FailedCreate": Reason.POD_QUOTA_EXCEEDED}
    met = {kubernetes.get(each.reason, each.reason) for each in AILMENTS.values()}
    assert {str(reason) for reason in WORLD} <= met
    assert len(AILMENTS) >= 40


@pytest.mark.parametrize("name", AILMENTS)
async def test_no_link_repeats_another_and_every_page_exists(name: str) -> None:
    links = await links_of(name)
    said = [(link.subject, link.says) for link in links]
    assert len(said) == len(set(said))
    assert not any("docs: reasons/" in link.message for link in links)
    assert all(link.page in {reason.value for reason in Reason} for link in links if link.page)


# The namespace.


async def living(*objects: Any, turns: int = 8, **acts: Any) -> Living:
    found = Living(steps=acts)
    return await found.put(*objects).turns(turns)


async def reply(found: Living, wanted: str = "") -> Reply:
    return replied(await found.estate(), wanted, found.clock(), NOTHING_KNOWN)


async def test_the_worst_of_a_namespace_is_told_from_the_object_that_it_keeps_longest() -> None:
    found = await living(*LOOP, train=refused("exceeded quota: compute, requested: cpu=1"))
    told = await reply(found)
    assert told.links[0].subject == "Monitor/flights-late"
    assert [link.kind for link in told.links] == ["Monitor", "ModelDeployment", "TrainingJob", "Job"]
    assert told.others == ()


async def test_each_cause_of_a_namespace_is_told_once() -> None:
    broken = data_source("other", schedule="* * * * * *")
    found = await living(*LOOP, broken, data_source("third", suspended=True), train=refused("exceeded quota: compute"))
    told = await reply(found)
    also = [line for line in text(told) if line.startswith("also: ")]
    assert [links[-1].subject for links in told.others] == ["DataSource/other", "DataSource/third"]
    assert also[0].startswith("also: DataSource/other  Ready=False InvalidSpec")
    assert len(also) == 2


async def test_a_run_that_failed_counts_until_a_newer_one_of_its_model() -> None:
    first, second = run("first", suspended=True), run("second")
    found = await living(SOURCE, first)
    assert (await reply(found)).links[-1].subject == "TrainingJob/first"
    raw = await found.get("TrainingJob", "first")
    over = [{"type": "Failed", "status": "True", "reason": "TrainingError", "message": "so it was"}]
    found.api.put({**raw, "status": {**raw["status"], "completionTime": "2026-01-05T08:00:00Z", "conditions": over}})
    assert (await reply(found)).cause.reason == "TrainingError"
    await found.put(second).turns(4)
    assert (await reply(found)).is_good
    assert (await reply(found, "tj/first")).cause.reason == "TrainingError"


async def test_a_name_alone_is_the_worst_object_of_that_name() -> None:
    found = await living(SOURCE, model_deployment(), monitor(suspended=True))
    assert (await reply(found, "flights-late")).links[-1].subject == "Monitor/flights-late"
    assert (await reply(found, "mdep/flights-late")).is_good
    assert (await reply(found, "nobody")).links[-1].says.startswith("Missing: does not exist in demo; there are: ")


async def test_where_all_is_well_it_says_what_comes_next() -> None:
    found = await living(data_source(schedule="15 * * * *"), *LOOP[1:])
    told = await reply(found)
    assert told.is_good and told.following
    assert "nothing is wrong: next: " in "\n".join(text(told))


async def test_objects_that_wait_for_each_other_end_the_walk() -> None:
    found = await living(*LOOP)
    raw = await found.get("ModelDeployment", "flights-late")
    asked = {"type": "RolledBack", "status": "True", "reason": "MonitorAsked", "message": "Monitor/flights-late asked"}
    others = [each for each in raw["status"]["conditions"] if each["type"] != "RolledBack"]
    watched = await found.get("Monitor", "flights-late")
    waits_ = [{"type": "Ready", "status": "False", "reason": "WaitingForModelDeployment"}]
    rolled = {**raw, "status": {**raw["status"], "conditions": [*others, asked]}}
    waiting = {**watched, "status": {**watched["status"], "conditions": waits_}}
    estate = Estate("demo", deployments=(rolled,), monitors=(waiting,))
    links = chain(estate, ("ModelDeployment", "flights-late"), found.clock())
    assert [link.kind for link in links] == ["ModelDeployment", "Monitor"]


# What may not be read.


async def test_what_may_not_be_read_is_said() -> None:
    found = await living(*LOOP, train=waits({"running": {}}))
    whole = await found.estate()
    lacking = ("no right to list pods in demo",)
    less = Estate("demo", whole.sources, whole.runs, whole.deployments, whole.monitors, whole.jobs, unread=lacking)
    told = replied(less, "", found.clock(), NOTHING_KNOWN)
    assert text(told)[-1] == "! no right to list pods in demo"
    assert document(told)["unread"] == list(lacking)


# The situations of api.md, section 3.

SITUATION_CAUSES = {
    "a DataSource fetches its first version": ("good", "Pod", "Running"),
    "a version is published": ("good", "DataSource", "VersionPublished"),
    "new bytes are refused while an older version is in use": ("look", "DataSource", "SchemaMismatch"),
    "the source is refused and there is no version": ("bad", "DataSource", "AccessDenied"),
    "a TrainingJob waits for data": ("bad", "DataSource", "Missing"),
    "a TrainingJob is suspended": ("look", "TrainingJob", "Suspended"),
    "a TrainingJob runs": ("good", "Pod", "Running"),
    "a run passed the gate": ("good", "TrainingJob", "PassedGate"),
    "a run is held by the gate": ("look", "TrainingJob", "NotBetter"),
    "a run that the world hinders is tried again": ("bad", "TrainingJob", "BucketNotFound"),
    "a run failed for good": ("bad", "TrainingJob", "OneClassTarget"),
    "a ModelDeployment is without a model": ("good", "TrainingJob", "Running"),
    "a canary comes of a retrain": ("good", "ModelDeployment", "TooFewSamples"),
    "a canary comes of a spec change": ("good", "ModelDeployment", "TooFewSamples"),
    "a canary is held for lack of traffic": ("look", "ModelDeployment", "Held"),
    "rolled back, the old version serving": ("look", "ModelDeployment", "ErrorRateHigher"),
    "a candidate is corrupt or unsigned": ("look", "ModelDeployment", "SignatureInvalid"),
    "the candidate is unsigned and nothing serves": ("bad", "ModelDeployment", "SignatureInvalid"),
    "all pods are gone": ("bad", "ModelDeployment", "NoReadyPods"),
    "a Monitor finds drift": ("look", "ModelDeployment", "Idle"),
    "a Monitor has too few samples": ("look", "Monitor", "Insufficient"),
    "a retrain is wanted and blocked": ("look", "Monitor", "Cooldown"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_of_the_table(name: str) -> None:
    situation = SITUATIONS[name]()
    subject = next(each for each in situation.objects if each["kind"] == situation.kind)
    links = chain(situation.estate, (situation.kind, subject["metadata"]["name"]), situation.now)
    assert (mark(links), links[-1].kind, links[-1].reason) == SITUATION_CAUSES[name], text(Reply("demo", links))


# The command.

KEYS = {"asked", "chain", "do", "mark", "namespace", "next", "others", "page", "unread"}
LINK_KEYS = {"condition", "kind", "mark", "message", "name", "reason", "status"}
KINDS = {
    "sources": "DataSource", "runs": "TrainingJob", "deployments": "ModelDeployment", "monitors": "Monitor",
    "jobs": "Job", "pods": "Pod", "workloads": "Deployment", "services": "Service", "events": "Event",
}  # fmt: skip
NO_RIGHT = status(403, "Forbidden", 'leases.coordination.k8s.io is forbidden: User "ada" cannot list it')
NAMESPACE = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "demo"}}


def routes(found: Estate) -> dict[str, Any]:
    """Return what an API server answers of a namespace to somebody who may not see Leases."""
    parts = paths("demo")
    lists = {f"GET {parts[part]}": listed(KINDS[part], *getattr(found, part)) for part in parts}
    return {**lists, f"GET {LEASES}": NO_RIGHT, "GET /api/v1/namespaces/demo": (200, NAMESPACE)}


def asked_of(tmp_path: Path, script: dict[str, Any], *arguments: str) -> Result:
    """Run the command against a server of scripted answers."""
    with served(Answers(script)) as url:
        config = kubeconfig(tmp_path / "config", url)
        return CliRunner(env={"KUBECONFIG": str(config)}).invoke(command, arguments)


async def test_a_cause_is_exit_code_1_and_nothing_wrong_is_0(tmp_path: Path) -> None:
    # Without a Monitor: what it has due is long past by the clock of today.
    found = await living(SOURCE, model_deployment())
    assert asked_of(tmp_path, routes(await found.estate())).exit_code == 0
    await found.put(data_source("other", suspended=True)).turns(1)
    told = asked_of(tmp_path, routes(await found.estate()))
    assert told.exit_code == 1
    assert told.output.splitlines()[0].startswith("DataSource/other  Ready=False Suspended: spec.suspend is true")
    assert asked_of(tmp_path, routes(await found.estate()), "dsrc/flights").exit_code == 0
    assert asked_of(tmp_path, routes(await found.estate()), "mdep/nobody").exit_code == 1
    assert asked_of(tmp_path, routes(await found.estate()), "deployment/flights").exit_code == 2


async def test_json_is_stable(tmp_path: Path) -> None:
    found = await living(*LOOP, train=refused("exceeded quota: compute, requested: cpu=1"))
    told = asked_of(tmp_path, routes(await found.estate()), "-o", "json")
    answer = json.loads(told.output)
    assert set(answer) == KEYS and list(answer) == sorted(answer)
    assert all(set(link) == LINK_KEYS for link in answer["chain"])
    assert (answer["asked"], answer["mark"], answer["page"]) == (
        "Monitor/flights-late", "bad", "docs/reasons/PodQuotaExceeded.md",
    )  # fmt: skip
    assert "ResourceQuota/compute" in answer["do"]
    assert told.exit_code == 1


async def test_nothing_in_a_namespace_is_one_line(tmp_path: Path) -> None:
    told = asked_of(tmp_path, routes(Estate("demo")))
    assert told.output == "Error: nothing of Treadle is in namespace demo; begin with treadle init FILE\n"


async def test_rights_that_are_missing_are_named(tmp_path: Path) -> None:
    found = await living(*LOOP)
    script = routes(await found.estate())
    pods = paths("demo")["pods"]
    told = asked_of(tmp_path, {**script, f"GET {pods}": status(403, "Forbidden", "pods is forbidden")})
    assert told.output.splitlines()[-1] == "! no right to list pods in demo"


LEASE = {"metadata": {"name": "treadle-operator", "namespace": "treadle-system"}, "spec": {"holderIdentity": "x"}}
RELEASED = {
    "metadata": {"name": "ml-operator", "namespace": "ml"}, "spec": {"holderIdentity": "ml-operator-5d9f-x2x7k-1"},
}  # fmt: skip
OTHERS = {"metadata": {"name": "other-operator"}, "spec": {"holderIdentity": "somebody"}}


@pytest.mark.parametrize(
    ("usual", "others", "names"),
    [((LEASE,), (), ["treadle-operator"]), ((), (OTHERS, RELEASED), ["ml-operator"]), ((), (OTHERS,), [])],
    ids=["the usual name", "the name of a Helm release", "no operator's"],
)
def test_the_operators_lease(tmp_path: Path, usual: tuple[Any, ...], others: tuple[Any, ...], names: list[str]) -> None:
    def answer(request: Asked) -> Any:
        return listed("Lease", *(usual if "fieldSelector" in request.query else (*usual, *others)))

    with served(Answers({f"GET {LEASES}": answer})) as url:
        server = urlsplit(url)
        cluster = Cluster(Way("test", url, server.hostname or "", server.port or 0), "demo")
        assert [lease["metadata"]["name"] for lease in leases(cluster)] == names
        assert around(cluster).namespace is None


@pytest.mark.parametrize("width", [60, 80, 100, 160])
async def test_lines_fit_the_terminal_unless_a_word_does_not(width: int) -> None:
    told = Reply("demo", await links_of("a run is out of memory"))
    for line in text(told, width):
        assert len(line) <= width or max(map(len, line.split())) > width - 10, line
