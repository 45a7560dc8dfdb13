"""The page of `attend` in Chromium, as a reader uses it: pointer, keyboard, phone.

Every attention of the test page is known: piece i of the target looks at piece `LOOKS_AT[i]` of the
source with 0.75, and at the end with 0.25; see `weights_to`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.workflows.attend import Attended, AttendedSentence, Layer, Line, head_entropy
from translator.workflows.attention_page import write_page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is missing"),
]

DESKTOP, PHONE = (1280, 900), (360, 740)
SOURCE = ["▁The", "▁brown", "▁dog", "</s>"]
TARGET = ["▁Der", "▁Hu", "nd", "</s>"]
LOOKS_AT = [0, 2, 2, 3]
EVIL = "<img src=x onerror=document.title='run'></script>"
HEBREW = ["▁שלום", "▁עולם", "</s>"]


def weights_to(targets: list[int], num_keys: int) -> np.ndarray:
    """[T, S]: 0.75 for one key of each query, and 0.25 for the last key."""
    weights = np.zeros((len(targets), num_keys), np.float32)
    weights[np.arange(len(targets)), targets] = 0.75
    weights[:, -1] += 0.25
    return weights


def layers_of(num_source: int, looks_at: list[int]) -> list[Layer]:
    """Head 1 looks as wanted; head 2 looks at all source pieces alike. No decoder has attention."""
    cross = weights_to(looks_at, num_source)
    encoder = weights_to([0] * num_source, num_source)
    both = [("encoder", encoder), ("cross", cross)]
    layers = []
    for part, one in both:
        weights = np.stack([one, np.full_like(one, 1 / num_source)])
        layers.append(Layer(part, 0, weights, head_entropy(weights), num_source))  # type: ignore[arg-type]
    return layers


def line_of(pieces: list[str], num_pieces: int | None = None) -> Line:
    text = "".join(pieces).replace("</s>", "").replace("▁", " ").strip()
    controls = [i for i, piece in enumerate(pieces) if piece == "</s>"]
    return Line(text, pieces, controls, num_pieces or len(pieces))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sentences: an ordinary one, one with HTML, one from right to left, a long one."""
    source, target = line_of(SOURCE), line_of(TARGET)
    evil = line_of(["▁" + EVIL, "</s>"])
    hebrew = line_of(HEBREW)
    pieces = ["▁" + 8 * "Donaudampfschifffahrt", *(f"▁{i}" for i in range(59))]
    long = line_of(pieces, 1812)
    sentences = [
        AttendedSentence(source, target, layers_of(4, LOOKS_AT)),
        AttendedSentence(evil, evil, layers_of(2, [0, 1])),
        AttendedSentence(hebrew, hebrew, layers_of(3, [0, 1, 2])),
        AttendedSentence(long, long, layers_of(60, list(range(60)))),
    ]
    mixers: Any = {"encoder": "attention", "decoder": "recurrence", "cross": "attention"}
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(path, Attended("runs/x", ("en", "de"), mixers, False, False, sentences))
    return path


class Browser:
    """Chromium with a page, and what one can see in it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.prefer("light")
        self.driver.get(page.as_uri())

    def prefer(self, theme: str) -> None:
        """Choose a theme; nothing moves, so that every test sees the end of each change."""
        wanted = {"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def pieces(self, side: str) -> list[Any]:
        return self.all(f"#{side} .piece")

    def shaded(self, side: str) -> dict[int, str]:
        """The spoken names of the shaded pieces, by number."""
        named = enumerate(self.pieces(side))
        return {
            i: one.get_attribute("aria-label")
            for i, one in named
            if one.get_attribute("style").strip()
        }

    def focused(self) -> str:
        return str(self.driver.switch_to.active_element.text)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def choose(self, selector: str) -> None:
        """Click an element that may be covered or outside of the screen."""
        self.driver.execute_script("arguments[0].click()", self.find(selector))

    def choose_sentence(self, number: int) -> None:
        self.choose(f"#sentences li:nth-child({number}) button")


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def browser(driver: Any, page: Path, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The page at both sizes. After each test, the console is empty."""
    browser = Browser(driver)
    browser.open(page, request.param)
    yield browser
    assert driver.get_log("browser") == []


