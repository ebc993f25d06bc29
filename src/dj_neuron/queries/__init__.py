"""Tables to contracts and plain rows: the only door for figures, explorer, export and the command line."""

from dj_neuron.queries.covariances import covariances
from dj_neuron.queries.estimates import (
    best_neurons,
    counts,
    join_delays,
    peaks,
    stimulation,
    stimulation_ids,
    strfs,
    strfs_of,
)
from dj_neuron.queries.listing import TableInfo, Tier, foreign_keys, preview, table_classes, tables
from dj_neuron.queries.measures import NeuronColumn, mosaics, neuron_columns, neuron_table, receptive_fields

__all__ = [
    "NeuronColumn",
    "TableInfo",
    "Tier",
    "best_neurons",
    "counts",
    "covariances",
    "foreign_keys",
    "join_delays",
    "mosaics",
    "neuron_columns",
    "neuron_table",
    "peaks",
    "preview",
    "receptive_fields",
    "stimulation",
    "stimulation_ids",
    "strfs",
    "strfs_of",
    "table_classes",
    "tables",
]
