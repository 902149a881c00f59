"""The headings of a page, as links name them."""

import re
from pathlib import Path


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
