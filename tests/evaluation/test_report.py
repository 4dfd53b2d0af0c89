"""The report is one folder that works offline, by mouse and by keyboard."""

from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from PIL import Image

from ipt_tf.evaluation import benchmarks
from ipt_tf.evaluation.report import write_report


class Page(HTMLParser):
    """Collects the elements of a page as (tag, attributes)."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def report(identity, bench, tmp_path):
    (bench / "Set5" / "HR" / "a.png").rename(bench / "Set5" / "HR" / "a & b #1.png")
    (bench / "Set5" / "LR_bicubic" / "X2" / "ax2.png").rename(
        bench / "Set5" / "LR_bicubic" / "X2" / "a & b #1x2.png"
    )
    write_report(benchmarks.evaluate(identity, bench), tmp_path / "new" / "report")
    return tmp_path / "new" / "report"


def test_there_is_one_png_per_set_and_task(report):
    assert sorted(path.name for path in report.iterdir()) == [
        "CBSD68_denoise_50.png",
        "Mine_denoise_50.png",
        "Mine_sr_x2.png",
        "Rain100L_derain.png",
        "Set5_sr_x2.png",
        "pictures",
        "report.html",
    ]


def test_the_page_needs_nothing_but_its_folder(report):
    text = (report / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    links = [element["src"] for element in page.all("img")] + [element["href"] for element in page.all("a")]
    assert len(links) == 2 * 9 + 2 * 5  # before and after of nine pictures; five figures, each linked
    for link in links:
        with Image.open(report / unquote(link)) as picture:
            picture.load()
    assert "http" not in text
    assert not page.all("link")


def test_every_slider_has_a_label_and_every_picture_a_description(report):
    page = Page((report / "report.html").read_text(encoding="utf-8"))
    sliders = page.all("input")
    assert len(sliders) == 9
    assert all(slider["type"] == "range" and slider["aria-label"] for slider in sliders)
    assert all(picture["alt"] for picture in page.all("img"))


def test_the_page_has_the_scores_and_their_conditions(report):
    text = (report / "report.html").read_text(encoding="utf-8")
    assert "Table 1. Super-resolution" in text
    assert "sha256" in text
    assert "largest gain" in text


def test_a_report_is_written_again_over_itself(identity, bench, report):
    before = sorted(report.rglob("*"))
    write_report(benchmarks.evaluate(identity.for_task("derain"), bench), report)
    assert sorted(report.rglob("*")) == before


@pytest.mark.slow
def test_a_slider_follows_the_keyboard_in_a_browser(report, browser):
    from selenium.webdriver import ActionChains, Keys

    def press(key):
        ActionChains(browser).send_keys(key).perform()

    def place():
        return browser.execute_script("return getComputedStyle(document.querySelector('.before')).clipPath")

    browser.get((report / "report.html").as_uri())
    loaded = "return [...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert browser.execute_script(loaded)
    assert place() == "inset(0px 50% 0px 0px)"
    press(Keys.TAB)
    assert browser.switch_to.active_element == browser.find_element("css selector", ".compare input")
    press(Keys.ARROW_RIGHT)  # more of the baseline on the left
    assert place() == "inset(0px 49% 0px 0px)"
    press(Keys.HOME)  # the restored picture alone
    assert place() == "inset(0px 100% 0px 0px)"
    press(Keys.END)  # the baseline alone
    assert place() in ("inset(0px)", "inset(0px 0% 0px 0px)")
