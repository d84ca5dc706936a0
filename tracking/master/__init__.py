"""Masters: they cut a data dict into jobs and give them to slaves."""

from tracking.master.job_master import JobMaster
from tracking.master.lazy_mappings import IteratorMapping, LazyMapping
from tracking.master.restarting import restart, resume, run
from tracking.master.status import Status
from tracking.master.tracking_job_master import TrackingJobMaster

__all__ = ["IteratorMapping", "JobMaster", "LazyMapping", "Status", "TrackingJobMaster", "restart", "resume", "run"]
