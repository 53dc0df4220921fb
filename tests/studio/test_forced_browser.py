"""Forced colours (Windows contrast themes): what a screen tells by shades, on canvas and in gradients stays to be seen, in the person's colours."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from PIL import Image
from playwright.sync_api import expect
from sample_run import write_run

LONG = 60_000
FEWEST = 2.0  # of 1000 pixels
# What would vanish if the browser took its colours: painted canvas, gradients, bars and shapes in fixed colours.
SHOWN = {
    "live": (".mm-map canvas", "#screens [role=tab][aria-selected=true]", ".mm-dials input[type=range]", ".mm-strip .bar", ".mm-variety", ".mm-front svg", ".mm-dials .mm-schedule"),
    "setup": (".mm-setup .pc[aria-checked=true] .mini", "#mm-start", ".mm-setup .rw input[type=range]", ".mm-setup .opt:has(input:checked)"),
    "runs": (".mm-runs",),
    "compare": (".mm-compare",),
    "lesson": (".mm-lesson .onward",),
}


def luminance(colour: tuple[int, ...]) -> float:
    """WCAG 2.2, relative luminance."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour[:3]))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def marks(png: bytes) -> float:
    """Pixels, in thousandths, that stand out by 3 : 1 or more from the most frequent colour."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    found = Counter(picture.get_flattened_data())
    ground = found.most_common(1)[0][0]
    return 1000 * sum(n for colour, n in found.items() if contrast(colour, ground) >= 3) / sum(found.values())


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    write_run(runs / "cats", iterations=12)
    return server(runs, starter=lambda run, resume=False: None)


@pytest.mark.parametrize("scheme, theme", [("dark", "light"), ("light", "dark")])
def test_nothing_vanishes_in_forced_colours(studio, browser, scheme, theme):
    """Also where the studio's own theme is the opposite of the person's colours."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, forced_colors="active", color_scheme=scheme)
    context.add_init_script(f"localStorage.setItem('manymodes.theme', '{theme}')")
    page = context.new_page()
    page.goto(f"{studio.url}/?run=cats&screen=live")
    expect(page.locator(".mm-map .chip").first).to_be_visible(timeout=LONG)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(0, 0, 0)" if scheme == "dark" else "rgb(255, 255, 255)")  # the person's, not the theme's
    empty = []
    for screen, places in SHOWN.items():
        page.evaluate("name => window.manymodes.show(name)", screen)
        for place in places:
            one = page.locator(place).first
            expect(one).to_be_visible(timeout=LONG)
            page.wait_for_timeout(300)
            seen = marks(one.screenshot())
            if seen < FEWEST:
                empty.append(f"{screen}, {place}: {seen:.1f} of 1000 pixels stand out")
    assert not empty
    page.evaluate("window.manymodes.show('setup')")
    shown = page.locator("#screens [role=tab]")
    on, off = (shown.nth(n).evaluate("e => getComputedStyle(e).backgroundColor") for n in (0, 1))
    assert on != off  # which screen is shown is not told by a shade alone
    page.locator("#mm-start").focus()
    page.keyboard.press("Tab")
    ring = page.evaluate("(s => [s.outlineStyle, s.outlineWidth])(getComputedStyle(document.activeElement))")
    assert ring == ["solid", "3px"]

    # turned off while the page is open: what is on canvas takes the theme's colours at once
    page.evaluate("window.manymodes.show('live')")
    painted = "[...document.querySelectorAll('.mm-map canvas')].map((c) => c.toDataURL()).join()"
    page.wait_for_timeout(500)
    forced = page.evaluate(painted)
    page.emulate_media(forced_colors="none")
    page.wait_for_function(f"forced => {painted} !== forced", arg=forced, timeout=LONG)
    context.close()
