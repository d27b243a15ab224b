"""How the documentation is built: `sphinx-build docs OUT`."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import stringify_signature

from adieu._value import Value

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "adieu"
author = "The adieu authors"
project_copyright = "The adieu authors"
version = release = installed_version("adieu")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"adieu {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]

# Docstrings say `Client` as Markdown does, and a single backtick there means code.
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 88


# The first line of `adieu.client.option_help.OPTIONS_HELP`.
OPTIONS = "Options, each by its name. Those of the request:"


def fences_to_directives(
    app: Sphinx, what: str, name: str, documented: object, options: object, lines: list[str]
) -> None:
    """Docstrings have code blocks as in Markdown; autodoc reads reStructuredText.

    The options that every method of a client lists stand once, at its `request`.
    """
    if OPTIONS in lines and name not in ("adieu.Client.request", "adieu.request"):
        lines[lines.index(OPTIONS) :] = [
            "The options are those of :py:meth:`adieu.Client.request`.",
            "",
        ]
    converted: list[str] = []
    inside = False
    for line in lines:
        if line.startswith("```"):
            inside = not inside
            converted += ["", f".. code-block:: {line[3:] or 'text'}", ""] if inside else [""]
        else:
            converted.append(f"   {line}" if inside else line)
    lines[:] = converted


def signature_of_a_value(
    app: Sphinx,
    what: str,
    name: str,
    documented: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, None] | None:
    """`Value.__new__` takes any arguments, to refuse them; autodoc would show that one."""
    if what != "class" or not (isinstance(documented, type) and issubclass(documented, Value)):
        return None
    real = signature_of(documented.__init__, bound_method=True)
    shown = stringify_signature(real, show_return_annotation=False, unqualified_typehints=True)
    return shown, None


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-signature", signature_of_a_value)
    app.connect("autodoc-process-docstring", fences_to_directives)
