"""The page as a user has it: by mouse, by keyboard, by touch and on a phone, in headless Chromium."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.slow

RGB = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


class User:
    """Somebody with the page before them."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.set_window_size(1200, 800)
        browser.get(url)
        self.wait(lambda: self.all("#samples [data-name]"))

    def run(self, script, *arguments):
        return self.browser.execute_script(f"return {script}", *arguments)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.one(selector).text

    def wait(self, condition):
        return WebDriverWait(self.browser, 30, poll_frequency=0.05).until(lambda _: condition())

    def wait_for(self, state):
        self.wait(lambda: self.state == state)

    @property
    def state(self):
        return self.run("document.body.dataset.state")

    @property
    def cut(self):
        """Percent of the picture's width that shows the input."""
        return round(
            float(self.run("document.querySelector('.pictures').style.getPropertyValue('--cut')")[:-1]), 3
        )

    @property
    def zoom(self):
        return int(self.text("#percent").removesuffix(" %"))

    def press(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def upload(self, path):
        self.one("#file").send_keys(str(path))

    def restore(self, path, task="denoise_50"):
        self.upload(path)
        self.wait_for("chosen")
        self.one(f"label:has([value={task}])").click()
        self.one("#restore").click()
        self.wait_for("done")


@pytest.fixture
def user(browser, page):
    return User(browser, page.url)


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "my photo.png")
    return tmp_path / "my photo.png"


def test_upload_restore_and_download(user, photo, browser):
    assert not user.one("#restore").is_enabled()
    user.restore(photo, "sr_x2")
    assert user.text("#chosen") == "my photo.png, 80 \N{MULTIPLICATION SIGN} 60"
    assert user.text("#done").startswith("160 \N{MULTIPLICATION SIGN} 120 in ")
    assert not user.one("#scores").is_displayed()
    assert user.text("#before-tag") == "Before, bicubic"
    user.one("#download").click()
    file = browser.downloads / "my photo_sr_x2.png"
    user.wait(file.exists)
    with Image.open(file) as image:
        np.testing.assert_array_equal(np.asarray(image), RGB.repeat(2, axis=0).repeat(2, axis=1))


def test_a_sample_is_degraded_and_measured(user, model):
    model.patch_size = 100
    user.one("[data-name=windmill]").click()
    user.wait(lambda: "windmill" in user.text("#chosen"))
    assert (
        user.text(".choice:has(:checked)")
        == "First add noise of \N{GREEK SMALL LETTER SIGMA} 50, and measure"
    )
    user.one("#restore").click()
    user.wait_for("done")
    rows = [row.text.split() for row in user.all("#scores tbody tr")]
    assert [row[0] for row in rows] == ["PSNR-Y", "PSNR-RGB"]
    assert all(10 < float(row[1]) < 25 and row[1] == row[2] and row[3] == "+0.00" for row in rows)


def test_a_task_that_cannot_degrade_does_not_offer_it(user):
    user.one("label:has([value=descratch])").click()
    assert not user.one("[name=degrade][value=true]").is_enabled()