def test_pointing_at_a_target_piece_shades_what_it_looks_at(browser: Browser) -> None:
    browser.choose('[aria-label^="Head 1 of layer 1"]')
    browser.pieces("queries")[1].click()
    assert browser.shaded("keys") == {2: "dog, 75\u202f%", 3: "end, 25\u202f%"}
    assert browser.shaded("queries") == {}
    assert browser.find("#reading").text == "“Hu” looks at “dog” 75\u202f%, end 25\u202f%."
    assert len(browser.all("#curves path")) == 2


def test_a_source_piece_shades_who_looked_at_it(browser: Browser) -> None:
    browser.choose('[aria-label^="Head 1 of layer 1"]')
    browser.pieces("keys")[2].click()
    assert browser.shaded("queries") == {1: "Hu, 75\u202f%", 2: "nd, 75\u202f%"}
    assert browser.find("#reading").text.startswith("“dog” is looked at by “Hu”")


def test_darker_is_more(browser: Browser) -> None:
    browser.choose('[aria-label^="Head 1 of layer 1"]')
    browser.pieces("queries")[1].click()
    red = [
        browser.run(
            "return +getComputedStyle(document.querySelectorAll('#keys .piece')"
            f"[{i}]).backgroundColor.match(/\\d+/)[0]"
        )
        for i in (2, 3)
    ]
    assert red[0] < red[1] < 255


def test_a_pinned_piece_stays_until_escape(browser: Browser) -> None:
    browser.pieces("queries")[1].click()
    ActionChains(browser.driver).move_to_element(browser.pieces("queries")[0]).perform()
    assert browser.find("#reading b").text == "“Hu”"
    browser.press(Keys.ESCAPE)
    ActionChains(browser.driver).move_to_element(browser.pieces("queries")[3]).perform()
    assert browser.find("#reading b").text == "end"


def test_the_keyboard_reaches_every_word_and_pins(browser: Browser) -> None:
    browser.run("document.querySelector('#parts input').focus()")
    browser.press(Keys.TAB)
    assert browser.focused() == "The"
    browser.press(Keys.ARROW_RIGHT)
    assert browser.focused() == "brown"
    assert browser.find("#reading b").text == "“brown”"
    browser.press(Keys.TAB)
    assert browser.focused() == "Der"
    browser.press(Keys.END)
    assert browser.focused() == "end"
    browser.press(Keys.HOME, Keys.ARROW_RIGHT, Keys.ENTER)
    assert browser.pieces("queries")[1].get_attribute("aria-pressed") == "true"
    browser.press(Keys.ARROW_RIGHT)
    assert (browser.focused(), browser.find("#reading b").text) == ("nd", "“Hu”")
    browser.press(Keys.ARROW_UP)
    assert browser.focused() in ("The", "brown", "dog")
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_arrow_keys_read_the_matrix(browser: Browser) -> None:
    browser.choose('[aria-label^="Head 1 of layer 1"]')
    browser.run("document.querySelector('#canvas').focus()")
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.find("#cell").text == "“Hu” looks at “dog”: 75\u202f%"


def test_pointing_at_a_cell_names_both_pieces(browser: Browser) -> None:
    canvas, cell = browser.find("#canvas"), 40
    browser.run("document.getElementById('canvas').scrollIntoView({block: 'center'})")
    # The cells are at the right and at the bottom: column 2 of 4, row 1 of 4.
    x, y = canvas.size["width"] / 2 - 1.5 * cell, canvas.size["height"] / 2 - 2.5 * cell
    ActionChains(browser.driver).move_to_element_with_offset(canvas, int(x), int(y)).perform()
    assert browser.find("#cell").text.startswith("“Hu” looks at “dog”")


def test_heads_show_their_entropy_and_are_chosen_by_a_click(browser: Browser) -> None:
    labels = [one.get_attribute("aria-label") for one in browser.all(".head")]
    assert labels[2] == "Head 2 of layer 1: 2.00 bits"
    browser.choose('[aria-label^="Head 2 of layer 1"]')
    browser.pieces("queries")[0].click()
    assert set(browser.shaded("keys").values()) == {
        f"{name}, 25\u202f%" for name in ("The", "brown", "dog", "end")
    }


