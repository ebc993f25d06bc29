"""The tables of the neuron, and how far they are computed."""

from __future__ import annotations
from dash import html
from dj_neuron.explorer.parts import Page


def register(app):
    pass


def page(place, values):
    return Page("Neuron", html.H1("Neuron"))
