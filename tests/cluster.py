"""The cluster as its users reach it: kubectl, helm, requests; reads go through one kubectl proxy."""

import contextlib
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

type Object = dict[str, Any]

PATHS = {
    "DataSource": "apis/treadle.dev/v1alpha1/namespaces/{}/datasources",
    "TrainingJob": "apis/treadle.dev/v1alpha1/namespaces/{}/trainingjobs",
    "ModelDeployment": "apis/treadle.dev/v1alpha1/namespaces/{}/modeldeployments",
    "Monitor": "apis/treadle.dev/v1alpha1/namespaces/{}/monitors",
    "Job": "apis/batch/v1/namespaces/{}/jobs",
    "Pod": "api/v1/namespaces/{}/pods",
    "Service": "api/v1/namespaces/{}/services",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Secret": "api/v1/namespaces/{}/secrets",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "Event": "apis/events.k8s.io/v1/namespaces/{}/events",
    "Lease": "apis/coordination.k8s.io/v1/namespaces/{}/leases",
}
KINDS = ("DataSource", "TrainingJob", "ModelDeployment", "Monitor")
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster behind the current kubeconfig."""

    proxy: str

    def read(self, path: str) -> Object | None:
        """Return what the API server answers, or None for 404."""
        try:
            with urllib.request.urlopen(f"{self.proxy}/{path}", timeout=30) as response:
                return dict(json.load(response))
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code == 404:
                    return None
                raise

    def get(self, kind: str, name: str, namespace: str) -> Object | None:
        """Return one object, or None."""
        return self.read(f"{PATHS[kind].format(namespace)}/{name}")

    def list(self, kind: str, namespace: str) -> list[Object]:
        """Return a namespace's objects of a kind."""
        found = self.read(PATHS[kind].format(namespace))
        return list(found["items"]) if found else []

    def request(self, kind: str, name: str, namespace: str, annotation: str, value: str) -> None:
        """Set one of our annotations, as a person does who asks for something."""
        body = json.dumps({"metadata": {"annotations": {f"treadle.dev/{annotation}": value}}}).encode()
        request = urllib.request.Request(
            f"{self.proxy}/{PATHS[kind].format(namespace)}/{name}",
            body,
            {"Content-Type": "application/merge-patch+json"},
            method="PATCH",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200

    def service(self, namespace: str, name: str, port: int | str, path: str) -> str:
        """Return what a Service answers, through the API server."""
        url = f"{self.proxy}/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy/{path}"
        with urllib.request.urlopen(url, timeout=30) as response:
            return str(response.read().decode())

    def pod(self, namespace: str, name: str, port: int, path: str) -> str:
        """Return what a pod answers, through the API server."""
        url = f"{self.proxy}/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/{path}"
        with urllib.request.urlopen(url, timeout=30) as response:
            return str(response.read().decode())

    def condition(self, kind: str, name: str, namespace: str, type_: str) -> Object:
        """Return one condition of an object; empty where it is not written yet."""
        found = ((self.get(kind, name, namespace) or {}).get("status") or {}).get("conditions") or []
        return next((dict(each) for each in found if each["type"] == type_), {})

    def reaches(
        self, kind: str, name: str, namespace: str, type_: str, wanted: str, seconds: float, reason: str = ""
    ) -> Object:
        """Wait until a condition has the status, and the reason if one is given; return it."""

        def look() -> Object | None:
            found = self.condition(kind, name, namespace, type_)
            is_there = found.get("status") == wanted and reason in ("", found.get("reason"))
            return found if is_there else None

        return eventually(
            look,
            seconds,
            f"{kind} {namespace}/{name}: {type_}={wanted} {reason}",
            lambda: self.story(namespace),
        )

    def story(self, namespace: str) -> str:
        """Return the objects of a namespace as a person would tell of them: conditions, decisions, events."""
        lines = [f"== {namespace}"]
        for kind in KINDS:
            for found in self.list(kind, namespace):
                status = found.get("status") or {}
                lines.append(f"{kind} {found['metadata']['name']}")
                for condition in status.get("conditions") or []:
                    lines.append(
                        "   {type}={status} {reason}: {message}".format(**{"message": "", "reason": "", **condition})
                    )
                for decision in reversed(status.get("decisions") or []):
                    told = " ".join(str(decision.get(key, "")) for key in ("time", "action", "reason", "message"))
                    lines.append(f"   > {told}")
        events = sorted(self.list("Event", namespace), key=lambda each: each.get("eventTime") or "")
        for event in events:
            if (about := event["regarding"]).get("kind") in KINDS:
                at = (event.get("eventTime") or "")[11:19]
                lines.append(f"   {at} {about['kind']} {about['name']}: {event['reason']}: {event.get('note', '')}")
        return "\n".join(lines)


def eventually[T](what: Callable[[], T], seconds: float, claim: str, story: Callable[[], str] = str) -> T:
    """Return the first true answer within the time; fail with the claim and the story."""
    until = time.monotonic() + seconds
    while not (answer := what()):
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds:g} s: {claim}\nlast answer: {answer!r}\n{story()}", pytrace=False)
        time.sleep(LOOK_SECONDS)
    return answer


def run(*command: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program; fail with what it said."""
    done = subprocess.run(command, check=False, input=stdin, capture_output=True, text=True, timeout=300)
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}{done.stdout}", pytrace=False)
    return done


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run kubectl."""
    return run("kubectl", *arguments, stdin=stdin, check=check)


def apply(text: str, namespace: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Apply manifests to a namespace, as a user does."""
    return kubectl("apply", "--namespace", namespace, "--filename", "-", stdin=text, check=check)


def secret(name: str, data: Mapping[str, str]) -> str:
    """Return the manifest of a Secret; data is base64, as the API gives it."""
    return json.dumps(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "data": dict(data)}
    )


def config_map(name: str, data: Mapping[str, str]) -> str:
    """Return the manifest of a ConfigMap."""
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)})


@contextlib.contextmanager
def proxied() -> Iterator[Cluster]:
    """Run kubectl proxy on a free port until the block ends."""
    process = subprocess.Popen(
        ["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "*"}
    )
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        found = re.search(r"127\.0\.0\.1:\d+", line)
        if found is None:
            pytest.fail(f"kubectl proxy did not start: {line!r}", pytrace=False)
        yield Cluster(f"http://{found[0]}")
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
