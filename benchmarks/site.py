"""Open every page of the built site in a headless Chromium: which are wider than a phone, and which say an error?

make docs
python benchmarks/site.py build/site --screenshots docs/screenshots
"""

import argparse
import sys
from pathlib import Path

from chromium import Chromium

SHOWN = {"home": "docs/index.html", "tutorial": "docs/tutorials/first_embedding.html"}
SIZES = {1280: 900, 390: 844}


def wide_pages(browser, site, width=390):
    """Pages whose content is wider than the window."""
    browser.size(width, SIZES[width], phone=True)
    found = []
    for path in sorted(site.rglob("*.html")):
        if "_static" in path.relative_to(site).parts or path == site / "index.html":  # of themes; it leads on
            continue
        browser.open(path)
        if (wide := browser.run("document.documentElement.scrollWidth")) > width:
            found.append(f"{path.relative_to(site)}: {wide} pixels")
    return found


def take(browser, site, target):
    """Screenshots of the pages in `SHOWN`, wide and on a phone."""
    for name, page in SHOWN.items():
        for width, height in SIZES.items():
            browser.size(width, height, phone=width < 600)
            browser.open(site / page)
            browser.wait("[...document.images].every(each => each.complete)")
            browser.screenshot(target / f"{name}-{width}.png")


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("site", type=Path)
parser.add_argument("--screenshots", type=Path, metavar="DIR")
arguments = parser.parse_args()
browser = Chromium()
try:
    if arguments.screenshots:
        take(browser, arguments.site, arguments.screenshots)
    wide = wide_pages(browser, arguments.site)
    said = f"{len(wide)} pages too wide, {len(browser.errors)} messages of the console"
    print("\n".join([*wide, *browser.errors, said]))
finally:
    browser.close()
sys.exit(bool(wide or browser.errors))
