"""How the documentation is built: ``make docs``."""

from cryomix import __version__

project = "cryomix"
author = "The cryomix developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "cyclopts.sphinx_ext",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_url_schemes = ["http", "https", "mailto"]

autodoc_typehints = "none"  # the signature holds the shapes; once is enough
autodoc_member_order = "groupwise"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_attr_annotations = False
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"cryomix {__version__}"
html_copy_source = False
html_show_sphinx = False

# The list of pages names some that a copy may not have; a page in no list is still an error.
suppress_warnings = ["toc.not_readable"]
