"""What the operator is told by its environment, read once and frozen."""

from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be meant."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's settings; every default is what the chart leaves out."""

    image_registry: str = "localhost"
    image_tag: str = "latest"
    image_pull_policy: str = "IfNotPresent"
    watch_namespaces: tuple[str, ...] = ()
    """Empty: all namespaces."""
    lease_namespace: str = "treadle-system"
    lease_name: str = "treadle-operator"
    identity: str = "treadle-operator"
    worker_count: int = 8
    probe_port: int = 8081
    metrics_port: int = 9090
    resync_seconds: float = 600.0
    blind_seconds: float = 60.0
    stuck_seconds: float = 300.0
    pod_timeout_seconds: float = 2.0
    metrics_condition_limit: int = 20_000
    log_level: str = "INFO"

    def image(self, program: str) -> str:
        """Return the image of `worker`, `server`, `operator` or `storage`."""
        return f"{self.image_registry}/treadle-{program}:{self.image_tag}"


PULL_POLICIES = ("Always", "IfNotPresent", "Never")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def from_environment(environment: Mapping[str, str], process_id: int) -> Settings:
    """Return the settings that the TREADLE_* variables spell; raise SettingsError with the variable's name.

    process_id: tells two operators on one host apart; in a container that restarts it stays the same.
    """
    default = Settings()

    def text(name: str, otherwise: str) -> str:
        return environment.get(f"TREADLE_{name}", "").strip() or otherwise

    def number(name: str, otherwise: float, least: float, most: float) -> float:
        given = text(name, str(otherwise))
        try:
            value = float(given)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise SettingsError(f"TREADLE_{name}: {given!r} is not a number from {least:g} to {most:g}; correct it")
        return value

    def choice(name: str, otherwise: str, among: tuple[str, ...]) -> str:
        given = text(name, otherwise)
        if given not in among:
            raise SettingsError(f"TREADLE_{name}: {given!r} is none of {', '.join(among)}; correct it")
        return given

    namespaces = tuple(part.strip() for part in text("WATCH_NAMESPACES", "").split(",") if part.strip())
    return Settings(
        image_registry=text("IMAGE_REGISTRY", default.image_registry).rstrip("/"),
        image_tag=text("IMAGE_TAG", default.image_tag),
        image_pull_policy=choice("IMAGE_PULL_POLICY", default.image_pull_policy, PULL_POLICIES),
        watch_namespaces=namespaces,
        lease_namespace=text("LEASE_NAMESPACE", default.lease_namespace),
        lease_name=text("LEASE_NAME", default.lease_name),
        identity=text("IDENTITY", f"{environment.get('HOSTNAME') or default.identity}-{process_id}"),
        worker_count=int(number("WORKER_COUNT", default.worker_count, 1, 64)),
        probe_port=int(number("PROBE_PORT", default.probe_port, 1, 65535)),
        metrics_port=int(number("METRICS_PORT", default.metrics_port, 0, 65535)),
        resync_seconds=number("RESYNC_SECONDS", default.resync_seconds, 1, 86400),
        blind_seconds=number("BLIND_SECONDS", default.blind_seconds, 1, 3600),
        stuck_seconds=number("STUCK_SECONDS", default.stuck_seconds, 1, 3600),
        pod_timeout_seconds=number("POD_TIMEOUT_SECONDS", default.pod_timeout_seconds, 0.1, 30),
        metrics_condition_limit=int(number("METRICS_CONDITION_LIMIT", default.metrics_condition_limit, 0, 1_000_000)),
        log_level=choice("LOG_LEVEL", default.log_level, LEVELS),
    )
