"""Check the built documentation site in a folder: it is whole, and loads nothing from elsewhere."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOADED = re.compile(
    r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preconnect|icon|preload))[^>]*"
    r"\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)"
)
STYLE_URL = re.compile(
    r"url\([\"']?((?:https?:)?//[^)\"']+)|@import\s+[\"']((?:https?:)?//[^\"']+)"
)
LOADS_LATER = re.compile(r'data-md-component="source"|class="mermaid"')
"""The setting that the theme's script takes as an order to ask other servers."""
HIDDEN = re.compile(r"<!-- (?:page|before|then|block)\b")
ENTRY = re.compile(r"^::: (\S+)$", re.MULTILINE)


def problems_of(site: Path) -> list[str]:
    """Return what is wrong with the site."""
    found = list[str]()
    for file in site.rglob("*.html"):
        text = file.read_text()
        found += [f"{file.name} loads {''.join(each)}" for each in LOADED.findall(text)]
        found += [f"{file.name} loads by {each}" for each in LOADS_LATER.findall(text)]
        found += [f"{file.name} has hidden code: {each}" for each in HIDDEN.findall(text)]
    for file in site.rglob("*.css"):
        loads = STYLE_URL.findall(file.read_text())
        found += [f"{file.name} loads {''.join(each)}" for each in loads]
    for page in (ROOT / "docs" / "api").glob("*.md"):
        html = (site / "api" / page.name).with_suffix(".html").read_text()
        names = ENTRY.findall(page.read_text())
        found += [f"{page.name} lacks {name}" for name in names if f'id="{name}"' not in html]
    return sorted(found)


site = Path(sys.argv[1])
if problems := problems_of(site):
    sys.exit("\n".join(problems))
pages = sum(1 for _ in site.rglob("*.html"))
print(f"{pages} pages, {sum(file.stat().st_size for file in site.rglob('*')) >> 20} MB")
