"""How Sphinx builds the site: bash pkg.sh docs."""

import re
from importlib import metadata

from sphinx.addnodes import pending_xref

project = "dj-neuron"
author = "the dj-neuron authors"
project_copyright = author
release = version = metadata.version("dj-neuron")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
nitpicky = True
# documented elsewhere: the site is built without asking other hosts for their names
nitpick_ignore_regex = [
    ("py:.*", r"(np|numpy|datajoint|matplotlib|plotly)\..*"),
    ("py:class", "(About|Any|ArrayLike|Axes|Figure|NDArray|Path)"),
]

myst_heading_anchors = 3  # links to sections work as on a code host
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # several of a kind stay in one line
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give types, and shapes and units besides
add_module_names = False

html_theme = "furo"
html_title = f"dj-neuron {release}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False


def setup(app):
    """Read docstrings as they are meant."""
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=400)  # before napoleon
    app.connect("doctree-read", _leave_words_alone)


def _as_restructured_text(app, what, name, obj, options, lines):
    """Number references by hand, as their numbers would meet on one page, and take |z| for what it is."""
    for pattern, replacement in (
        (r"^\.\. \[(\d+)\] ", r"- [\1] "),
        (r"\[(\d+)\]_", r"[\1]"),
        (r"\|(\w+)\|", r"\\|\1\\|"),
    ):
        lines[:] = [re.sub(pattern, replacement, line) for line in lines]


def _leave_words_alone(app, doctree):
    """Types are in words, with shapes: only names of classes are links."""
    for node in list(doctree.findall(pending_xref)):
        target = node["reftarget"]
        if node["reftype"] == "class" and not (target[0].isupper() or target.startswith("dj_neuron.")):
            node.replace_self(node.children)
