"""The tables of the pipeline, and how far they are computed."""

from __future__ import annotations
from dash import html
from dj_neuron.explorer.parts import Page


def register(app):
    pass


def page():
    return Page("Pipeline", html.H1("Pipeline"))
