"""Tables to contracts and plain rows: the only door for figures, explorer, export and the command line."""

from dj_neuron.queries.counting import is_large, progress
from dj_neuron.queries.covariances import covariances
from dj_neuron.queries.estimates import (
    best_neurons,
    counts,
    join_delays,
    neuron_ids,
    peaks,
    stimulation,
    stimulation_ids,
    strfs,
    strfs_of,
)
from dj_neuron.queries.estimations import Computation, Estimation, computations, estimations
from dj_neuron.queries.jobs import FailedJob, OpenJobs, ReservedJob, open_jobs
from dj_neuron.queries.listing import TableInfo, Tier, foreign_keys, load_headings, preview, table_classes, tables
from dj_neuron.queries.measures import NeuronColumn, mosaics, neuron_columns, neuron_table, receptive_fields
from dj_neuron.queries.neuron_page import n_neurons, neighbours, neuron_page
from dj_neuron.queries.neuron_query import (
    PAGE_COLUMNS,
    SORT_COLUMNS,
    NeuronQuery,
    ParameterIds,
    default_parameters,
    parameter_rows,
)
from dj_neuron.queries.recordings import (
    SessionInfo,
    StimulationInfo,
    recordings,
    session,
    session_keys,
    stimulation_infos,
    totals,
)
from dj_neuron.queries.state import code_versions, state_of

__all__ = [
    "PAGE_COLUMNS",
    "SORT_COLUMNS",
    "Computation",
    "Estimation",
    "FailedJob",
    "NeuronColumn",
    "NeuronQuery",
    "OpenJobs",
    "ParameterIds",
    "ReservedJob",
    "SessionInfo",
    "StimulationInfo",
    "TableInfo",
    "Tier",
    "best_neurons",
    "code_versions",
    "computations",
    "counts",
    "covariances",
    "default_parameters",
    "estimations",
    "foreign_keys",
    "is_large",
    "join_delays",
    "load_headings",
    "mosaics",
    "n_neurons",
    "neighbours",
    "neuron_columns",
    "neuron_ids",
    "neuron_page",
    "neuron_table",
    "open_jobs",
    "parameter_rows",
    "peaks",
    "preview",
    "progress",
    "receptive_fields",
    "recordings",
    "session",
    "session_keys",
    "state_of",
    "stimulation",
    "stimulation_ids",
    "stimulation_infos",
    "strfs",
    "strfs_of",
    "table_classes",
    "tables",
    "totals",
]
