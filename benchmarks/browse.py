"""How large the page of an embedding is, and how soon it can be searched in a headless Chromium.

bftembed embed --all-genes human -o genes.h5ad
python benchmarks/browse.py genes.h5ad --query 'interferon response' --query 'ion channel' -o browse.json

A page that is there is measured with `--page page.html` in place of the file; `--pictures docs IFIT3 interferon` draws
a gene of it (browse.png), and a search on a phone (browse_phone.png).
"""

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from pathlib import Path

from chromium import Chromium

READY = "document.documentElement.dataset.ready"
MARK = "performance.getEntriesByName('{} can be searched')[0].startTime"
#: Median and worst milliseconds of a search, from the text in the field to the list of what was found.
SEARCHES = """(() => {{
  const q = document.getElementById("q"), took = [];
  for (const text of {}) {{
    const before = performance.now();
    q.value = text; q.dispatchEvent(new Event("input"));
    took.push(performance.now() - before);
  }}
  q.value = ""; q.dispatchEvent(new Event("input"));
  return took;
}})()"""
#: Milliseconds from frame to frame while the map is moved in every frame.
FRAMES = """new Promise((done) => {
  const map = document.getElementById("map"), took = [];
  let last = performance.now(), left = 61;
  const frame = (now) => {
    took.push(performance.now() - last); last = performance.now();
    if (!left--) { done(took.slice(1)); return; }
    map.dispatchEvent(new KeyboardEvent("keydown", { key: left % 2 ? "ArrowLeft" : "ArrowRight" }));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})"""
TEXTS = ["t", "tp", "tp53", "interferon", "interferon response", "zinc finger", "liver plasma protein", "the of and"]


def main():
    """Measure, print and keep."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("file", nargs="?", help="AnnData with an embedding")
    asked.add_argument("--page", type=Path, help="a page that is there")
    asked.add_argument("--keep", type=Path, help="where to keep the page that is made")
    asked.add_argument("--query", action="append", default=[])
    asked.add_argument("--layout")
    asked.add_argument("--runs", type=int, default=5)
    asked.add_argument("--pictures", nargs=3, metavar=("DIRECTORY", "NAME", "TEXT"))
    asked.add_argument("-o", "--output", type=Path)
    given = asked.parse_args()
    if bool(given.file) == bool(given.page):
        asked.error("give a file or --page")
    with tempfile.TemporaryDirectory() as directory:
        page, found = given.page, {"load of this machine before": os.getloadavg()[0]}
        if page is None:
            page = given.keep or Path(directory) / "page.html"
            found |= made(given, page)
        found |= sizes(page) | timed(page, given.runs)
        if given.pictures:
            pictures(page, *given.pictures)
    for name, value in found.items():
        print(f"{name:45} {value:,.2f}" if isinstance(value, float) else f"{name:45} {value}")
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n")


def made(given, page):
    """Seconds to make the page; imports are not counted, what is read, placed and compared is."""
    import bftembed as bft

    begin, cpu = time.perf_counter(), time.process_time()
    bft.browse.write_page(given.file, page, queries=given.query, layout=given.layout)
    return {"seconds to make it": time.perf_counter() - begin, "CPU seconds to make it": time.process_time() - cpu}


def sizes(page):
    """Megabytes of the page and of its parts."""
    text = page.read_text(encoding="utf-8")
    parts = {name: re.search(f'id="packed-{name}">([^<]*)<', text)[1] for name in ("map", "texts")}
    return {"MB of the page": page.stat().st_size / 1e6} | {f"MB of the {n}": len(t) / 1e6 for n, t in parts.items()}


def timed(page, runs):
    """Medians over fresh loads: seconds until the page can be searched, milliseconds of a search and of a frame."""
    browser = Chromium()
    names, words, searches, frames, busy = [], [], [], [], []
    try:
        browser.size(1280, 800)
        browser.call("Performance.enable", timeDomain="threadTicks")
        for _ in range(runs):
            browser.open(page)
            browser.wait(f"{READY} === 'words'")
            names.append(browser.run(MARK.format("names")) / 1000)
            words.append(browser.run(MARK.format("words")) / 1000)
            searches.append(browser.run(SEARCHES.format(json.dumps(TEXTS))))
            before = main_thread(browser)
            frames.append(browser.run(FRAMES))
            busy.append(1000 * (main_thread(browser) - before) / len(frames[-1]))
        n = browser.run("document.getElementById('count').textContent")
        if browser.errors:
            raise RuntimeError(browser.errors)
    finally:
        browser.close()
    flat = [each for run in frames for each in run]
    by_text = {f"ms to search {text!r}": statistics.median(run[i] for run in searches) for i, text in enumerate(TEXTS)}
    return {
        "page": n,
        "seconds until names can be searched": statistics.median(names),
        "seconds until words can be searched": statistics.median(words),
        **by_text,
        "CPU ms of the main thread for a frame": statistics.median(busy),
        "ms of a frame, median": statistics.median(flat),
        "ms of a frame, 95th percentile": sorted(flat)[int(0.95 * len(flat))],
    }


def pictures(page, directory, name, text):
    """PNG files: the page with a gene that is chosen, and a search on a phone whose system is dark."""
    browser = Chromium()
    try:
        browser.size(1280, 800)
        browser.open(page, f"#{name}")
        browser.wait(f"{READY} === 'words'")
        browser.screenshot(Path(directory) / "browse.png")
        browser.size(390, 844, ratio=1.2, phone=True)
        browser.scheme("dark")
        browser.run("document.getElementById('q').focus()")
        browser.type(text)
        browser.screenshot(Path(directory) / "browse_phone.png")
    finally:
        browser.close()


def main_thread(browser):
    """Seconds of CPU time of the tasks of the page."""
    found = {each["name"]: each["value"] for each in browser.call("Performance.getMetrics")["metrics"]}
    return found["TaskDuration"]


if __name__ == "__main__":
    main()
