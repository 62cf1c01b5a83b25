"""Pages in a real browser: every test ends with no error in its console and no request but that of the file."""

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

import bftembed as bft
from bftembed.browse import write_page

PAD = 28  # of the map, as in page.html
BY_ID = "['about', 'q', 'clear'].map((id) => [id, document.getElementById(id)])"
#: What stands out of a window of 390 pixels; the row of queries is scrolled by itself.
TOO_WIDE = """[...document.querySelectorAll('main *, header *')].filter((each) => !each.closest('#chips')
    && each.getBoundingClientRect().right > 390.5).map((each) => each.outerHTML.slice(0, 80))"""
BOX = "document.getElementById('map').getBoundingClientRect()"
#: Colour of a corner of the map, read from a copy: reading the map itself again and again would be warned of.
CORNER = """(() => { const copy = document.createElement("canvas"), map = document.getElementById("map");
    const drawn = copy.getContext("2d", { willReadFrequently: true });
    drawn.drawImage(map, map.width - 3, 3, 1, 1, 0, 0, 1, 1);
    return [...drawn.getImageData(0, 0, 1, 1).data].slice(0, 3); })()"""
CHOOSE = """(() => {{ const select = document.getElementById("color");
    select.value = [...select.options].find((each) => each.text === "{}").value;
    select.dispatchEvent(new Event("change")); }})()"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Directory of the pages."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def browser(chromium):
    chromium.size(1280, 800)
    chromium.scheme("light")
    chromium.errors.clear()
    yield chromium
    assert chromium.errors == []
    assert all(url.startswith("file:") and url.endswith(".html") for url in chromium.requests)
    assert chromium.requests


@pytest.fixture
def shown(browser, genes, words, pages):
    """The page of six genes, with flags, a query and a column of labels, open and ready."""
    genes.obsm["X_umap"] = np.array([[0, 0], [1, 0], [2, 0], [9, 9], [10, 10], [0, 10]], dtype=np.float32)
    checks = pd.DataFrame({"gene": genes.obs_names[:2], "flags": ["wrong chromosome; loop", ""]})
    page = write_page(genes, pages / "genes.html", queries=["blood plasma"], encoder=words, checks=checks, facts="none")
    return opened(browser, page)


def opened(browser, page, fragment=""):
    browser.open(page, fragment)
    browser.wait("document.documentElement.dataset.ready === 'words'")
    return browser


def title(browser):
    return browser.run("document.querySelector('#detail h2').textContent")


def listed(browser, selector):
    return browser.run(f"[...document.querySelectorAll({selector!r})].map((each) => each.textContent)")


def search(browser, text):
    browser.run("document.getElementById('q').select(), document.getElementById('q').focus()")
    browser.type(text)


def test_search_by_name_with_the_keyboard(shown):
    shown.press("/")
    assert shown.run("document.activeElement.id") == "q"
    shown.type("cd3")
    assert listed(shown, "[aria-labelledby=found-names] [role=option] b") == ["CD3E", "CD3D"]
    assert shown.run("document.getElementById('q').ariaExpanded") == "true"
    shown.press("ArrowDown")
    shown.press("ArrowDown")
    active = shown.run("document.getElementById('q').getAttribute('aria-activedescendant')")
    assert shown.run(f"document.getElementById({active!r}).ariaSelected") == "true"
    shown.press("Enter")
    assert title(shown) == "CD3D"
    assert shown.run("document.activeElement.tagName") == "H2"
    assert shown.run("location.hash") == "#CD3D"
    search(shown, "oa")
    assert listed(shown, "[aria-labelledby=found-names] [role=option] b") == ["APOA1"]
    shown.press("Escape")
    assert shown.run("document.getElementById('q').value") == ""
    assert title(shown) == "CD3D"


def test_words_are_ranked_as_by_scikit_learn(shown, genes):
    texts = genes.obs["X_bft_text"].tolist()
    made = TfidfVectorizer(sublinear_tf=True)
    table = made.fit_transform(texts)
    for query in ("receptor ", "the liver ", "blood plasma "):
        search(shown, query)
        scores = (table @ made.transform([query]).T).toarray().ravel()
        having = [
            i for i, text in enumerate(texts) if all(word in made.build_analyzer()(text) for word in query.split())
        ]
        expected = [genes.obs_names[i] for i in sorted(having, key=lambda i: -scores[i])]
        assert listed(shown, "[aria-labelledby=found-texts] [role=option] b") == expected
    search(shown, "hormo")
    assert listed(shown, "[aria-labelledby=found-texts] [role=option] b") == ["INS"]
    assert listed(shown, "[aria-labelledby=found-texts] mark") == ["hormo"]
    search(shown, "zzz")
    assert "Nothing is found" in shown.run("document.getElementById('found').textContent")


def test_what_is_told_of_a_gene_and_its_neighbours(shown, genes):
    search(shown, "CD3E")
    shown.press("Enter")
    told = shown.run("document.getElementById('detail').textContent")
    assert genes.obs.loc["CD3E", "X_bft_text"] in told
    assert listed(shown, ".flags li") == ["wrong chromosome", "loop"]
    assert "words" in told
    assert "T cell" in told
    expected = bft.get.nearest(genes, "CD3E", n=10)
    assert listed(shown, ".rows b") == expected["name"].tolist()
    shown_cosines = [float(each) for each in listed(shown, ".rows .n")]
    np.testing.assert_allclose(shown_cosines, expected["similarity"], atol=6e-4)
    shown.run("document.querySelector('.rows button').click()")
    assert title(shown) == expected["name"][0] == "CD3D"
    assert listed(shown, ".flags li") == ["check of the text: nothing found"]
    shown.run("history.back()")
    shown.wait("document.querySelector('#detail h2').textContent === 'CD3E'")


def test_a_click_on_the_map(shown):
    box = shown.run("(({ left, top, width, height }) => [left, top, width, height])(MAP)".replace("MAP", BOX))
    left, top, width, height = box
    beside = shown.run("document.getElementById('key').offsetWidth")
    side = min(width - beside - 2 * PAD, height - 2 * PAD)
    middle = left + (width + beside) / 2, top + height / 2
    shown.click(middle[0] + side / 2, middle[1] - side / 2)
    assert title(shown) == "APOA1"
    shown.click(middle[0] - side / 2 + 2, middle[1] + side / 2)
    assert title(shown) == "CD3E"
    shown.call("Input.dispatchMouseEvent", type="mouseMoved", x=middle[0] - side / 2, y=middle[1] - side / 2)
    assert shown.run("document.getElementById('tip').textContent").startswith("INS")
    shown.click(*middle)
    assert title(shown) == "CD3E"


def test_colours_and_queries(shown, genes, words):
    assert shown.run("document.getElementById('color').selectedOptions[0].textContent") == "blood plasma"
    assert listed(shown, ".ends span")[0].startswith("≤")
    shown.run("document.querySelector('#chips button').click()")  # it was on
    assert shown.run("document.getElementById('color').value") == "-1"
    shown.run("document.querySelector('#chips button').click()")
    assert title(shown) == "blood plasma"
    expected = bft.get.nearest(genes, "blood plasma", encoder=words, query_type="text")
    assert listed(shown, ".rows b")[0] == expected["name"][0]
    np.testing.assert_allclose([float(each) for each in listed(shown, ".rows .n")], expected["similarity"], atol=6e-4)
    shown.run(CHOOSE.format("lineage"))
    labels = genes.obs["lineage"].value_counts(sort=False)
    assert listed(shown, "#legend button") == [*(f"{label}{n}" for label, n in labels.items()), "none1"]
    shown.run("document.querySelector('#legend button').click()")
    assert shown.run("document.querySelector('#legend button').ariaPressed") == "true"


def test_light_and_dark(shown):
    def corner():
        shown.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return sum(shown.run(CORNER))

    assert shown.run("document.documentElement.dataset.theme") == "light"
    assert corner() > 700
    shown.scheme("dark")
    shown.wait("document.documentElement.dataset.theme === 'dark'")
    assert corner() < 120
    shown.run("document.getElementById('theme').click()")
    assert corner() > 700
    shown.run("localStorage.clear()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_no_horizontal_scroll(browser, shown, scheme):
    browser.size(390, 844, phone=True)
    browser.scheme(scheme)
    for view in ("about.click()", "q.value = 'receptor', q.dispatchEvent(new Event('input'))", "clear.click()"):
        browser.run(f"(({{ about, q, clear }}) => {{ {view} }})(Object.fromEntries(IDS))".replace("IDS", BY_ID))
        assert browser.run("document.documentElement.scrollWidth") == 390
        assert browser.run(TOO_WIDE) == []
    assert browser.run("document.getElementById('map').getBoundingClientRect().height") > 200


def test_what_is_drawn_is_counted(browser, tricky, pages):
    opened(browser, write_page(tricky, pages / "counted.html", color="label <i>"))
    told = browser.run("document.getElementById('count').textContent")
    assert told.startswith("8 of 9 drugs (2 without a vector) · X_umap")
    counts = browser.run("[...document.querySelectorAll('#legend b')].map((b) => b.textContent)")
    assert sum(map(int, counts)) == 8


def test_nothing_of_a_file_is_run(browser, tricky, pages):
    opened(browser, write_page(tricky, pages / "tricky.html", title="<b>bad</b>"))
    assert browser.run("document.querySelector('h1').textContent") == "<b>bad</b>"
    names, texts = tricky.obs_names.tolist(), tricky.obs["X_bft_text"].tolist()
    for name, text in zip(names, texts, strict=True):
        if names.count(name) > 1:
            continue
        search(browser, name)
        assert name in listed(browser, "[aria-labelledby=found-names] [role=option] b")
        browser.press("Enter")
        assert title(browser) == name
        assert (text or "There is no text.") in browser.run("document.getElementById('detail').textContent")
    assert browser.run(
        "[typeof window.bad, document.querySelectorAll('#detail img, #detail script, #legend i i').length]"
    ) == ["undefined", 0]
    search(browser, "NOVECTOR")
    browser.press("Enter")
    assert "no vector" in browser.run("document.querySelector('.note').textContent")
    search(browser, "DUP")
    browser.press("ArrowDown")
    browser.press("ArrowDown")
    browser.press("Enter")
    assert "The second of two." in browser.run("document.getElementById('detail').textContent")
    assert "drugs.store" not in browser.run("document.body.textContent")


def test_one_gene_without_text(browser, genes, pages):
    one = genes[:1].copy()
    del one.obs["X_bft_text"]
    opened(browser, write_page(one, pages / "one.html", facts="none"), "#CD3E")
    assert title(browser) == "CD3E"
    assert listed(browser, ".rows li") == []
    browser.run("document.getElementById('about').click()")
    assert "not kept" in browser.run("document.querySelector('.note').textContent")
