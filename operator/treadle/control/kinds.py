"""The table of the kinds: for each its functions, its conditions with the summary first, and what it may own."""

from typing import Any

from treadle.api.datasource import DataSource
from treadle.api.modeldeployment import ModelDeployment
from treadle.api.monitor import Monitor
from treadle.api.trainingjob import TrainingJob
from treadle.control.datasource import desired as data_source_children
from treadle.control.datasource import observe as data_source_view
from treadle.control.datasource import status as data_source_status
from treadle.control.engine.ports import DATA_SOURCE, JOB, MODEL_DEPLOYMENT, MONITOR, TRAINING_JOB, Kind
from treadle.control.modeldeployment import desired as model_deployment_children
from treadle.control.modeldeployment import observe as model_deployment_view
from treadle.control.modeldeployment import status as model_deployment_status
from treadle.control.monitor import desired as monitor_children
from treadle.control.monitor import observe as monitor_view
from treadle.control.monitor import status as monitor_status
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
    Kind(
        gvk=MODEL_DEPLOYMENT,
        conditions=model_deployment_status.CONDITIONS,
        children=model_deployment_children.CHILDREN,
        living=model_deployment_children.children,
        parse=ModelDeployment.read,
        observe=model_deployment_view.observe,
        desired=model_deployment_children.desired,
        status=model_deployment_status.status,
    ),
    Kind(
        gvk=MONITOR,
        conditions=monitor_status.CONDITIONS,
        children=(JOB,),
        parse=Monitor.read,
        observe=monitor_view.observe,
        desired=monitor_children.desired,
        status=monitor_status.status,
    ),
)
