"""The page in a real Chromium without a window: what the user sees and does there."""

import itertools
import shutil

import pytest

from facesegl.commands.report import report
from helpers.records import record_of, write_record, write_sweep
from reporting.test_sweep import JOBS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NO CHROMIUM: the page is not tested in a browser (apt-get install chromium)"
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
    """Open a page in a window of some width; console output or a network request fails the test."""
    messages, contexts = [], []

    def opened(file, width=1280, **settings):
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, offline=True, **settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: messages.extend([request.url] * request.url.startswith("http")))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert messages == []


@pytest.fixture(scope="module")
def pages(home):
    return {"run": report(home / "run"), "sweep": report(write_sweep(home / "sweep", JOBS))}


@pytest.mark.parametrize("which", ["run", "sweep"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_width_of_the_window(visit, pages, which, width):
    page = visit(pages[which], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").inner_text()


def test_every_picture_is_shown_and_has_alt_text(visit, pages):
    page = visit(pages["run"])
    assert page.locator("img").count() >= 9
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth && image.alt)")
    assert page.evaluate("[...document.querySelectorAll('svg')].every(chart => chart.getAttribute('aria-label'))")


LAYERS = ("photo", "truth", "prediction", "errors")


def opacities(page):
    """Of the four pictures of the first photo."""
    images = page.locator("figure").first.locator("img")
    return [float(images.nth(layer).evaluate("image => image.style.opacity")) for layer in range(4)]


def test_the_keyboard_moves_the_slider_from_photo_to_errors(visit, pages):
    page = visit(pages["run"])
    slider = page.locator(".slide input").first
    assert opacities(page) == [1, 1, 1, 0]
    assert slider.get_attribute("aria-valuetext") == "prediction"
    slider.focus()
    for key, visible in (("Home", 1), ("End", 4), ("ArrowLeft", 3), ("ArrowLeft", 2)):
        page.keyboard.press(key)
        assert opacities(page) == [1] * visible + [0] * (4 - visible)
        assert slider.get_attribute("aria-valuetext") == LAYERS[visible - 1]


def test_a_click_on_a_layer_moves_its_slider_and_a_button_moves_all(visit, pages):
    page = visit(pages["run"])
    values = "[...document.querySelectorAll('.slide input')].map(slider => slider.value)"
    page.locator(".ticks span", has_text="truth").first.click()
    assert opacities(page) == [1, 1, 0, 0]
    assert page.evaluate(values) == ["1", "2"]
    assert page.locator("figure").first.locator('img[aria-hidden="false"]').get_attribute("alt").endswith("its mask")
    page.get_by_role("button", name="truth").click()
    assert page.evaluate(values) == ["1", "1"]


def test_without_scripts_all_four_pictures_are_side_by_side(visit, pages):
    page = visit(pages["run"], 390, java_script_enabled=False)
    shown = page.locator("figure").first.locator("img")
    corners = {(box["x"], box["y"]) for box in (shown.nth(index).bounding_box() for index in range(4))}
    assert len(corners) == 4
    assert not page.locator(".slide input").first.is_visible()


def column(page, index):
    return page.evaluate(
        f"[...document.querySelectorAll('tbody tr')].map(row => row.cells[{index}].textContent.trim())"
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


def test_empty_cells_come_last_in_both_directions(visit, tmp_path):
    jobs = [(["a=2"], 0.2), (["a=10"], 0.4), (["a=x"], None), (["b=1"], 0.3)]
    page = visit(report(write_sweep(tmp_path / "sweep", jobs)))
    assert column(page, 0) == ["10", "", "2", "x"]
    head = page.locator("th button").first
    head.click()
    assert column(page, 0) == ["2", "10", "x", ""]
    head.click()
    assert column(page, 0) == ["x", "10", "2", ""]
    page.get_by_role("button", name="mIoU").click()
    page.get_by_role("button", name="mIoU").click()
    assert column(page, 0) == ["2", "", "10", "x"]


def test_without_a_clipboard_the_command_is_selected(visit, pages):
    page = visit(pages["run"])
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Selected").wait_for()
    assert page.evaluate("getSelection().toString()") == page.locator(".command pre").inner_text()


@pytest.mark.parametrize("which", ["run", "sweep"])
def test_the_page_has_a_heading_hierarchy_and_unique_ids(visit, pages, which):
    page = visit(pages[which])
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(head => Number(head.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert levels.count(1) == 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("document.documentElement.lang") == "en"


def test_a_wide_table_scrolls_in_a_box_that_the_keyboard_reaches(visit, pages):
    page = visit(pages["run"], 390)
    wide = "[...document.querySelectorAll('table')].map(table => table.parentElement)"
    assert page.evaluate(f"{wide}.some(box => box.scrollWidth > box.clientWidth)")
    assert page.evaluate(f"{wide}.every(box => box.tabIndex === 0 && box.getAttribute('aria-label'))")


def test_a_script_in_a_record_or_behind_a_link_does_not_run(browser, run):
    evil = "<img src=x onerror='window.evil = 1'><script>window.evil = 1</script>"
    record = record_of(run)
    write_record(run, {**record, "command": evil, "data": {**record["data"], "name": evil}})
    file = report(run)
    # and should markup ever slip through, the page's own rules stop what it would run
    smuggled = f"{evil}<a id='link' href='javascript:window.evil = 1'>x</a></main>"
    file.write_text(file.read_text().replace("</main>", smuggled))
    page = browser.new_page()
    page.goto(file.as_uri())
    page.locator("#link").click()
    assert page.evaluate("window.evil") is None
    assert page.locator(".slide input").count() == 2
    page.close()


@pytest.mark.parametrize("which", ["run", "sweep"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(visit, pages, which, scheme):
    page = visit(pages[which], color_scheme=scheme)
    low = page.evaluate(
        """() => {
            const light = (colour) => {
                const unit = colour.startsWith("color(srgb") ? 1 : 255;
                const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
                    const value = part / unit;
                    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
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
            const words = "p, td, th, dt, dd, h1, h2, h3, button, summary, pre, figcaption span, li, small, i, a, " +
                ".ruler span, .ticks span";
            const charts = [...document.querySelectorAll(".chart svg text")]
                .filter((text) => !text.closest("svg").querySelector("image"));  // words on a map are on its cells
            return [...document.querySelectorAll(words), ...charts]
                .filter((element) => element.textContent.trim())
                .map((element) => {
                    const style = getComputedStyle(element), own = element.closest("svg") ? style.fill : style.color;
                    const both = [light(own), light(behind(element))];
                    return [(Math.max(...both) + 0.05) / (Math.min(...both) + 0.05), element.textContent];
                })
                .filter(([ratio]) => !(ratio >= 4.5));
        }"""
    )
    assert low == []