def test_a_link_of_the_list_is_shown(browser: Browser) -> None:
    browser.choose('[aria-label^="Head 1 of layer 1"]')
    assert browser.find("#links li").text.split("\n")[0] == "Hu → dog"
    browser.choose("#links button")
    assert browser.pieces("queries")[1].get_attribute("aria-pressed") == "true"
    assert browser.find("#cell").text.startswith("“Hu” looks at “dog”")


def test_encoder_and_a_decoder_without_attention(browser: Browser) -> None:
    browser.choose("input[value=encoder]")
    assert [one.text for one in browser.pieces("queries")] == ["The", "brown", "dog", "end"]
    browser.choose("input[value=decoder]")
    assert not browser.find("#words").is_displayed()
    assert "has no attention" in browser.find("#none").text
    assert "through recurrence" in browser.find("#none").text
    browser.choose("input[value=cross]")
    assert browser.find("#words").is_displayed()


def test_html_in_a_sentence_is_shown_and_not_run(browser: Browser) -> None:
    browser.choose_sentence(2)
    assert browser.pieces("keys")[0].text == EVIL
    assert browser.all("main img") == []
    assert browser.driver.title == "What the model looks at"


def test_text_from_right_to_left_is_drawn_so(browser: Browser) -> None:
    browser.choose_sentence(3)
    first, second, end = (one.rect["x"] for one in browser.pieces("keys"))
    assert first > second > end
    browser.pieces("keys")[0].click()
    browser.press(Keys.ARROW_LEFT)
    assert browser.focused() == "עולם"


def test_no_sentence_makes_the_page_scroll_sideways(browser: Browser) -> None:
    for number in (1, 2, 3, 4):
        browser.choose_sentence(number)
        wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"sentence {number}"


def test_a_long_sentence_says_how_much_is_drawn(browser: Browser) -> None:
    browser.choose_sentence(4)
    assert "The first 60 of 1,812 pieces of the source are drawn." in browser.find("#notes").text
    assert len(browser.pieces("keys")) == 60


def test_notes_say_what_is_special_about_a_model(driver: Any, tmp_path: Path) -> None:
    line = line_of(TARGET)
    mixers: Any = dict.fromkeys(("encoder", "decoder", "cross"), "attention")
    one = AttendedSentence(line, line, layers_of(4, LOOKS_AT))
    write_page(tmp_path / "p.html", Attended("runs/x", ("en", "de"), mixers, True, True, [one]))
    browser = Browser(driver)
    browser.open(tmp_path / "p.html", PHONE)
    notes = browser.find("#notes").text
    assert "weights of cross and decoder add up to 100\u202f% together" in notes
    assert "The target was given" in notes
    assert not browser.find("#sentences").is_displayed()


def test_shaded_words_are_readable_in_both_themes(driver: Any, page: Path) -> None:
    browser = Browser(driver)
    browser.open(page, DESKTOP)
    contrast = {}
    for theme in ("light", "dark"):
        browser.prefer(theme)
        browser.pieces("queries")[1].click()
        styles = browser.run(
            "return [...document.querySelectorAll('#keys .piece.text')].map((one) => ["
            "getComputedStyle(one).color, getComputedStyle(one).backgroundColor])"
        )
        contrast[theme] = min(_contrast(*one) for one in styles if "0, 0, 0, 0" not in one[1])
        browser.press(Keys.ESCAPE)
    assert min(contrast.values()) >= 4.5, contrast


def _contrast(ink: str, paper: str) -> float:
    """The ratio of WCAG 2 between two colours such as rgb(1, 2, 3)."""

    def luminance(colour: str) -> float:
        bytes_ = np.array([float(n) for n in colour[colour.index("(") + 1 : -1].split(",")[:3]])
        value = bytes_ / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    one, other = sorted((luminance(ink), luminance(paper)))
    return (other + 0.05) / (one + 0.05)
