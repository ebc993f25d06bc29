# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a file to a mosaic
#
# A recording of retinal ganglion cells goes into a pipeline, every neuron gets its receptive field,
# and at the end we see how the fields tile the retina. Open this file as a notebook (`jupytext --to
# ipynb`, or as it is in VS Code and in JupyterLab with Jupytext), or run it as a script.
#
# First a recording whose truth we know. With one of your own, put its path here instead.

# %%
from pathlib import Path

import dj_neuron
from dj_neuron import figures, queries
from dj_neuron.connection import DelayRange
from dj_neuron.simulate import write_simulation

# %matplotlib inline
folder = Path("mosaic-tutorial").resolve()
folder.mkdir(exist_ok=True)

# %%
file, truth = write_simulation(folder / "recording.pkl", "small", force=True)
file.name

# %% [markdown]
# The pipeline lives in a folder: an embedded database starts by itself. `ingest` reads the file,
# once; the same file again changes nothing. The pipeline shows what it holds, and what remains.

# %%
pipeline = dj_neuron.connect(folder / "data", prefix="tutorial")
pipeline.ingest(file)
pipeline

# %% [markdown]
# Delays are seconds before the spike. Those below 0 come after it, where nothing can be caused: they
# show how high noise stands. Everything downstream of the averages is computed with them: tests,
# fields, mosaics, predictions.

# %%
report = pipeline.compute(DelayRange(-0.1, 0.4))
report.computed

# %% [markdown]
# Which neurons have a receptive field? `p_value_field` is the chance that one as clear appears by
# accident.

# %%
fields = [field for field in pipeline.receptive_fields() if field.has_field]
for field in sorted(fields, key=lambda field: -abs(field.measures["peak_z"]))[:5]:
    print(field.label, f"z = {field.measures['peak_z']:.1f}, p = {field.measures['p_value_field']:.3g}")

# %% [markdown]
# The best of them on a checker movie. A notebook shows what was measured, with the map.

# %%
best = max((field for field in fields if field.axes == "xy"), key=lambda field: abs(field.measures["peak_z"]))
best

# %% [markdown]
# Its STRF. Arrays are `(n_delays, n_y, n_x)`, in contrast; `z` is in standard errors.

# %%
key = {"neuron_id": best.neuron_id, **vars(best.stimulation_id)}
strf = pipeline.strfs(**key)[0]
strf

# %%
strf.values.shape, strf.delays_s[:3], int(strf.ledger.n_used.max())

# %% [markdown]
# All delays in one picture: what is significant is outlined, the fitted field drawn at the delay of
# its peak.

# %%
figures.strf_panels(strf, best)

# %% [markdown]
# The same neuron on one sheet: map and cuts through it, time course, test, nonlinearity, and whether
# the recording was long enough.

# %%
figures.receptive_field_picture(strf, best)

# %% [markdown]
# Measures have names with units and standard errors. What is not known is None, and a reason says
# why.

# %%
{name: best.measures[name] for name in ("centre_x_um", "centre_x_um_se", "sigma_major_um", "time_to_peak_s")}

# %%
{field.label: field.reasons for field in pipeline.receptive_fields() if not field.has_field}

# %% [markdown]
# All fields of the stimulation together, ON and OFF apart, with the regularity index of each mosaic
# beside that of as many points placed at random.

# %%
neighbours = [field for field in fields if field.stimulation_id == best.stimulation_id]
mosaics = list(queries.mosaics(vars(best.stimulation_id)))
figures.mosaic_figure(neighbours, mosaics)

# %% [markdown]
# Everything of this stimulation at once: pictures as files, here for a journal, and `report.html`,
# one page that leads from counts and tables to this neuron.

# %%
written = pipeline.figures(
    folder / "figures", neuron_ids=[best.neuron_id], restriction=vars(best.stimulation_id), formats=["pdf"]
)
len(written), folder / "figures" / "report.html"

# %% [markdown]
# Everything as a table, for other programs: one row per neuron.

# %%
rows = queries.neuron_table()
print(len(rows), "rows;", ", ".join(column.name for column in queries.neuron_columns()[:12]), "...")
pipeline.close()
