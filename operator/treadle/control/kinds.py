"""The table of the kinds: for each its functions, its conditions with the summary first, and what it may own."""

from typing import Any

from treadle.api.datasource import DataSource
from treadle.api.trainingjob import TrainingJob
from treadle.control.datasource import desired as data_source_children
from treadle.control.datasource import observe as data_source_view
from treadle.control.datasource import status as data_source_status
from treadle.control.engine.ports import DATA_SOURCE, JOB, TRAINING_JOB, Kind
from treadle.control.trainingjob import desired as training_job_children
from treadle.control.trainingjob import observe as training_job_view
from treadle.control.trainingjob import status as training_job_status

KINDS: tuple[Kind[Any, Any], ...] = (
    Kind(
        gvk=DATA_SOURCE,
        conditions=data_source_status.CONDITIONS,
        children=(JOB,),
        parse=DataSource.read,
        observe=data_source_view.observe,
        desired=data_source_children.desired,
        status=data_source_status.status,
    ),
    Kind(
        gvk=TRAINING_JOB,
        conditions=training_job_status.CONDITIONS,
        children=(JOB,),
        parse=TrainingJob.read,
        observe=training_job_view.observe,
        desired=training_job_children.desired,
        status=training_job_status.status,
    ),
)
