"""Sensors: read what changed at UP42 and ask for the runs that fetch it. They never spend and never write.

A tick that exceeds its time-out goes on running to its end in the code server, so a sensor must be free of side
effects. After a crash of the daemon asset events may come twice, run requests do not (`run_key`): what matters is
therefore done by the runs, and the events are observations. (Check evaluations they cannot be: Dagster 1.13 stores
one without a run only once per check and partition, and a second one makes every further tick fail.)
"""

from up42_pipelines.sensors.jobs import job_status_sensor
from up42_pipelines.sensors.orders import order_status_sensor
from up42_pipelines.sensors.ticks import ACTIVE

__all__ = ["ACTIVE", "job_status_sensor", "order_status_sensor"]
