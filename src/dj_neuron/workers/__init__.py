"""Starting workers: one in this process, several beside it, or wherever a Dask cluster has room."""

from dj_neuron.workers.report import WorkReport
from dj_neuron.workers.stopping import Stop

__all__ = ["Stop", "WorkReport"]
