"""The tables of the stimulation, and how far they are computed."""

from __future__ import annotations
from dash import html
from dj_neuron.explorer.parts import Page


def register(app):
    pass


def page(place, values):
    return Page("Stimulation", html.H1("Stimulation"))
