"""The site: `make docs`. Pages are plain Markdown; `_toc.yml` puts them in order."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "kdsweep"
author = "the authors of kdsweep"
copyright = f"{author}, Apache-2.0"  # noqa: A001 - Sphinx's name
release = metadata.version("kdsweep")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_external_toc",
    "reference_pages",
]
exclude_patterns = ["_build"]

myst_heading_anchors = 3
smartquotes = False  # --set is no dash
nb_execution_mode = "off"  # the tests run the notebook

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
default_role = "code"
maximum_signature_line_length = 90
napoleon_attr_annotations = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
# No inventory is fetched, so names of other packages have no target; nor have names of ours that
# no page documents.
nitpick_ignore_regex = [("py:.*", r"(?!kdsweep\.).*")]

html_theme = "furo"
html_title = f"kdsweep {release.partition('+')[0]}"
html_static_path = ["_static"]
html_css_files = ["kdsweep.css"]
html_show_sphinx = False
