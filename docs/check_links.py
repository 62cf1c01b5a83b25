"""Check the links within a built site, to files and to places in them: `python docs/check_links.py build/site`.

Those to other sites are counted, and listed with `--elsewhere`; Sphinx follows them where there is a network:
`NOTEBOOKS=off python -m sphinx -b linkcheck -c docs . build/links`.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag points to, and what may point to it."""
        found = dict(attrs)
        self.links.update(value for name in ("href", "src") if (value := found.get(name)))
        self.anchors.update(value for name in ("id", "name") if (value := found.get(name)))


def check(site: Path) -> tuple[list[str], list[str]]:
    """List links to nothing, and links that are not followed.

    Parameters
    ----------
    site
        Directory of the HTML files.

    Returns
    -------
    broken
        One line for each, ``page: link``.
    elsewhere
        Addresses of other sites.
    """
    html = (path for path in site.rglob("*.html") if "_static" not in path.relative_to(site).parts)  # of themes
    pages = {path.resolve(): _Page(path.read_text("utf8")) for path in html}
    wrong: list[str] = []
    elsewhere: set[str] = set()
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.netloc:
                elsewhere.add(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            known = pages.get(target)
            lost = url.fragment and known and unquote(url.fragment) not in known.anchors
            if not target.exists() or lost:
                wrong.append(f"{path.relative_to(site.resolve())}: {link}")
    return sorted(wrong), sorted(elsewhere)


if __name__ == "__main__":
    root = Path(sys.argv[1])
    lines, others = check(root)
    n = sum(1 for _ in root.rglob("*.html"))
    listed = others if "--elsewhere" in sys.argv else []
    said = f"{n} pages, {len(lines)} broken links; {len(others)} addresses of other sites, not followed"
    print("\n".join([*listed, *lines, said]))
    sys.exit(bool(lines) or not n)
