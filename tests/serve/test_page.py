"""The page of ``maskadapter serve`` in a browser whose network is cut: from the photo to the zip."""

import io
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

from browser import chromium, faultless_page, offline_chromium, running_server
from playwright.sync_api import expect
from pycocotools import mask as coco_masks

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium() is None, reason="Chromium is needed")]

CLASSES = "cat, sofa|couch, wall"
AXE = os.environ.get("MASKADAPTER_AXE")  # axe.min.js of the npm package axe-core
IMAGE = os.environ.get("MASKADAPTER_PAGE_IMAGE")  # where a screenshot of the page goes, such as docs/images/page.png
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def address():
    with running_server() as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with offline_chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    with faultless_page(browser, address) as page:
        yield page


@pytest.fixture(scope="module")
def cat():
    from skimage.data import chelsea

    return chelsea()


@pytest.fixture(scope="module")
def photo(cat, tmp_path_factory) -> Path:
    """A photo that the camera held upside down: stored on its head, to be shown and segmented upright."""
    path = tmp_path_factory.mktemp("photos") / "my cat.jpg"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(cat[::-1, ::-1]).save(path, exif=exif)
    return path


def answered(page, action, path="segment"):
    """Do something that asks the server, and wait until the page shows the answer, which is returned."""
    with page.expect_response(f"**/v1/{path}") as caught:
        action()
    expect(page.locator("#busy")).to_be_hidden()
    expect(page.locator("#status")).to_have_text(re.compile(r" s$"))
    return caught.value.json()


def find(page, classes):
    page.fill("#classes", classes)
    return answered(page, lambda: page.press("#classes", "Enter"))


def open_photo(page, photo, classes=CLASSES):
    page.fill("#classes", classes)
    return answered(page, lambda: page.set_input_files("#file", photo))


def click_on_cat(page):
    box = page.locator("#overlay").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"])


def downloaded(page):
    with page.expect_download() as caught:
        page.click("#download")
    archive = zipfile.ZipFile(caught.value.path())
    assert archive.testzip() is None
    read = {name: archive.read(name) for name in archive.namelist()}
    return read, json.loads(read["coco.json"]), caught.value.suggested_filename


