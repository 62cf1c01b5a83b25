"""The documentation site: `make docs` builds it with the repository as its source directory.

So links between `docs/`, `tasks/` and the changelog are the same here and where the repository is read in a browser.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bftembed

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "bftembed"
author = "the authors of bftembed"
copyright = "2026, the authors of bftembed"
release = bftembed.__version__
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "commands",
    "kernel",
    "names",
    "notebook_data",
]

root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "tasks/README.md",
    "tasks/*/README.md",
    "data_manifests/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "RELEASING.md",
]
exclude_patterns = [
    *("docs/README.md", "docs/_*", "docs/screenshots"),
    *("build", "dist", "demo", "runs", "corpus", ".*", "bftembed", "tests"),
]

# Reference
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
# What pydantic and scikit-learn add to every class.
autodoc_default_options = {
    "exclude-members": "model_config, model_post_init, get_metadata_routing, set_fit_request, set_predict_request, "
    "set_score_request"
}
napoleon_google_docstring = False
napoleon_use_ivar = True
default_role = "literal"
templates_path = [str(Path(__file__).parent / "_templates")]  # of the source directory otherwise
add_module_names = False
python_use_unqualified_type_names = True
nitpicky = True

# Pages
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
# Attributes of several classes may have one name; without a run no notebook says in which language it is.
suppress_warnings = ["ref.python", *(["myst-nb.lexer"] if os.environ.get("NOTEBOOKS") == "off" else [])]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Notebooks are executed anew by each build of `make docs`; outputs are of this machine.
nb_execution_mode = os.environ.get("NOTEBOOKS", "force")
nb_execution_timeout = 1200
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

html_theme = "sphinx_book_theme"
html_title = "bftembed"
html_static_path = ["_static"]
html_extra_path = ["_root"]
html_css_files = ["site.css"]
html_copy_source = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_navbar_depth": 1,
    "home_page_in_toc": False,
    "use_download_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],
}