def test_the_line_follows_the_mouse(user, photo):
    user.restore(photo)
    assert user.cut == 50
    view = user.one("#view")
    width = view.size["width"]
    picture = user.one(".before").size["width"]
    ActionChains(user.browser).move_to_element(view).click_and_hold().move_by_offset(
        picture // 4, 0
    ).release().perform()
    assert user.cut == pytest.approx(75, abs=1)
    ActionChains(user.browser).move_to_element_with_offset(view, -width // 2 + 1, 0).click().perform()
    assert user.cut == 0


def test_everything_is_done_by_keyboard(user, photo):
    user.upload(photo)
    user.wait_for("chosen")
    user.run("document.querySelector('#tasks input:checked').focus()")
    user.press(Keys.ARROW_LEFT)
    assert user.one("[value=sr_x2]").is_selected()
    user.press(Keys.TAB, Keys.TAB, Keys.ENTER)
    user.wait_for("done")
    user.wait(lambda: user.browser.switch_to.active_element == user.one(".slider"))
    user.press(Keys.ARROW_RIGHT)
    assert user.cut == 51
    user.press(Keys.HOME)
    assert user.cut == 0
    user.press(Keys.END)
    assert user.cut == 100
    fitted = user.zoom
    user.press("+")
    assert user.zoom == round(1.25 * fitted)
    user.press("0")
    assert user.zoom == fitted


def test_zoom_by_wheel_keeps_what_is_under_the_mouse_and_dragging_moves_it(user, photo):
    user.restore(photo)
    view, fitted = user.one("#view"), user.zoom
    at = "document.querySelector('.pictures').getBoundingClientRect()"
    middle = f"({at}.left + {at}.width / 2)"
    before = user.run(middle)
    ActionChains(user.browser).move_to_element(view).perform()
    user.run(
        "document.querySelector('#view').dispatchEvent(new WheelEvent('wheel', {deltaY: -800, cancelable: true,"
        " clientX: arguments[0].left + arguments[0].width / 2, clientY: arguments[0].top + 50}))",
        user.run("document.querySelector('#view').getBoundingClientRect().toJSON()"),
    )
    assert user.zoom > 2 * fitted
    assert user.run(middle) == pytest.approx(before, abs=1)
    drag = ActionChains(user.browser).move_to_element_with_offset(view, 150, 0).click_and_hold()
    drag.move_by_offset(-70, 0).release().perform()
    assert user.run(middle) == pytest.approx(before - 70, abs=1)
    user.one("#fit").click()
    assert user.zoom == fitted


def test_progress_is_of_tiles_and_the_work_can_be_cancelled(user, photo, model):
    model.open.clear()
    user.upload(photo)
    user.wait_for("chosen")
    user.one("#restore").click()
    user.wait(lambda: user.run("document.querySelector('#bar').max") == 20)
    assert user.one(".tiles").is_displayed()
    assert user.text("#progress") == "Starting …"
    user.one("#cancel").click()
    user.wait_for("chosen")
    assert user.text("#error") == ""
    model.open.set()
    user.one("#restore").click()
    user.wait_for("done")
    assert not user.one(".tiles").is_displayed()


def test_who_waits_is_told(user, photo, model, page):
    model.open.clear()
    held = page.restore(photo.read_bytes())
    assert model.began.wait(60)
    user.upload(photo)
    user.wait_for("chosen")
    user.one("#restore").click()
    user.wait(lambda: user.text("#progress") == "Waiting for another picture …")
    model.open.set()
    user.wait_for("done")
    held.close()


def test_what_is_no_picture_is_refused_and_the_photograph_stays(user, photo, tmp_path):
    (tmp_path / "notes.txt").write_text("these are notes")
    user.restore(photo)
    user.upload(tmp_path / "notes.txt")
    user.wait(lambda: user.text("#error").startswith("notes.txt is not a picture"))
    assert user.state == "done"
    assert user.text("#chosen").startswith("my photo.png")


def test_what_is_too_large_is_refused_when_it_is_chosen(user, tmp_path):
    Image.fromarray(np.zeros((400, 400, 3), np.uint8)).save(tmp_path / "large.png")
    user.upload(tmp_path / "large.png")
    user.wait(lambda: user.text("#error").startswith("large.png has 0.16 megapixels (400 x 400)"))
    assert user.state == "empty"


def test_a_kind_that_the_browser_cannot_show_is_restored(user, tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.tif")
    user.upload(tmp_path / "a.tif")
    user.wait(lambda: user.one(".plain").is_displayed())
    user.one("#restore").click()
    user.wait_for("done")
    assert not user.one(".plain").is_displayed()
    assert user.one(".after").is_displayed()


def test_a_server_that_is_gone_is_noticed(user, photo, page):
    user.upload(photo)
    user.wait_for("chosen")
    page.stop()
    user.one("#restore").click()
    user.wait(lambda: user.text("#error") == "The server does not answer. Is `ipt demo` still running?")
    assert user.state == "chosen"


@pytest.fixture
def phone(user):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 3, "mobile": True}
    user.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    yield user
    user.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_phone_shows_the_result_without_scrolling_sideways(phone, photo):
    assert phone.run("document.documentElement.scrollWidth") == 390
    phone.restore(photo)
    assert phone.run("document.documentElement.scrollWidth") == 390
    order = [phone.one(selector).location["y"] for selector in ("#stage", "#tools", "#download", "#samples")]
    assert order == sorted(order)
    small = [
        each.text or each.get_attribute("id")
        for each in phone.all("button, a")
        if 0 < each.size["height"] < 36
    ]
    assert small == []


def test_two_fingers_zoom_on_a_phone(phone, photo):
    phone.restore(photo)
    fitted = phone.zoom
    box = phone.run("document.querySelector('#view').getBoundingClientRect().toJSON()")
    x, y = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2

    def touch(kind, *distances):
        points = [{"x": x + d, "y": y, "id": i} for i, d in enumerate(distances)]
        phone.browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -30)
    touch("touchStart", -30, 30)
    touch("touchMove", -60, 60)
    touch("touchEnd")
    assert phone.zoom == pytest.approx(2 * fitted, rel=0.05)


@pytest.mark.parametrize(("scheme", "lightness"), [("light", 255), ("dark", 0)])
def test_the_page_follows_the_systems_colours(user, scheme, lightness):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    user.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    colour = user.run("getComputedStyle(document.body).backgroundColor")
    red = int(colour.removeprefix("rgb(").split(",")[0])
    assert abs(red - lightness) < 40


def test_everything_the_browser_fetched_was_from_here(user, photo, page):
    user.browser.get_log("browser")  # what was there before is of other tests
    user.restore(photo)
    fetched = user.run("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len(fetched) > 10
    assert all(url.startswith((page.url, f"blob:{page.url}")) for url in fetched)
    assert user.browser.get_log("browser") == []
