"""How the site is built: Sphinx with Markdown (MyST), the furo theme, and reference pages made from the code.

``nox -s docs`` builds it; every warning is an error. What the directive ``generated`` puts in is ``_reference.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent))

from _reference import GENERATED, copy_notebooks, copy_schemas

from cloudcart import __version__

project = "CloudCart"
author = "the CloudCart authors"
project_copyright = "the CloudCart authors, MIT licence"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks bring their outputs, which "nox -s notebooks" checks
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "model_config, model_post_init"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
copybutton_prompt_text = "$ "  # and what a command prints is not copied
copybutton_only_copy_prompt_lines = True


html_theme = "furo"
html_title = f"CloudCart {version}"
html_extra_path = ["_extra"]
html_show_sphinx = False


class Generated(SphinxDirective):
    """Puts in the part of a reference page that is made from the code: ``{generated} settings``."""

    required_arguments = 1
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the generated Markdown."""
        section = nodes.section()
        section.document = self.state.document
        text = GENERATED[self.arguments[0]]()
        self.state.nested_parse(StringList(text.splitlines(), source=self.arguments[0]), 0, section, match_titles=True)
        return section.children


def link_to_copied_notebooks(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Pages link to notebooks where the repository has them; the site has them one folder deeper."""
    source[0] = source[0].replace("](../notebooks/", "](notebooks/").replace("](../../notebooks/", "](../notebooks/")


def leave_out_pages_that_are_not_there(app: Sphinx, page: str, source: list[str]) -> None:
    """Let the index have places for pages that not every version has; a pattern without a page would be a warning."""
    if page == "index":
        lines = source[0].splitlines(keepends=True)
        source[0] = "".join(it for it in lines if not it.endswith("*\n") or any(app.srcdir.glob(it.strip())))


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the directive; bring notebooks and schemas to where it looks for pages and files."""
    here = Path(__file__).parent
    copy_notebooks(here / "notebooks")
    copy_schemas(here / "_extra" / "schemas")
    app.connect("source-read", link_to_copied_notebooks)
    app.connect("source-read", leave_out_pages_that_are_not_there)
    app.add_directive("generated", Generated)