def test_from_a_photo_to_its_masks(page, photo, cat):
    reply = open_photo(page, photo)
    height, width = cat.shape[:2]
    assert (reply["width"], reply["height"]) == (width, height)
    assert "cat" in {segment["name"] for segment in reply["segments"]}
    assert page.locator(".segment").count() == len(reply["segments"])

    page.locator("#overlay").hover()
    expect(page.locator("#tip")).to_have_text(re.compile(r"^cat · \d+ %$"))

    files, coco, name = downloaded(page)
    assert name == "my cat-masks.zip"
    assert sorted(files) == ["coco.json", "labels.png", "overlay.png"]
    overlay = np.asarray(Image.open(io.BytesIO(files["overlay.png"])).convert("RGB"))
    assert overlay.shape == cat.shape
    labels = np.asarray(Image.open(io.BytesIO(files["labels.png"])))
    assert labels.shape == (height, width)
    assert [category["name"] for category in coco["categories"]] == ["cat", "sofa", "wall"]
    assert coco["images"] == [{"id": 1, "file_name": "my cat.jpg", "height": height, "width": width}]
    painted = np.zeros((height, width), np.uint8)
    for annotation in coco["annotations"]:
        mask = coco_masks.decode(annotation["segmentation"]).astype(bool)
        assert mask.sum() == annotation["area"] == coco_masks.area(annotation["segmentation"])
        left, top, wide, high = annotation["bbox"]
        assert mask[top : top + high, left : left + wide].sum() == annotation["area"]
        painted[mask] = annotation["category_id"]
    assert (painted == labels).all()
    assert labels[int(0.6 * height), width // 2] == 1  # the cat is where it is in the upright photo


def test_a_click_shows_five_classes_and_where_they_were_read(page, photo):
    reply = open_photo(page, photo)
    with page.expect_response("**/maps*") as caught:
        click_on_cat(page)
    assert caught.value.status == 200
    expect(page.locator("#detail-title")).to_have_text("cat")
    assert page.locator("#best li").count() == 5
    best = next(segment for segment in reply["segments"] if segment["name"] == "cat")["classes"]
    assert page.locator("#best .name").all_inner_texts() == [entry["name"] for entry in best]
    expect(page.locator("#map")).to_be_visible()
    expect(page.locator(".segment[aria-pressed=true]")).to_have_count(1)
    expect(page.locator("#announcement")).to_contain_text("Selected: cat")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()


def test_adapter_and_pooling_side_by_side(page, photo):
    open_photo(page, photo)
    click_on_cat(page)
    columns = page.locator("#comparison section")
    expect(columns).to_have_count(0)
    page.click("#compare")
    expect(columns).to_have_count(2)
    assert columns.locator("h3").all_inner_texts() == ["Mask-Adapter", "Mask pooling"]
    for place in range(2):
        assert columns.nth(place).locator("li").count() == 3  # these classes alone: nothing competes
        expect(columns.nth(place).locator("li .name").first).to_have_text("cat")
    maps = [canvas.evaluate("one => one.toDataURL()") for canvas in columns.locator("canvas").all()]
    assert len(set(maps)) == 2
    page.keyboard.press("Escape")
    click_on_cat(page)  # it stays open
    expect(columns).to_have_count(2)
    page.click("#compare")
    expect(columns).to_have_count(0)


def test_other_classes_do_not_send_the_photo_again(page, photo):
    sent = []
    page.on("request", lambda request: sent.append(request.url.rpartition("/")[2]))
    first = open_photo(page, photo)
    second = find(page, "dog, furniture")
    assert second["image_id"] == first["image_id"]
    assert [entry["name"] for entry in second["classes"]] == ["dog", "furniture"]
    page.select_option("#lists", "pascal-voc-20")
    expect(page.locator("#classes")).to_have_value("pascal-voc-20")
    expect(page.locator("#absent")).to_contain_text("aeroplane")
    assert (sent.count("images"), sent.count("segment")) == (1, 3)


@pytest.mark.parametrize("mode", ["semantic", "instances"])
def test_other_kinds_of_result(page, photo, mode):
    open_photo(page, photo)
    reply = answered(page, lambda: page.check(f"input[value={mode}]", force=True))
    assert reply["mode"] == mode
    assert page.locator(".segment").count() == len(reply["segments"]) > 0
    click_on_cat(page)
    expect(page.locator("#detail-title")).to_have_text("cat")
    _, coco, _ = downloaded(page)
    assert sorted(one["area"] for one in coco["annotations"]) == sorted(one["area"] for one in reply["segments"])
    for one in coco["annotations"]:
        assert coco_masks.area(one["segmentation"]) == one["area"]


def test_a_class_that_is_switched_off_is_neither_clicked_nor_downloaded(page, photo):
    open_photo(page, photo)
    page.get_by_label("Show cat").uncheck()
    click_on_cat(page)
    expect(page.locator("#detail")).to_be_hidden()
    files, coco, _ = downloaded(page)
    assert all(one["category_id"] != 1 for one in coco["annotations"])
    assert not (np.asarray(Image.open(io.BytesIO(files["labels.png"]))) == 1).any()


def test_opacity_and_names_change_the_overlay(page, photo):
    open_photo(page, photo)
    looks = set()
    for _ in range(2):
        page.wait_for_timeout(100)
        looks.add(page.locator("#frame").screenshot())
        page.fill("#opacity", "10")
    page.wait_for_timeout(100)
    looks.add(page.locator("#frame").screenshot())
    page.uncheck("#names")
    page.wait_for_timeout(100)
    looks.add(page.locator("#frame").screenshot())
    assert len(looks) == 3


def test_masks_of_ones_own(page, photo, cat, tmp_path):
    open_photo(page, photo)
    labels = np.zeros(cat.shape[:2], np.uint8)
    labels[100:250, 150:300] = 1
    labels[:40, :60] = 2
    Image.fromarray(labels).save(tmp_path / "mine.png")
    reply = answered(page, lambda: page.set_input_files("#masks-file", tmp_path / "mine.png"), "classify")
    assert sorted(one["area"] for one in reply["segments"]) == [40 * 60, 150 * 150]
    assert page.locator(".segment").count() == 2
    expect(page.locator("#masks-chip")).to_contain_text("mine.png")
    answered(page, lambda: page.click("#masks-chip button"))
    expect(page.locator("#masks-chip li")).to_have_count(0)


def test_a_segment_is_sent_as_an_example_of_a_class(page, photo, cat):
    """Whether or not this server takes examples: it does not get to see them."""
    examples = []

    def without_examples(route):
        asked = route.request.post_data_json
        examples.append(asked.pop("examples", []))
        route.continue_(post_data=json.dumps(asked))

    fields = {"components": {"schemas": {"Asked": {"properties": {"examples": {"type": "array"}}}}}}
    page.route("**/openapi.json", lambda route: route.fulfill(json=fields))
    page.route("**/v1/segment", without_examples)
    page.reload()
    page.wait_for_selector(".example")
    reply = open_photo(page, photo)
    click_on_cat(page)
    page.fill("#teach-name", "gizmo")
    answered(page, lambda: page.press("#teach-name", "Enter"))
    expect(page.locator("#exemplars")).to_contain_text("gizmo · 1 example")
    [example] = examples[-1]
    assert (example["name"], example["image_id"]) == ("gizmo", reply["image_id"])
    mask = coco_masks.decode(example["mask"])
    assert mask.shape == cat.shape[:2]
    assert mask.sum() in {segment["area"] for segment in reply["segments"] if segment["name"] == "cat"}
    page.get_by_label("Forget gizmo").click()
    expect(page.locator("#exemplars")).to_be_hidden()
    expect(page.locator("#busy")).to_be_hidden()
    assert examples[-1] == []


def test_a_class_by_example_is_found_in_the_next_photo(page, photo):
    page.wait_for_load_state("networkidle")
    open_photo(page, photo, "sofa, wall")
    if "hidden" in page.locator("#teach").evaluate("form => form.getAttributeNames()"):
        pytest.skip("this server takes no examples")
    find(page, CLASSES)
    click_on_cat(page)
    page.fill("#teach-name", "gizmo")
    taught = answered(page, lambda: page.press("#teach-name", "Enter"))
    assert "gizmo" in {entry["name"] for entry in taught["classes"]}
    expect(page.locator("#exemplars")).to_contain_text("gizmo")
    page.fill("#classes", "sofa, wall")
    again = answered(page, lambda: page.set_input_files("#file", photo))
    assert "gizmo" in {segment["name"] for segment in again["segments"]}


def test_example_photos_and_their_classes(page):
    reply = answered(page, page.locator(".example").first.click)
    assert len(reply["segments"]) > 0
    assert page.input_value("#classes") != ""


def test_a_photo_is_dropped_or_pasted(page, photo):
    page.fill("#classes", CLASSES)
    bytes_of_photo = list(photo.read_bytes())
    make = """(bytes) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "given.jpg", { type: "image/jpeg" }));
    """
    drop = make + "window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, cancelable: true })); }"
    paste = make + "window.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, cancelable: true })); }"
    for way in (drop, paste):
        answered(page, lambda way=way: page.evaluate(way, bytes_of_photo))
    expect(page.locator("#overlay")).to_have_attribute("aria-label", re.compile("given.jpg"))


def test_everything_is_reached_by_keyboard(page, photo):
    focused = "document.activeElement.id || document.activeElement.classList[0]"

    def tab_to(name):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(focused) == name:
                return
        raise AssertionError(f"{name} is not reached by Tab")

    tab_to("choose")
    tab_to("example")
    answered(page, lambda: page.keyboard.press("Enter"))
    tab_to("download")
    tab_to("classes")
    page.keyboard.press("Control+A")
    page.keyboard.type("cat, wall")
    answered(page, lambda: page.keyboard.press("Enter"))
    tab_to("segment")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    tab_to("close-detail")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_hidden()
    assert page.evaluate(focused) == "segment"


def test_a_phone(browser, address, photo):
    with faultless_page(browser, address, **PHONE) as page:
        open_photo(page, photo)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.evaluate("scrollTo(0, 0)")
        box = page.locator("#overlay").bounding_box()
        page.touchscreen.tap(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"])
        expect(page.locator("#detail-title")).to_have_text("cat")
        sheet = page.locator("#detail").bounding_box()
        assert sheet["x"] >= 0
        assert sheet["x"] + sheet["width"] <= 390
        assert box["y"] + 0.6 * box["height"] < sheet["y"], "the sheet covers what was clicked"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_the_server_refuses_is_one_line(browser, address, photo, tmp_path):
    with faultless_page(browser, address, expected="Failed to load resource") as page:
        open_photo(page, photo)
        Image.fromarray(np.ones((10, 10), np.uint8)).save(tmp_path / "small.png")
        page.set_input_files("#masks-file", tmp_path / "small.png")
        expect(page.get_by_role("alert")).to_be_visible()
        assert len(page.get_by_role("alert").inner_text().splitlines()) == 1
        expect(page.locator("#busy")).to_be_hidden()


def test_a_file_that_is_no_photo_is_refused(page, tmp_path):
    (tmp_path / "notes.jpg").write_text("nothing to see")
    page.set_input_files("#file", tmp_path / "notes.jpg")
    expect(page.get_by_role("alert")).to_contain_text("notes.jpg cannot be read")


def test_a_photo_that_the_server_has_forgotten_is_sent_again(browser, address, photo):
    with faultless_page(browser, address, expected="404") as page:
        uploads = []
        page.on("request", lambda request: request.url.endswith("/v1/images") and uploads.append(request))
        forgotten = {"status": 404, "json": {"error": "no such image"}}
        page.route("**/v1/segment", lambda route: route.fulfill(**forgotten), times=1)
        page.fill("#classes", CLASSES)
        page.set_input_files("#file", photo)
        expect(page.locator(".segment").first).to_be_visible()
        assert len(uploads) == 2


def test_a_token_is_asked_for(browser, photo):
    with running_server("--token", "sesame") as address, faultless_page(browser, address, expected="401") as page:
        page.fill("#token-field", "wrong")
        page.press("#token-field", "Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        page.fill("#token-field", "sesame")
        page.press("#token-field", "Enter")
        expect(page.locator("#token")).to_be_hidden()
        expect(page.locator("#model-name")).to_have_text("tiny")
        assert open_photo(page, photo)["segments"]


def test_the_model_says_what_it_is(page):
    expect(page.locator("#model-name")).to_have_text("tiny")
    page.click("#model summary")
    expect(page.locator("#model-advice")).to_contain_text("fcclip-large")


@pytest.mark.skipif(AXE is None, reason="MASKADAPTER_AXE names axe.min.js")
@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_axe_finds_no_serious_fault(browser, address, photo, look):
    def faults():
        page.wait_for_timeout(300)  # until what moves stands still
        page.evaluate(Path(AXE).read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")["violations"]
        return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]

    with faultless_page(browser, address, **look) as page:
        page.wait_for_selector(".example")
        assert faults() == []
        open_photo(page, photo)
        page.locator(".segment").first.click()
        expect(page.locator("#map")).to_be_visible()
        page.click("#model summary")
        assert faults() == []


@pytest.mark.skipif(IMAGE is None, reason="MASKADAPTER_PAGE_IMAGE names a file for a screenshot")
def test_screenshot(page):
    answered(page, page.locator(".example").first.click)
    page.locator(".segment").first.click()
    expect(page.locator("#map")).to_be_visible()
    page.wait_for_timeout(300)
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(256).save(IMAGE, optimize=True)
