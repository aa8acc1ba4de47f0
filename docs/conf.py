"""The site: `pip install ".[docs]" && sphinx-build -W --keep-going docs docs/_build`. It runs the examples for their pictures.

`-D gallery_runs=0` leaves the examples out: their pages then show code alone.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

from tfxai.version import __version__  # noqa: E402

project, author, copyright = "tfxai", "the tfxai maintainers", "the tfxai maintainers, Apache 2.0"
version = release = __version__
extensions = [
    "sphinx.ext.autodoc",
    "myst_parser",
    "sphinx_copybutton",
    "building.docstrings",
    "building.formulas",
    "building.gallery",
    "building.repository",
]
exclude_patterns = ["_build", "building"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_typehints = "none"  # docstrings tell kind and shape in words
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
default_role = "code"
smartquotes = False

html_theme = "furo"
html_title = f"tfxai {version}"
html_static_path = ["looks"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_math_renderer = "mathml"
html_theme_options = {"source_repository": "", "navigation_with_keys": True}
pygments_style, pygments_dark_style = "friendly", "monokai"
