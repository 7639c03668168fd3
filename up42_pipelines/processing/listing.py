"""A workflow's jobs as UP42 lists them: their titles tell which step and partition they are of."""

from __future__ import annotations

from up42_pipelines.api.processing import Job, JobSort
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.purchase import ProcessingApi
from up42_pipelines.processing.workflow import Step, Workflow


def jobs_of(processing: ProcessingApi, workflow: Workflow, step: Step, partition: str) -> list[tuple[Job, JobTitle]]:
    """The jobs of one partition of a step, with what their titles say, the oldest first.

    Args:
        processing: the jobs of the workspace.
        workflow: that they were bought for.
        step: one of its steps.
        partition: partition key.
    """
    jobs = processing.jobs(process_ids=[step.template.process_id], sort=JobSort.created.asc)
    wanted = (workflow.name, step.name, partition)
    titled = ((job, title) for job in jobs if (title := JobTitle.read(job.title)) is not None)
    return [(job, title) for job, title in titled if (title.workflow, title.step, title.partition) == wanted]
