"""`store init`, `store probe` and `keys create`, on a directory and on a real VersityGW."""

import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from treadle.cli.store import keys, store
from treadle.store import signing
from treadle.store.s3 import S3Store
from versity import Gateway, address


def test_init_prepares_a_real_bucket_and_prints_its_secret(versity: Gateway, tmp_path: Path) -> None:
    given = {"AWS_ACCESS_KEY_ID": versity.access_key, "AWS_SECRET_ACCESS_KEY": versity.secret_key}
    command = ["init", "--bucket", "fresh", "--endpoint", versity.endpoint, "--prefix", "mine", "-n", "demo"]
    first = CliRunner().invoke(store, command, env=given)
    assert first.exit_code == 0, first.output
    assert yaml.safe_load(first.stdout) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "treadle-store", "namespace": "demo"},
        "type": "Opaque",
        "stringData": {"bucket": "fresh", "endpoint": versity.endpoint, "prefix": "mine", **given},
    }
    assert first.stderr.splitlines() == [
        'bucket "fresh" was created',
        "fresh/mine/treadle/v1/store.json was written; the store keeps its promises",
    ]
    assert [entry.key for entry in S3Store(address(versity, "fresh")).list("")] == ["mine/treadle/v1/store.json"]
    again = CliRunner().invoke(store, command, env=given)
    assert again.stderr.splitlines()[0] == 'bucket "fresh" was there'
    for key, value in yaml.safe_load(first.stdout)["stringData"].items():
        (tmp_path / key).write_text(value)
    probed = CliRunner().invoke(store, ["probe", "--directory", str(tmp_path)])
    assert (probed.exit_code, probed.stdout.count("ok  ")) == (0, 8)


def test_init_prepares_a_directory(tmp_path: Path) -> None:
    command = ["init", "--bucket", "sales", "--endpoint", f"file://{tmp_path}/stores"]
    result = CliRunner().invoke(store, command, env=dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "stores/sales/treadle/v1/store.json").read_bytes() == b'{"format":"treadle.dev/store/v1"}'


def test_probe_names_what_is_wrong(tmp_path: Path) -> None:
    result = CliRunner().invoke(store, ["probe", "--directory", str(tmp_path), "-n", "demo"])
    assert result.exit_code == 1
    assert result.stderr.strip() == (
        'Error: SecretNotFound: no Secret "treadle-store" in namespace demo. Create it: kubectl treadle store init.'
        " docs: reasons/SecretNotFound"
    )


def test_keys_create_makes_a_key_that_signs(tmp_path: Path) -> None:
    first = yaml.safe_load(CliRunner().invoke(keys, ["create"]).stdout)
    assert first["metadata"] == {"name": "treadle-signing"}
    old = first["stringData"]
    (tmp_path / "old.pem").write_text(old["public.pem"])
    new = yaml.safe_load(CliRunner().invoke(keys, ["create", "--also", str(tmp_path / "old.pem")]).stdout)["stringData"]
    for private in (old["private.pem"], new["private.pem"]):
        bundle = signing.sign(private.encode(), {}, b"{}")
        assert signing.verify(bundle, new["public.pem"].encode(), {}, b"{}")


KUBECTL = """#!/bin/sh
cat > "$SEEN"; echo "$@" >> "$SEEN"
{then}
"""
THEN = {
    "makes the Secret": ('echo "secret/treadle-signing created"', 0, "secret/treadle-signing created"),
    "reports a Secret that is there": (
        'echo "Error from server (AlreadyExists): secrets \\"treadle-signing\\" already exists" >&2; exit 1',
        1,
        'Error: Secret "treadle-signing" was not made: Error from server (AlreadyExists): secrets "treadle-signing"'
        " already exists",
    ),
}


@pytest.mark.parametrize(("then", "code", "said"), THEN.values(), ids=THEN.keys())
def test_apply(then: str, code: int, said: str, tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.replace("{then}", then))
    program.chmod(0o755)
    seen = tmp_path / "seen"
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = CliRunner().invoke(keys, ["create", "--apply"], env={"PATH": path, "SEEN": str(seen)})
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.splitlines()[-1] == said
    assert "private.pem" in seen.read_text()
    assert seen.read_text().endswith("create -f -\n")
