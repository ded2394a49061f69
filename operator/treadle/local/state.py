"""The folder of `treadle up`: which format it has, who uses it, and every object of its API."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from treadle import __version__
from treadle.control.engine.ports import Object
from treadle.local.server.api import Change, place

FORMAT = 1
BUCKETS = ("raw", "treadle")

TABLES = """
create table if not exists objects (
  kind text, namespace text, name text, object text not null, primary key (kind, namespace, name)
) without rowid;
create table if not exists version (last integer not null);
"""


class Unusable(Exception):
    """What a person must mend before anything starts; the message is the one line to show."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where things lie in the folder; absolute, since processes start elsewhere."""

    root: Path

    @property
    def buckets(self) -> Path:
        """Return the directory that holds a directory for each bucket."""
        return self.root / "buckets"

    @property
    def pods(self) -> Path:
        """Return the directory of the pods: what is mounted in each, and its logs."""
        return self.root / "pods"

    @property
    def kubeconfig(self) -> Path:
        """Return the file that makes kubectl and the command line use this cluster."""
        return self.root / "kubeconfig"

    @property
    def log(self) -> Path:
        """Return the operator's log."""
        return self.root / "operator.log"


@contextmanager
def used(folder: Folder) -> Iterator["Objects"]:
    """Hold the folder for this process, and give its objects; Unusable where another has it, or another version's."""
    _claim(folder.root)
    with (folder.root / "lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Unusable(
                f"{folder.root} is in use by process {lock.read().strip()}; end that one, or take another: --state DIR"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        for bucket in BUCKETS:
            (folder.buckets / bucket).mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(folder.root / "objects.db")) as database:
            yield Objects(database)


class Objects:
    """The objects as rows, each change a transaction: a power cut leaves all of it or nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript("pragma journal_mode = wal; pragma synchronous = normal;" + TABLES)

    def load(self) -> tuple[list[Object], int]:
        """Return all objects, and the last resource version that was given."""
        rows = self._database.execute("select object from objects order by kind, namespace, name").fetchall()
        found = self._database.execute("select last from version").fetchone()
        return [json.loads(row) for (row,) in rows], found[0] if found else 0

    def keep(self, changes: Iterable[Change]) -> None:
        """Write changes, in their order, as one transaction."""
        last = 0
        with self._database:
            for change in changes:
                last = int(change.object["metadata"]["resourceVersion"])
                if change.type == "DELETED":
                    where = "delete from objects where kind = ? and namespace = ? and name = ?"
                    self._database.execute(where, place(change.object))
                else:
                    row = (*place(change.object), json.dumps(change.object))
                    self._database.execute("insert or replace into objects values (?, ?, ?, ?)", row)
            if last:
                self._database.execute("delete from version")
                self._database.execute("insert into version values (?)", (last,))


def kubeconfig(url: str, namespace: str) -> str:
    """Return a kubeconfig for the API at this address; its default namespace is that of the manifests."""
    named = {"clusters": "cluster", "users": "user", "contexts": "context"}
    entries = {
        "clusters": {"server": url},
        "users": {},
        "contexts": {"cluster": "treadle", "user": "treadle", "namespace": namespace},
    }
    lists = {plural: [{"name": "treadle", named[plural]: entry}] for plural, entry in entries.items()}
    # JSON is YAML too.
    return json.dumps({"apiVersion": "v1", "kind": "Config", **lists, "current-context": "treadle"}, indent=1) + "\n"


def _claim(root: Path) -> None:
    """Make the folder, or find that it is one of this format."""
    marker = root / "format.json"
    if marker.is_file():
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))
            number, program = found["format"], found["treadle"]
        except (ValueError, KeyError, TypeError):
            number = program = "unknown"
        if number != FORMAT:
            raise Unusable(
                f"{root} holds the state of treadle {program} (format {number}), this is treadle {__version__} "
                f"(format {FORMAT}); use that version, or take another folder: --state DIR"
            )
        return
    # Data may lie there before the first start, as `treadle init` tells people to put it.
    if root.exists() and (not root.is_dir() or {path.name for path in root.iterdir()} - {"buckets"}):
        raise Unusable(f"{root} is there, and is no state of treadle up; take another folder: --state DIR")
    root.mkdir(parents=True, exist_ok=True)
    # Data and keys: neither for other users nor for Git.
    root.chmod(0o700)
    fresh = root / "buckets" / ".format.json"
    fresh.parent.mkdir(exist_ok=True)
    fresh.write_text(json.dumps({"format": FORMAT, "treadle": __version__}) + "\n", encoding="utf-8")
    # The marker comes whole, and before anything else that is not data.
    fresh.replace(marker)
    (root / ".gitignore").write_text("*\n", encoding="utf-8")
