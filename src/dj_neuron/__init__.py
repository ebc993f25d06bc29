"""dj-neuron: spatio-temporal receptive fields from white-noise recordings, in a DataJoint pipeline.

Importing this package connects to nothing, prints nothing and leaves DataJoint's configuration alone;
:func:`connect` does the first of these when it is called.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation, Strf

if TYPE_CHECKING:
    from dj_neuron.connection import Pipeline, connect

__version__ = _version("dj-neuron")

__all__ = ["Movie", "Pipeline", "Session", "SpikeTrain", "Stimulation", "Strf", "__version__", "connect"]


def __getattr__(name: str) -> Any:
    # what needs DataJoint is imported only when it is asked for
    if name in {"connect", "Pipeline"}:
        return getattr(import_module("dj_neuron.connection"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
