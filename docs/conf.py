"""Configuration of the documentation site: ``python -m sphinx -W --keep-going docs docs/_build/html`` builds it."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from _site import pages, tables  # noqa: E402

import symc  # noqa: E402

project = "symc"
author = "the symc developers"
copyright = "the symc developers"
version = release = symc.__version__

extensions = [
    "myst_nb",  # pages in Markdown, their code executed
    "sphinx.ext.autodoc",  # the API reference, from docstrings
    "sphinx.ext.napoleon",  # docstrings in NumPy's format
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "_site"]
suppress_warnings = ["ref.python"]  # a function may be public under two names

html_theme = "furo"
html_title = f"symc {release}"
html_static_path: list[str] = []
highlight_language = "text"
pygments_style = "friendly"

# --- docstrings ---------------------------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more
autodoc_preserve_defaults = True  # defaults as they are written
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# --- pages and their code -----------------------------------------------------------------------------------------

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
nb_custom_formats = {".md": ["_site.pages.read_notebook", {}, False]}
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_execution_excludepatterns = [
    path.as_posix()
    for name, path in pages.pages().items()
    if name in pages.NOT_RUN or not any(cell.run for cell in pages.cells(path.read_text(encoding="utf-8")))
] + [(HERE / "generated" / pattern).as_posix() for pattern in ("*.md", "api/*.md")]
nb_execution_cache_path = str(HERE / "_build" / ".jupyter_cache")

STARTUP = """
import sys
shell = get_ipython()
shell.run_line_magic("xmode", "Minimal")  # the exception and its message, without a traceback
number = [0]

def name_of(*_):  # messages of symc name the cell and the line
    number[0] += 1
    return f"cell {number[0]}"

shell.compile.get_code_name = name_of
"""


def quiet_kernel() -> None:
    """Prepare the IPython kernels that execute the pages: short error messages, and no user's settings."""
    folder = Path(tempfile.mkdtemp(prefix="symc-docs-"))
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "start.py").write_text(STARTUP, encoding="utf-8")
    (startup.parent / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n", encoding="utf-8")
    os.environ["IPYTHONDIR"] = str(folder)
    os.environ["TQDM_DISABLE"] = "1"  # progress bars


quiet_kernel()
tables.write(HERE / "generated")

# --- links --------------------------------------------------------------------------------------------------------

ROOT_PAGES = {"CHANGELOG.md": "changelog", "CONTRIBUTING.md": "contributing"}
"""Files of the repository's root that are pages, too."""
LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)#]+)((?:#[^)]*)?)\)")


def links_within_the_site(text: str, folder: Path, page: Path) -> str:
    """Rewrite the links of a text that lies in ``folder`` for ``page``; links to files outside the site become text."""

    def rewritten(match: re.Match) -> str:
        label, target, anchor = match.groups()
        path = (folder / target).resolve()
        if path.parent == HERE.parent and path.name in ROOT_PAGES:
            path = HERE / f"{ROOT_PAGES[path.name]}.md"
        if not path.is_relative_to(HERE):
            return label
        return f"[{label}]({Path(os.path.relpath(path, page.parent)).as_posix()}{anchor})"

    return LINK.sub(rewritten, text)


def on_source_read(app: Any, docname: str, source: list[str]) -> None:
    """Make the links of a page fit the site, and fill the pages that show a file of the repository's root."""
    page = HERE / f"{docname}.md"
    of_root = {value: HERE.parent / key for key, value in ROOT_PAGES.items()}.get(docname)
    text = of_root.read_text(encoding="utf-8") if of_root else source[0]
    source[0] = links_within_the_site(text, (of_root or page).parent, page)


# --- citations ----------------------------------------------------------------------------------------------------


def on_docstring(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Turn the citations of a docstring, whose numbers are not unique on a page, into a list."""
    inside = False
    for k, line in enumerate(lines):
        if line.lstrip().startswith(".. ["):
            lines[k], inside = line.replace(".. [", "* [", 1), True
        elif not line.strip():
            inside = False
        elif inside:
            lines[k] = "  " + line.strip()
        lines[k] = re.sub(r"\[(\d+)\]_", r"[\1]", lines[k])


def setup(app: Any) -> None:
    app.connect("source-read", on_source_read)
    app.connect("autodoc-process-docstring", on_docstring, priority=100)  # before napoleon
