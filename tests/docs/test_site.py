"""The documentation site has every page, every public name, and nothing from elsewhere."""

import importlib
import re
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

import maskadapter as ma

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def tool(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools" / "documentation"))
        return importlib.import_module(name)


api_page, pages, make_site = tool("api_page"), tool("pages"), tool("make_site")
NAVIGATION = [page for _, _, page in make_site.titles(CONFIG["nav"])]


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """The folder of what the site is built of, and its pages."""
    folder = tmp_path_factory.mktemp("pages")
    return folder, pages.lay_out(ROOT, folder)


def test_the_navigation_has_every_guide_once(laid_out):
    _, found = laid_out
    guides = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert len(NAVIGATION) == len(set(NAVIGATION))
    assert guides - set(NAVIGATION) == set()
    assert set(NAVIGATION) - {page.as_posix() for page in found} == set()


def test_every_link_of_the_pages_leads_to_a_file_beside_them(laid_out):
    folder, found = laid_out
    lost = [
        f"{page}: {link}"
        for page in found
        for link in pages.links((folder / page).read_text(encoding="utf-8"))
        if not (folder / page).parent.joinpath(link).is_file()
    ]
    assert lost == []


def test_links_are_moved_and_code_is_left_alone(tmp_path):
    for name, text in {
        "README.md": "# Here",
        "docs/a.md": "[b](deep/b.md#x) [r](../README.md) [c](../code.py) [w](https://example.org)\n\n```\n[](c.md)\n```\n",
        "docs/deep/b.md": "[a](../a.md) [n](../../notes/)",
        "notes/README.md": "[a](../docs/a.md) [l](../LICENSE) [h](../.hidden/x.yml)",
        ".hidden/x.yml": "",
        "code.py": "",
        "LICENSE": "",
    }.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = pages.lay_out(tmp_path / "root", tmp_path / "out")
    assert [page.as_posix() for page in found] == ["a.md", "deep/b.md", "notes/README.md"]
    texts = {page.as_posix(): (tmp_path / "out" / page).read_text() for page in found}
    assert texts["a.md"] == (
        "[b](deep/b.md#x) [r](index.md) [c](code.py) [w](https://example.org)\n\n```\n[](c.md)\n```\n"
    )
    assert texts["deep/b.md"] == "[a](../a.md) [n](../notes/README.md)"
    assert texts["notes/README.md"] == "[a](../a.md) [l](../LICENSE.txt) [h](../hidden/x.yml)"
    assert (tmp_path / "out" / "code.py").is_file()


def test_a_link_that_leads_nowhere_is_refused(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("[b](b.md)")
    with pytest.raises(FileNotFoundError, match=r"docs/a.md links to b.md"):
        pages.lay_out(tmp_path, tmp_path / "out")


def test_the_reference_lists_every_public_name():
    listed = api_page.names((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    assert sorted([*listed, "__version__"]) == ma.__all__


def test_the_reference_has_signatures_parameters_and_methods():
    text = api_page.written_out("- `load`\n\n- `EncodedImage`\n\n- `Segmentation`\n\n- `MaskAdapterError`\n")
    assert "### load\n\n```python\nload(\n    name: str | Path | ModelSource | None = None,\n    *,\n" in text
    assert "    device: str | device = 'cpu',\n" in text
    assert "\n- **prune_proposals**: " in text
    assert "\n- **mask_embeddings**: (1, N, D)" in text
    assert "#### Segmentation.semantic\n" in text
    assert "self" not in re.findall(r"```python\n(.+?)```", text, re.DOTALL)[-1]
    assert "``" not in text.replace("```", "")


def test_numbers_link_to_their_results():
    without = [
        f"{path.name}: {name}"
        for path in (ROOT / "docs").rglob("*.md")
        for part in re.split(r"^```.*?^```$", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for name in re.findall(r"(?<!\[)`(results/[^`*<]+\.\w+)`", part)
    ]
    assert without == []


def test_llms_txt_lists_every_page_with_a_sentence(laid_out):
    text = make_site.llms_text(CONFIG, laid_out[0])
    assert text.startswith("# maskadapter\n\n> Open-vocabulary segmentation")
    entries = re.findall(r"^- \[[^]]+\]\(([^)]+)\): (.+)$", text, re.MULTILINE)
    assert [page for page, _ in entries] == NAVIGATION
    assert all(len(sentence.split()) > 2 and "](" not in sentence for _, sentence in entries)


@pytest.mark.parametrize(
    "text",
    [
        '<script defer src="https://example.org/a.js"></script>',
        "<img alt=x src=//example.org/a.png>",
        '<link rel="stylesheet" href="https://example.org/a.css">',
        "@import 'https://example.org/a.css';",
        "@font-face { src: url(https://example.org/a.woff2) }",
    ],
)
def test_what_a_page_would_fetch_from_elsewhere_is_found(text):
    assert len(make_site.fetched_from_elsewhere(text)) == 1


def test_links_to_elsewhere_are_no_fetches():
    text = '<a href="https://example.org">x</a> <link rel="canonical" href="https://example.org"> <script src="a.js">'
    assert make_site.fetched_from_elsewhere(text) == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Write nothing."""


@pytest.mark.slow
def test_the_site_builds_and_asks_nobody_else_for_anything(tmp_path):
    pytest.importorskip("zensical")
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    built = subprocess.run(
        [sys.executable, ROOT / "tools" / "documentation" / "make_site.py"], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    site = ROOT / "build" / "site"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    requested, problems = [], []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        for name in NAVIGATION:
            page.goto(home + Path(name).with_suffix(".html").as_posix().replace("README", "index"))
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        browser.close()
    server.shutdown()
    assert len(requested) > len(NAVIGATION)
    assert [url for url in requested if not url.startswith((home, "data:", "blob:"))] == []
    assert problems == []
