"""Read a cluster, a namespace and its store for a check-up; what cannot be read is noted, and ends nothing."""

import base64
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from treadle import __version__
from treadle.cli.checkup import schemas
from treadle.cli.checkup.facts import Facts, Operator, Secret, Store, environment
from treadle.cli.checkup.uses import Use, uses
from treadle.cli.cluster import Answer, Cluster, Object, core
from treadle.cli.estate import Estate, name_of, read
from treadle.cli.rights import NEEDS, OPERATOR, Right
from treadle.cli.store import PREFIX, mounted
from treadle.data.protect import KEY, KEY_BYTES
from treadle.store.client import Address
from treadle.store.errors import StoreError, no_secret
from treadle.store.open import address_of, folder_of, open_store
from treadle.store.probe import probe, require
from treadle.store.retry import NEVER
from treadle.store.signing import key_id, public_keys, public_of

AUTHORIZATION = "/apis/authorization.k8s.io/v1"
OPERATORS = {"labelSelector": "app.kubernetes.io/name=treadle,app.kubernetes.io/component=operator"}
SYSTEM = "treadle-system"
"""Where an operator is looked for by those who may not look everywhere."""
ANSWERS_WITHIN_SECONDS = 5.0
ASKED_AT_ONCE = 8

type Values = Mapping[str, str]


