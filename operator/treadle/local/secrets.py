"""The Secrets that a namespace of the embedded cluster begins with, as the chart's quickstart makes them."""

import base64
import secrets
from pathlib import Path

from treadle.control.engine.ports import Object
from treadle.store.signing import new_key, public_of


def for_namespace(namespace: str, buckets: Path) -> list[Object]:
    """Return new Secrets: the folder as store and as source, and keys to sign with and to hash with.

    They are created where there are none: what was signed or hashed with a lost key would be worthless.
    """
    endpoint = buckets.as_uri()
    private = new_key()
    values = {
        "treadle-store": {"bucket": "treadle", "endpoint": endpoint},
        "treadle-raw": {"endpoint": endpoint},
        "treadle-signing": {"private.pem": private.decode(), "public.pem": public_of(private).decode()},
        "treadle-privacy": {"hash.key": secrets.token_urlsafe(32)},
    }
    return [secret(namespace, name, data) for name, data in values.items()]


def secret(namespace: str, name: str, data: dict[str, str]) -> Object:
    """Return a Secret that holds these texts."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
