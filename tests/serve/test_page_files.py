"""What the page's scripts read and write, compared with libraries that know the formats."""

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Thread

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright.sync_api")

from browser import chromium, faultless_page, offline_chromium
from pycocotools import mask as coco_masks

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium() is None, reason="Chromium is needed")]

HEIGHT, WIDTH = 37, 53


class _Scripts(SimpleHTTPRequestHandler):
    def guess_type(self, path):
        return "text/javascript" if str(path).endswith(".js") else super().guess_type(path)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def page() -> Iterator:
    """A page on which the scripts can be imported; it needs no model, so plain files are served."""
    folder = files("maskadapter") / "serve" / "page"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Scripts, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/icon.svg"
        with offline_chromium() as browser, faultless_page(browser, address, expected="404") as page:  # favicon.ico
            yield page
        server.shutdown()


def ids_of(seed):
    """An id map of ragged and of smooth segments, one of them with an id of more than 16 bits."""
    rng = np.random.default_rng(seed)
    ids = np.kron(rng.integers(0, 4, (HEIGHT // 6 + 1, WIDTH // 6 + 1)), np.ones((6, 6), int))[:HEIGHT, :WIDTH]
    ids[rng.random(ids.shape) < 0.1] = 70_000
    return ids


@pytest.mark.parametrize("seed", range(3))
def test_run_lengths_are_those_of_cocos_own_library(page, seed):
    ids = ids_of(seed)
    written = page.evaluate(
        """async ([ids, width, height]) => {
            const { masksOf } = await import("/run_lengths.js");
            return [...masksOf(Uint32Array.from(ids), width, height)];
        }""",
        [ids.ravel().tolist(), WIDTH, HEIGHT],
    )
    assert sorted(identity for identity, _ in written) == [1, 2, 3, 70_000]
    for identity, mask in written:
        assert (coco_masks.decode(mask).astype(bool) == (ids == identity)).all()
    encoded = coco_masks.encode(np.asfortranarray(ids == 2, np.uint8))
    assert dict(written)[2] == {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}


@pytest.mark.parametrize("form", ["compressed", "plain"])
def test_run_lengths_are_read(page, form):
    mask = ids_of(5) == 3
    encoded = coco_masks.encode(np.asfortranarray(mask, np.uint8))
    counts = encoded["counts"].decode()
    if form == "plain":
        flat = np.concatenate([[0], mask.ravel(order="F").astype(int), [1 - mask.ravel(order="F")[-1]]])
        counts = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat))])).tolist()
    painted = page.evaluate(
        """async ([mask, size]) => {
            const { paintMask } = await import("/run_lengths.js");
            const ids = new Uint32Array(size);
            paintMask(ids, mask, 9);
            return [...ids];
        }""",
        [{"size": [HEIGHT, WIDTH], "counts": counts}, HEIGHT * WIDTH],
    )
    assert (np.reshape(painted, (HEIGHT, WIDTH)) == 9 * mask).all()


@pytest.mark.parametrize(
    ("classes", "palette"), [(3, [[0, 0, 0], [9, 8, 7], [250, 1, 2], [3, 4, 255]]), (40_000, None)]
)
def test_label_maps_hold_numbers(page, classes, palette):
    values = np.random.default_rng(1).integers(0, classes + 1, (HEIGHT, WIDTH))
    written = page.evaluate(
        """async ([values, width, height, palette]) => {
            const { labelPng } = await import("/png.js");
            return [...await labelPng(Uint16Array.from(values), width, height, palette ?? undefined)];
        }""",
        [values.ravel().tolist(), WIDTH, HEIGHT, palette],
    )
    image = Image.open(io.BytesIO(bytes(written)))
    assert image.mode == ("P" if palette else "I;16")
    assert (np.asarray(image) == values).all()
    if palette:
        assert image.getpalette()[:12] == [value for color in palette for value in color]


def test_zip_files_are_sound(page):
    contents = {"a.txt": b"", "masks of a caf\u00e9.bin": bytes(range(256)) * 40}
    written = page.evaluate(
        """async (files) => {
            const { zipped } = await import("/zip.js");
            const entries = files.map(([name, bytes]) => ({ name, bytes: Uint8Array.from(bytes) }));
            return [...new Uint8Array(await zipped(entries).arrayBuffer())];
        }""",
        [[name, list(content)] for name, content in contents.items()],
    )
    with zipfile.ZipFile(io.BytesIO(bytes(written))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents


def test_names_stand_inside_their_segments(page):
    ids = np.zeros((60, 80), int)
    ids[5:25, 3:50] = 1
    ids[30:58, 60:78] = 2
    ids[40:44, 5:9] = 3
    places = page.evaluate(
        """async ([ids, width, height]) => {
            const { innermost } = await import("/overlay.js");
            return [...innermost(Uint32Array.from(ids), width, height)];
        }""",
        [ids.ravel().tolist(), 80, 60],
    )
    assert sorted(identity for identity, _ in places) == [1, 2, 3]
    for identity, place in places:
        assert ids[int(place["y"] * 60), int(place["x"] * 80)] == identity
    rooms = {identity: place["room"] for identity, place in places}
    assert rooms[1] > rooms[2] > rooms[3]
