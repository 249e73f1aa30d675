"""The page in a real browser against the real service."""

import base64
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from clothret.catalog import list_catalogs, reindex
from clothret.cli.app import run
from clothret.lake.generations import rollback
from clothret.lake.storage import open_storage
from clothret.settings import Settings

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not there"),
]

Open = Callable[..., Page]
expect.set_options(timeout=30_000)  # a machine that others use answers late, not wrong


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser, service: Any) -> Iterator[Open]:
    """Opens a path in a fresh profile; afterwards nothing may have left the host or failed."""
    faults: list[str] = []
    contexts = []

    def begin(path: str = "/", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("request", lambda request: faults.extend(_foreign(request.url)))
        page.goto(service.url + path)
        page.wait_for_selector("html[data-ready]")
        return page

    yield begin
    for context in contexts:
        context.close()
    assert faults == []


def _foreign(url: str) -> list[str]:
    parts = urlsplit(url)
    own = parts.scheme in ("blob", "data") or parts.hostname == "127.0.0.1"
    return [] if own else [f"left the host: {url}"]


def cards(page: Page) -> list[str]:
    """Garment ids of the hits, once the search has come to rest."""
    page.wait_for_selector(".hit:not(.ghost)")
    page.wait_for_selector("#grid:not([aria-busy])")
    return page.eval_on_selector_all(".hit", "cards => cards.map(card => card.dataset.garment)")


def png(pixels: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"name": "mine.png", "mimeType": "image/png", "buffer": file.getvalue()}


@pytest.fixture(scope="module")
def wall() -> dict[str, Any]:
    """A picture in which no garment is found: an even wall."""
    return png(np.full((240, 200, 3), (168, 60, 66), np.uint8))


def test_a_sample_leads_to_look_alikes_and_back(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#samples li")).to_have_count(8)
    page.locator("#samples a").first.click()
    found = cards(page)
    first = page.locator(".hit").first
    expect(first.locator(".hit-score")).to_have_text("1.00")
    assert first.locator(".digits").all_inner_texts() == ["1.00"] * 3
    assert len(found) == len(set(found)) > 5
    assert "garment=" in page.url
    expect(page.locator("#generation")).to_contain_text("generation 1")
    page.locator(".hit").nth(2).get_by_role("button", name="More like").click()
    expect(page.locator(".hit.self")).to_have_attribute("data-garment", found[2])
    page.go_back()
    expect(page.locator(".hit.self")).to_have_attribute("data-garment", found[0])
    page.go_back()
    expect(page.locator("#start")).to_be_visible()
    page.go_forward()
    assert cards(page) == found


def test_sliders_reorder_the_hits_at_once(open_page: Open, garment: str) -> None:
    page = open_page(f"/?catalog=shop&garment={garment}")
    even = cards(page)
    with page.expect_response("**/api/v1/search") as response:
        page.locator("#weight-texture").fill("0")
        page.locator("#weight-shape").fill("0")
    assert response.value.ok
    expect(page.locator("#share-color")).to_have_text("100 %")
    expect(page.locator(".hit").nth(1).locator(".row.shape")).to_have_class(re.compile("idle"))
    colored = cards(page)
    assert colored != even
    assert "texture=0" in page.url
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert cards(page) == colored
    page.locator("#weight-color").fill("0")  # the last one stays above 0
    expect(page.locator("#share-color")).to_have_text("100 %")


def test_facets_and_chips(open_page: Open, garment: str) -> None:
    page = open_page(f"/?garment={garment}")
    cards(page)
    brand = page.locator("[data-column=brand]")
    name = brand.locator(".choice-name").first.inner_text()
    with page.expect_response("**/api/v1/search"):
        brand.get_by_label(name).check()
    expect(page.locator("#chips")).to_have_text(re.compile(f"Brand: {name}"))
    cards(page)
    assert all(name in text for text in page.locator(".hit-facts").all_inner_texts())
    with page.expect_response("**/api/v1/search"):
        page.locator("[data-column=price] [data-side=to]").fill("0")
        page.locator("[data-column=price] [data-side=to]").press("Enter")
    expect(page.locator("#nothing")).to_contain_text("Nothing passes these filters")
    assert "in.price=..0" in page.url
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.locator("#chips li")).to_have_count(0)
    assert len(cards(page)) > 1


def test_expression_with_its_error_in_place(open_page: Open, garment: str) -> None:
    page = open_page(f"/?garment={garment}&where=prixe+%3C+40")
    expect(page.locator("#where-error")).to_contain_text("prixe")
    expect(page.locator("#where")).to_have_attribute("aria-invalid", "true")
    page.locator("#where").fill("price > 0 and in_stock")
    expect(page.locator("#where-error")).to_be_empty()
    assert cards(page)
    assert "sold out" not in " ".join(page.locator(".hit-facts").all_inner_texts())


def test_own_picture_outlines_and_choice(open_page: Open, photo: bytes) -> None:
    page = open_page()
    page.locator("#file").set_input_files(
        {"name": "my dress.jpg", "mimeType": "image/jpeg", "buffer": photo}
    )
    assert cards(page)
    expect(page.locator(".outline.chosen")).to_have_count(1)
    expect(page.locator("#garments input:checked")).to_have_count(1)
    expect(page.locator(".garment-score").first).to_contain_text("%")
    assert "picture=" in page.url
    page.reload()  # the picture is kept by the browser
    page.wait_for_selector("html[data-ready]")
    assert cards(page)
    page.get_by_role("button", name="Copy as").click()
    expect(page.locator("#copy-dialog")).to_contain_text("clothret query 'my dress.jpg'")
    expect(page.locator("#copy-dialog")).to_contain_text("-F 'image=@my dress.jpg'")


def test_no_garment_draw_a_box_by_hand(open_page: Open, wall: dict[str, Any]) -> None:
    page = open_page()
    page.locator("#file").set_input_files(wall)
    expect(page.locator("#nothing")).to_contain_text("No garment found")
    page.locator("#nothing").get_by_role("button", name="Draw a box").click()
    area = page.locator(".pad").bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 0.25 * area["width"], area["y"] + 0.25 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 0.8 * area["height"], steps=4)
    page.mouse.up()
    assert cards(page)
    assert re.search(r"box=\d+%2C\d+%2C\d+%2C\d+", page.url)
    expect(page.locator("rect.drawn")).to_have_count(1)


