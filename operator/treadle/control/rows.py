"""How many rows a dataset version can offer to a run, as far as its splits tell."""

from treadle.api.base import moment
from treadle.api.datasource import DatasetVersion


def most_rows(version: DatasetVersion, since: str | None) -> int:
    """Return the most rows that a run can learn from: rows without a label and rows before `since` may be among them.

    since: rows before this time are left out; then a train part that ended before it offers none.
    """
    train = version.splits.train
    if since is not None and train.until is not None and moment(train.until) < moment(since):
        return 0
    return train.rows
