"""Prepare pages for the documentation site: links and hidden code.

A link that leads out of docs/ goes to the repository that `[project.urls]` names. Comments, such as
the hidden code of `tests/support/page_blocks.py`, are left out.
"""

import re
import tomllib
from pathlib import Path
from posixpath import normpath
from typing import Any

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()(\.\./[^)#\s]*)")
COMMENT = re.compile(r"^ *<!--.*?-->\n?", re.DOTALL | re.MULTILINE)


def repository() -> str:
    """Return the address of the repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["urls"]["Repository"])


def on_config(config: Any) -> None:
    """Lead to the source, not by `repo_url`: a reader's browser would ask GitHub for its stars."""
    config.extra["social"] = [{"icon": "material/source-repository", "link": repository()}]


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Return the page without comments, with links that work on the site."""
    folder = Path("docs", page.file.src_uri).parent.as_posix()

    def absolute(link: re.Match[str]) -> str:
        path = normpath(f"{folder}/{link[2]}")
        if path.startswith("docs/"):
            return link[0]
        return f"{link[1]}{repository()}/blob/main/{path}"

    return LINK.sub(absolute, COMMENT.sub("", markdown))
