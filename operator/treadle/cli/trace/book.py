"""What the objects of a namespace name: dataset versions, runs, and models with where they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from treadle.api.names import short
from treadle.cli.cluster import Object
from treadle.cli.estate import Estate, condition, is_true, name_of, status_of


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset version, as far as an object tells of it."""

    digest: str
    source: str
    rows: int | None = None
    published: str = ""
    uri: str = ""
    is_current: bool = False
    splits: Object = field(default_factory=dict)
    profile: str = ""

    @property
    def title(self) -> str:
        return f"{self.source or 'a source that is gone'}, version {short(self.digest)}"


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: its TrainingJob, or its record where that is gone."""

    name: str
    """Of the TrainingJob; empty where it is gone."""
    spec: Object
    status: Object
    """Of the TrainingJob, or the result in the record, which spells the same fields the same way."""
    run_key: str = ""
    created: str = ""
    verdict: str = ""
    """The reason of Complete, or of Failed."""
    message: str = ""

    @property
    def title(self) -> str:
        return f"TrainingJob {self.name}" if self.name else f"run {self.run_key[:10]}, whose TrainingJob is gone"

    @property
    def family(self) -> str:
        return str(self.spec["modelName"])

    @property
    def model(self) -> Object:
        found: Object = self.status.get("model") or {}
        return found

    @property
    def digest(self) -> str:
        """The model's digest; empty where none came of it."""
        return str(self.model.get("digest") or "")

    @property
    def version(self) -> str:
        return str(self.model.get("version") or "")

    @property
    def data(self) -> str:
        return str((self.status.get("data") or {}).get("digest") or "")

    @property
    def gate(self) -> Object:
        found: Object = self.status.get("gate") or {}
        return found

    @property
    def metrics(self) -> Sequence[Object]:
        found: Sequence[Object] = self.status.get("metrics") or ()
        return found

    @property
    def ended(self) -> str:
        return str(self.status.get("completionTime") or self.status.get("completedAt") or "")

    @property
    def uri(self) -> str:
        """The address of something of it in the store."""
        return str(self.model.get("storageUri") or self.status.get("reportUri") or "")


@dataclass(frozen=True, slots=True)
class Held:
    """A model in a deployment: as champion, candidate, champion before, or quarantined."""

    deployment: Object
    role: str
    digest: str
    version: str = ""
    since: str = ""
    said: str = ""
    data: str = ""
    """The dataset version that it learnt from."""
    run: str = ""
    """The TrainingJob that made it, which may be gone."""


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that a namespace's objects name."""

    estate: Estate
    data: tuple[Data, ...]
    runs: tuple[Run, ...]
    """Newest first."""
    held: tuple[Held, ...]

    def with_runs(self, runs: Sequence[Run]) -> "Book":
        """Return the same with runs of which only the store knows."""
        known = {run.run_key for run in self.runs}
        return replace(self, runs=(*self.runs, *(run for run in runs if run.run_key not in known)))

    def of_digest(self, digest: str) -> Data | None:
        """Return a dataset version, or None where no object names it."""
        return next((data for data in self.data if data.digest == digest), None)

    def run(self, key: str) -> Run:
        """Return a run by its name or key."""
        return next(run for run in self.runs if key in (run.name, run.run_key))

    def made(self, digest: str) -> list[Run]:
        """Return the runs that made a model, or met it again, newest first."""
        return [run for run in self.runs if run.digest == digest]

    def learnt(self, digest: str) -> list[Run]:
        """Return the runs that learnt from a dataset version, newest first."""
        return [run for run in self.runs if run.data == digest]

    def holders(self, digest: str) -> list[Held]:
        """Return where a model is."""
        return [held for held in self.held if held.digest == digest]

    def version(self, digest: str) -> str:
        """Return how people call a model: by its newest version, else by its digits."""
        named = [run.version for run in self.made(digest)]
        named += [held.version for held in self.holders(digest) if held.version]
        return named[0] if named else short(digest)


def book(estate: Estate) -> Book:
    """Return what the objects of a namespace name."""
    runs = sorted((of_job(job) for job in estate.runs), key=lambda run: (run.created, run.name), reverse=True)
    data = [one for source in estate.sources for one in versions(source)]
    known = {one.digest for one in data}
    for run in runs:
        if run.data and run.data not in known:
            data.append(Data(run.data, str(run.spec["dataRef"]["name"])))
            known.add(run.data)
    held = [one for deployment in estate.deployments for one in holdings(deployment)]
    return Book(estate, tuple(data), tuple(runs), tuple(held))


def of_job(job: Object) -> Run:
    """Return a TrainingJob as a run."""
    status, failed = status_of(job), condition(job, "Failed")
    told = failed if is_true(job, "Failed") else condition(job, "Complete")
    return Run(
        name=name_of(job),
        spec=job["spec"],
        status=status,
        run_key=str(status.get("runKey") or ""),
        created=str(job["metadata"].get("creationTimestamp") or ""),
        verdict=str(told.get("reason") or "NotJudged"),
        message=str(told.get("message") or ""),
    )


def of_record(record: Object, run_key: str) -> Run:
    """Return a run of which only the store knows."""
    result, spec = record["result"], {"modelName": record["modelName"], "trigger": record.get("cause") or {}}
    return Run("", spec, result, run_key, result["startedAt"], result["outcome"], result.get("message", ""))


def versions(source: Object) -> Iterator[Data]:
    """Yield the versions of a DataSource that its status lists, newest first."""
    name, status = name_of(source), status_of(source)
    current = status.get("currentVersion")
    if current:
        yield Data(
            digest=current["digest"],
            source=name,
            rows=current["rows"],
            published=current["publishedAt"],
            uri=current["storageUri"],
            is_current=True,
            splits=current.get("splits") or {},
            profile=str(current.get("profileUri") or ""),
        )
    for row in status.get("versions") or ():
        if not current or row["digest"] != current["digest"]:
            yield Data(row["digest"], name, row["rows"], row["publishedAt"])


ROLES = {"champion": "champion", "candidate": "candidate", "lastKnownGood": "champion before"}


def holdings(deployment: Object) -> Iterator[Held]:
    """Yield the models that a deployment serves, tries, keeps and refuses."""
    status = status_of(deployment)
    for field_, role in ROLES.items():
        found = status.get(field_)
        if found:
            share = f"answers {found['weight']} % of the requests" if found.get("weight") else found.get("state", "")
            until = f"loaded until {found['loadedUntil']}" if found.get("loadedUntil") else ""
            yield Held(
                deployment=deployment,
                role=role,
                digest=found["digest"],
                version=found["version"],
                since=found.get("since", ""),
                said=share or until,
                data=found.get("dataDigest", ""),
                run=found.get("trainingJob", ""),
            )
    for row in status.get("quarantined") or ():
        yield Held(deployment, "quarantined", row["digest"], said=f"{row['reason']}, until {row['until']}")


def key_of(run: Run) -> str:
    """Return what a run is told from others by."""
    return run.name or run.run_key
