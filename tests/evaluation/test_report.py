"""The report is one folder that works offline, by mouse and by keyboard."""

import json
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from urllib.parse import unquote
from urllib.request import Request, urlopen

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


class Browser:
    """As much of the WebDriver protocol as a slider needs."""

    ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

    def __init__(self, address, arguments):
        self._base = f"{address}/session"
        options = {"goog:chromeOptions": {"args": arguments}}
        self._base += "/" + self._send("", {"capabilities": {"alwaysMatch": options}})["sessionId"]

    def _send(self, path, body=None, method="POST"):
        data = None if method == "DELETE" else json.dumps(body or {}).encode()
        request = Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self._send("/url", {"url": url})

    def run(self, script):
        return self._send("/execute/sync", {"script": script, "args": []})

    def press(self, key):
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._send("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def close(self):
        self._send("", method="DELETE")


@pytest.fixture
def browser(tmp_path):
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if not (driver and chromium):
        pytest.skip("chromium and chromedriver are not installed")
    log = tmp_path / "driver.log"
    with log.open("w") as file:
        process = subprocess.Popen([driver, "--port=0"], stdout=file, stderr=subprocess.STDOUT)
    try:
        port = _port(log)
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        opened = Browser(f"http://127.0.0.1:{port}", [*arguments, f"--user-data-dir={tmp_path / 'profile'}"])
        yield opened
        opened.close()
    finally:
        process.terminate()
        process.wait()


def _port(log, patience=60):
    for _ in range(10 * patience):
        if match := re.search(r"started successfully on port (\d+)", log.read_text()):
            return match[1]
        time.sleep(0.1)
    raise TimeoutError(f"chromedriver did not start: {log.read_text()}")


@pytest.mark.slow
def test_a_slider_follows_the_keyboard_in_a_browser(report, browser):
    browser.open((report / "report.html").as_uri())
    assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    place = "getComputedStyle(document.querySelector('.before')).clipPath"
    focused = "document.activeElement === document.querySelector('.compare input')"
    assert browser.run(f"return {place}") == "inset(0px 50% 0px 0px)"
    browser.press("\ue004")  # Tab
    assert browser.run(f"return {focused}")
    browser.press("\ue014")  # arrow right: more of the baseline on the left
    assert browser.run(f"return {place}") == "inset(0px 49% 0px 0px)"
    browser.press("\ue011")  # Home: the restored picture alone
    assert browser.run(f"return {place}") == "inset(0px 100% 0px 0px)"
    browser.press("\ue010")  # End: the baseline alone
    assert browser.run(f"return {place}") in ("inset(0px)", "inset(0px 0% 0px 0px)")
