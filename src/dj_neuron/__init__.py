"""dj-neuron: spatio-temporal receptive fields from white-noise recordings, in a DataJoint pipeline.

Importing this package connects to nothing, prints nothing and leaves DataJoint's configuration alone;
:func:`connect` does the first of these when it is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dj_neuron.connection import Pipeline, connect
    from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation, Strf

    __version__: str

__all__ = ["Movie", "Pipeline", "Session", "SpikeTrain", "Stimulation", "Strf", "__version__", "connect"]


def __getattr__(name: str) -> Any:
    # a command listens to signals before it loads what takes its time
    if name == "__version__":
        return import_module("importlib.metadata").version("dj-neuron")
    if name in __all__:
        module = "connection" if name in {"connect", "Pipeline"} else "contracts"
        return getattr(import_module(f"dj_neuron.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
