"""How the documentation is built: `sphinx-build docs OUT`."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "adieu"
author = "The adieu authors"
project_copyright = "The adieu authors"
version = release = installed_version("adieu")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"adieu {release}"

# Docstrings say `Client` as Markdown does, and a single backtick there means code.
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
