"""The page in a real Chromium without a window: what a person sees and does there."""

import shutil

import pytest

from facesegl.runs.report import report
from reporting.conftest import write_sweep
from reporting.test_sweep import JOBS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NO CHROMIUM: the page was not tried in a browser (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Open a page in a window of some width; what it says on the console, or asks the network for, fails the test."""
    said, contexts = [], []

    def opened(file, width=1280):
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, offline=True))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.extend([request.url] * request.url.startswith("http")))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(scope="module")
def pages(home):
    return {"run": report(home / "run"), "sweep": report(write_sweep(home / "sweep", JOBS))}


@pytest.mark.parametrize("which", ["run", "sweep"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_hangs_over_the_side(visit, pages, which, width):
    page = visit(pages[which], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").inner_text()


def test_every_picture_is_shown_and_described(visit, pages):
    page = visit(pages["run"])
    assert page.locator("img").count() >= 9
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth && image.alt)")
    assert page.evaluate("[...document.querySelectorAll('svg')].every(chart => chart.getAttribute('aria-label'))")


def opacities(page):
    """Of the four pictures of the first photo."""
    images = page.locator("figure").first.locator("img")
    return [float(images.nth(layer).evaluate("image => image.style.opacity")) for layer in range(4)]


def test_the_slider_leads_from_photo_to_errors_by_keyboard(visit, pages):
    page = visit(pages["run"])
    slider = page.locator(".slide input").first
    assert opacities(page) == [1, 1, 1, 0]
    assert slider.get_attribute("aria-valuetext") == "prediction"
    slider.focus()
    page.keyboard.press("Home")
    assert opacities(page) == [1, 0, 0, 0]
    assert slider.get_attribute("aria-valuetext") == "photo"
    page.keyboard.press("End")
    assert opacities(page) == [1, 1, 1, 1]
    page.keyboard.press("ArrowLeft")
    assert opacities(page)[3] == pytest.approx(0.95)


def test_one_button_sets_all_sliders(visit, pages):
    page = visit(pages["run"])
    page.get_by_role("button", name="truth").click()
    assert set(page.evaluate("[...document.querySelectorAll('.slide input')].map(slider => slider.value)")) == {"1"}


def test_without_scripts_all_four_pictures_stand_side_by_side(browser, pages):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(pages["run"].as_uri())
    shown = page.locator("figure").first.locator("img")
    places = {(box["x"], box["y"]) for box in (shown.nth(place).bounding_box() for place in range(4))}
    assert len(places) == 4
    assert not page.locator(".slide input").first.is_visible()
    context.close()


def column(page, place):
    return page.evaluate(
        f"[...document.querySelectorAll('tbody tr')].map(row => row.cells[{place}].textContent.trim())"
    )


def test_a_column_sorts_by_click_and_by_keyboard(visit, pages):
    page = visit(pages["sweep"])
    assert column(page, 0) == ["0.01", "0.001", "0.1"]
    head = page.get_by_role("button", name="optimizer.lr")
    head.click()
    assert column(page, 0) == ["0.001", "0.01", "0.1"]
    assert page.locator("th[aria-sort]").all_inner_texts() == ["optimizer.lr"]
    head.focus()
    page.keyboard.press("Enter")
    assert column(page, 0) == ["0.1", "0.01", "0.001"]
    page.get_by_role("button", name="mIoU").click()
    assert column(page, 0) == ["0.01", "0.001", "0.1"]


def test_text_has_contrast_enough(visit, pages):
    page = visit(pages["run"])
    ratios = page.evaluate(
        """() => {
            const light = (colour) => {
                const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
                    const value = part / 255;
                    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
            };
            const behind = (element) => {
                for (let at = element; at; at = at.parentElement) {
                    const colour = getComputedStyle(at).backgroundColor;
                    if (colour !== "rgba(0, 0, 0, 0)") return colour;
                }
                return "rgb(255, 255, 255)";
            };
            return [...document.querySelectorAll("p, td, th, dt, dd, h1, h2, h3, button, figcaption span, li, small")]
                .filter((element) => element.textContent.trim())
                .map((element) => {
                    const both = [light(getComputedStyle(element).color), light(behind(element))];
                    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
                });
        }"""
    )
    assert min(ratios) >= 4.5