class Reader:
    """Reads parts of a cluster, and notes why a part cannot be read."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.unread: dict[str, str] = {}

    def items(self, part: str, path: str, **query: str) -> tuple[Object, ...]:
        """Return the objects of a list; none where it cannot be read."""
        try:
            return tuple(self.cluster.items(path, **query))
        except Answer as answer:
            self.unread[part] = answer.message
            return ()

    def find(self, part: str, path: str) -> Object | None:
        """Return an object; None where there is none, and where it cannot be read."""
        try:
            return self.cluster.find(path)
        except Answer as answer:
            self.unread[part] = answer.message
            return None

    def review(self, kind: str, spec: Object) -> bool | None:
        """Return what an access review says; None where this user may not ask."""
        body = json.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}).encode()
        path = f"{AUTHORIZATION}/{kind.lower()}s"
        status, _, text = self.cluster.send("POST", path, body, {"Content-Type": "application/json"})
        return bool(json.loads(text)["status"]["allowed"]) if status == 201 else None


def look(cluster: Cluster) -> Facts:
    """Return what a check-up is made of; raise Answer where the cluster tells nothing of the four kinds."""
    reader, space = Reader(cluster), cluster.namespace
    version, now, ahead = told(cluster)
    estate = estate_of(reader)
    wanted = uses(estate)
    values = {name: secret(reader, name) for name in wanted}
    known = {name: found for name, found in values.items() if f"secret {name}" not in reader.unread}
    facts = Facts(
        namespace=space,
        server=cluster.way.server,
        program=__version__,
        now=now,
        is_local=cluster.way.is_local,
        kubectl=kubectl_version(),
        version=version,
        ahead_seconds=ahead,
        estate=estate,
        secrets=tuple(checked(name, wanted[name], found) for name, found in known.items()),
        stores=tuple(store(name, found, space) for name, found in known.items() if wanted[name] is Use.STORE),
        unread=reader.unread,
    )
    return facts if facts.is_local else with_cluster(facts, reader)


def told(cluster: Cluster) -> tuple[str, datetime, float]:
    """Return the version of Kubernetes, its server's time, and how far this machine's clock is ahead of that."""
    began = datetime.now(UTC)
    status, headers, body = cluster.send("GET", "/version")
    ours = began + (datetime.now(UTC) - began) / 2
    theirs = stated(headers.get("date"), ours)
    return json.loads(body)["gitVersion"] if status == 200 else "", theirs, (ours - theirs).total_seconds()


def stated(date: str | None, otherwise: datetime) -> datetime:
    """Return the time of a Date header, whose seconds are cut off, in the middle of its second."""
    return parsedate_to_datetime(date).astimezone(UTC) + timedelta(seconds=0.5) if date else otherwise


def kubectl_version() -> str:
    """Return the version of kubectl; empty where there is none on the path."""
    if shutil.which("kubectl") is None:
        return ""
    done = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=False)
    try:
        return str(json.loads(done.stdout)["clientVersion"]["gitVersion"])
    except (ValueError, KeyError):
        return ""


def with_cluster(facts: Facts, reader: Reader) -> Facts:
    """Return the facts with what `treadle up` has none of: CRDs, operators, rights, quotas."""
    space = facts.namespace
    groups = reader.find("groups", "/apis") or {"groups": []}
    return replace(
        facts,
        groups=frozenset(group["name"] for group in groups["groups"]),
        crds={name: definition(reader, name) for name in schemas.names()},
        operators=tuple(operator(reader, found, space) for found in operators(reader)),
        lacking=frozenset(refused(reader, {right for needs in NEEDS.values() for right in needs}, space)),
        quotas=reader.items("quotas", core("resourcequotas", space)),
        limits=reader.items("limits", core("limitranges", space)),
        space=reader.find("space", f"/api/v1/namespaces/{space}"),
        unread=reader.unread,
    )


def definition(reader: Reader, name: str) -> str | None:
    """Return where an installed definition differs from this version's; None where it is not installed."""
    found = reader.find("crds", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    return None if found is None else schemas.differs(name, found)


def operators(reader: Reader) -> tuple[Object, ...]:
    """Return the operator's Deployments: of the whole cluster, else of the namespace where the chart puts it."""
    found = reader.items("operators", "/apis/apps/v1/deployments", **OPERATORS)
    if "operators" not in reader.unread:
        return found
    refusal = reader.unread.pop("operators")
    found = reader.items("operators", f"/apis/apps/v1/namespaces/{SYSTEM}/deployments", **OPERATORS)
    if not found:
        reader.unread["operators"] = refusal
    return found


def operator(reader: Reader, deployment: Object, space: str) -> Operator:
    """Return an operator with its Lease and the rights that it lacks in a namespace."""
    namespace, name = deployment["metadata"]["namespace"], name_of(deployment)
    lease = environment(deployment).get("TREADLE_LEASE_NAME") or name
    account = deployment["spec"]["template"]["spec"].get("serviceAccountName", "default")
    user = f"system:serviceaccount:{namespace}:{account}"
    return Operator(
        namespace=namespace,
        name=name,
        deployment=deployment,
        lease=reader.find("lease", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}"),
        missing=refused_to(reader, user, namespace, space),
    )


def refused(reader: Reader, rights: Iterable[Right], space: str) -> list[Right]:
    """Return the rights that this user does not have; those that it may not ask about are not among them."""
    return _refused(reader, "SelfSubjectAccessReview", {}, rights, space) or []


def refused_to(reader: Reader, user: str, namespace: str, space: str) -> tuple[Right, ...] | None:
    """Return the rights that a ServiceAccount lacks for an operator; None where this user may not ask."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    found = _refused(reader, "SubjectAccessReview", {"user": user, "groups": groups}, OPERATOR, space)
    return None if found is None else tuple(found)


def _refused(reader: Reader, kind: str, who: Object, rights: Iterable[Right], space: str) -> list[Right] | None:
    asked = list(rights)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = list(pool.map(lambda right: reader.review(kind, who | _attributes(right, space)), asked))
    if None in answers:
        return None
    return [right for right, allowed in zip(asked, answers, strict=True) if not allowed]


def _attributes(right: Right, space: str) -> Object:
    resource, _, sub = right.resource.partition("/")
    about = {"namespace": space, "verb": right.verb, "group": right.group, "resource": resource, "subresource": sub}
    return {"resourceAttributes": about}


def estate_of(reader: Reader) -> Estate:
    """Return the namespace's objects; none where the four kinds are not known, or may not be read."""
    try:
        return read(reader.cluster, reader.cluster.namespace, without=("services", "events"))
    except Answer as answer:
        reader.unread["objects"] = answer.message
        return Estate(reader.cluster.namespace)


# Secrets, whose values go no further than this.


def secret(reader: Reader, name: str) -> Values | None:
    """Return the values of a Secret; None where there is none of that name."""
    found = reader.find(f"secret {name}", core("secrets", reader.cluster.namespace, name))
    if found is None:
        return None
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in (found.get("data") or {}).items()}