def test_no_garment_draw_a_box_by_keyboard(open_page: Open, wall: dict[str, Any]) -> None:
    page = open_page()
    page.locator("#file").set_input_files(wall)
    expect(page.locator("#nothing")).to_contain_text("No garment found")
    page.locator("#draw").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".pad")).to_be_focused()
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    assert cards(page)
    assert "box=44" in page.url  # 20 % of 200 px, one step of 4 px to the right


def _transfer(page: Page, photo: bytes) -> Any:
    script = """data => {
        const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "held.jpg", { type: "image/jpeg" }));
        return transfer;
    }"""
    return page.evaluate_handle(script, base64.b64encode(photo).decode())


def test_drop_and_paste(open_page: Open, photo: bytes) -> None:
    page = open_page()
    page.dispatch_event("body", "dragover", {"dataTransfer": _transfer(page, photo)})
    expect(page.locator("#veil")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": _transfer(page, photo)})
    assert cards(page)
    page.locator("#home").click()
    expect(page.locator("#start")).to_be_visible()
    script = "t => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: t }))"
    page.evaluate(script, _transfer(page, photo))
    assert cards(page)


def test_comparison_and_original(open_page: Open, garment: str) -> None:
    page = open_page(f"/?garment={garment}")
    found = cards(page)
    page.locator(".hit").nth(1).get_by_role("button", name="Compare").click()
    dialog = page.locator("#compare")
    expect(dialog.locator(".why-shape path")).to_have_count(2)
    expect(dialog.locator(".why-cloth img")).to_have_count(2)
    expect(dialog.locator(".why-colors ul")).to_have_count(2)
    expect(dialog.locator(".facts")).to_contain_text(found[1])
    original = dialog.get_by_role("link", name="Open original").get_attribute("href")
    assert page.request.get(page.url.partition("/?")[0] + str(original)).ok
    dialog.get_by_role("button", name="More like this").click()
    expect(page.locator(".hit.self")).to_have_attribute("data-garment", found[1])


def test_the_copied_command_gives_the_same_hits(
    open_page: Open, garment: str, shop: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    page = open_page(f"/?garment={garment}&color=0.4&in.price=10..&where=not+brand+%3D+'Birch'&k=5")
    cards(page)
    found = page.eval_on_selector_all(".hit", "all => all.map(card => card.dataset.item)")
    page.get_by_role("button", name="Copy as").click()
    command = page.locator("#copy-dialog code").first.inner_text()
    capsys.readouterr()
    assert run([*shlex.split(command)[1:], "--lake", shop.lake, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [hit["item_id"] for hit in answer["hits"]] == found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
def test_accessible_and_no_wider_than_the_screen(
    open_page: Open, garment: str, scheme: str, width: int
) -> None:
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    options["reduced_motion"] = "reduce"
    page = open_page("/", **options)
    expect(page.locator("#samples li")).to_have_count(8)
    _check(page)
    page.locator("#samples a").first.click()
    cards(page)
    if width < 900:
        page.locator("#fold").click()
    _check(page)
    page.locator(".hit").nth(1).get_by_role("button", name="Compare").click()
    expect(page.locator(".why-shape path")).to_have_count(2)
    _check(page)


def _check(page: Page) -> None:
    """No serious finding by axe-core, nothing to scroll sideways."""
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_reaches_everything(open_page: Open, garment: str) -> None:
    page = open_page(f"/?garment={garment}")
    cards(page)
    page.locator("#weight-color").focus()
    with page.expect_response("**/api/v1/search"):
        page.keyboard.press("Home")
    expect(page.locator("#share-color")).to_have_text("0 %")
    page.locator(".hit").nth(1).get_by_role("button", name="Compare").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#compare")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#compare")).to_be_hidden()


def test_states_of_failure(open_page: Open, garment: str) -> None:
    page = open_page("/?garment=0000000000000000-7")
    expect(page.locator("#banner")).to_contain_text("is not in generation")
    page = open_page(f"/?garment={garment}")
    cards(page)
    page.context.set_offline(True)
    page.locator("#weight-color").fill("0.5")
    expect(page.locator("#banner")).to_contain_text("does not answer")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.context.set_offline(False)
    page = open_page()
    file = {"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.locator("#file").set_input_files(file)
    expect(page.locator("#banner")).to_contain_text("expected a picture")


def test_the_page_links_to_the_run_that_published(
    open_page: Open, shop: Settings, service: Any
) -> None:
    """A generation published by a run brings the link along."""
    url = "http://127.0.0.1:4200/runs/flow-run/0b5702c9"
    page = open_page()
    expect(page.locator("#samples li")).to_have_count(8)
    expect(page.locator("#reindex")).to_be_hidden()
    spec = list_catalogs(open_storage(shop.lake))[0]
    items = Path(spec.items)
    before = items.read_text()
    items.write_text(before.replace("True", "False", 1))
    try:
        published = reindex(shop, "shop", run_url=url).published
        page.reload()
        page.wait_for_selector("html[data-ready]")
        expect(page.get_by_role("link", name="Last reindex")).to_have_attribute("href", url)
    finally:
        items.write_text(before)
        rollback(open_storage(shop.lake), "shop", None)
    assert published


def test_first_view_is_light(open_page: Open, service: Any) -> None:
    page = open_page()
    expect(page.locator("#samples li")).to_have_count(8)
    loaded = page.evaluate(
        """() => performance.getEntries().filter(e => 'transferSize' in e)
            .map(e => [e.name, e.decodedBodySize])"""
    )
    size = sum(size for name, size in loaded if "/image/" not in name)
    assert 20_000 < size < 200_000


def test_api_page(open_page: Open, service: Any, browser: Browser) -> None:
    page = browser.new_page()
    page.on("request", lambda request: _foreign(request.url) and pytest.fail(request.url))
    page.goto(f"{service.url}/docs")
    expect(page.locator(".operation")).to_have_count(10)
    expect(page.locator("#docs")).to_contain_text("/api/v1/search")
    page.close()