def checked(name: str, use: Use, values: Values | None) -> Secret:
    """Return a Secret without its values, and what is wrong with them."""
    if values is None:
        return Secret(name, use, None)
    return Secret(name, use, frozenset(values), wrong(name, use, values))


def wrong(name: str, use: Use, values: Values) -> str:
    """Return what is wrong with the values of a Secret; a store's are for the probe to judge."""
    if use is Use.SIGNING:
        return signing(name, values)
    if use is Use.PRIVACY and len(values.get(KEY, "").strip()) < KEY_BYTES:
        return f'"{KEY}" of Secret {name} has fewer than {KEY_BYTES} bytes'
    if use is Use.SOURCE and bool(values.get("AWS_ACCESS_KEY_ID")) != bool(values.get("AWS_SECRET_ACCESS_KEY")):
        return f"Secret {name} holds one of the two AWS keys. Add the other"
    return ""


def signing(name: str, values: Values) -> str:
    """Return what is wrong with a signing pair; the private key may be missing where models are only served."""
    try:
        public = public_keys(values.get("public.pem", "").encode(), name)
        private = values.get("private.pem")
        if private is not None and key_id(public_of(private.encode())) not in public:
            return f'"public.pem" of Secret {name} does not hold the key of "private.pem": no model would load'
    except StoreError as error:
        return error.message
    return ""


# The store.


def store(name: str, values: Values | None, space: str) -> Store:
    """Return what a probe of the bucket finds that a Secret names."""
    if values is None:
        return Store(name, problem=no_secret(name, space).message)
    try:
        with mounted(values) as directory:
            address = None if folder_of(dict(values), name) else address_of(dict(values), name, directory)
            host = urlsplit(address.endpoint).hostname or "" if address is not None else ""
            if only_inside(host):
                return Store(name, host=host, is_inside=True)
            opened = open_store(directory, name, PREFIX, space, NEVER)
            findings = probe(opened)
            require(findings)
            ahead = ahead_of(address) if address is not None else None
    except StoreError as error:
        return Store(name, problem=error.message)
    lacks = tuple(finding.detail for finding in findings if not finding.ok)
    return Store(name, opened.place, host, lacks=lacks, ahead_seconds=ahead)


def only_inside(host: str) -> bool:
    """Say whether a name is a Service's that only pods can resolve; seen from a pod it resolves here too."""
    if not host.endswith((".svc", ".svc.cluster.local")):
        return False
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return True
    return False


def ahead_of(address: Address) -> float | None:
    """Return how far this machine's clock is ahead of a store's; None where it tells no time."""
    url = urlsplit(address.endpoint or f"https://s3.{address.region}.amazonaws.com")
    host, port = url.hostname or "", url.port
    if url.scheme == "https":
        trusted = ssl.create_default_context(cafile=str(address.ca_file) if address.ca_file else None)
        connection: HTTPConnection = HTTPSConnection(host, port, timeout=ANSWERS_WITHIN_SECONDS, context=trusted)
    else:
        connection = HTTPConnection(host, port, timeout=ANSWERS_WITHIN_SECONDS)
    try:
        # Any answer has a Date, refusals too.
        connection.request("HEAD", "/")
        said = connection.getresponse().getheader("Date")
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    now = datetime.now(UTC)
    return (now - stated(said, now)).total_seconds() if said else None
