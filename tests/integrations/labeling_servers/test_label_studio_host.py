"""Images come from the configured Label Studio alone, with its token, and within limits."""

import pytest
from label_studio import LabelStudio
from labeling_client import image_bytes

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.integrations.labeling_servers import label_studio_host
from maskadapter.integrations.labeling_servers.label_studio_host import LabelStudioHost


@pytest.fixture
def server():
    with LabelStudio() as running:
        yield running


def test_paths_and_addresses_of_the_host(server):
    server.files |= {"/data/local-files/?d=a%20b/c.png": b"1", "/data/upload/1/%C3%BC%20x.png": b"2"}
    host = LabelStudioHost(server.url + "/")
    photo = image_bytes()
    assert host.fetch("/data/upload/1/photo.png") == photo
    assert host.fetch("data/upload/1/photo.png") == photo
    assert host.fetch(f"{server.url}/data/upload/1/photo.png") == photo
    assert host.fetch("/data/local-files/?d=a%20b/c.png") == b"1"
    assert host.fetch("/data/upload/1/ü x.png") == b"2"
    assert all(authorization is None for _, _, authorization in server.asked)


def test_a_host_below_a_path(server):
    server.files["/labels/data/a.png"] = b"1"
    host = LabelStudioHost(f"{server.url}/labels")
    assert host.fetch("data/a.png") == host.fetch("/labels/data/a.png") == b"1"


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/a.png",
        "https://127.0.0.1/a.png",
        "http://127.0.0.1:1/a.png",
        "http://127.0.0.1@example.com/a.png",
        "http://user:secret@127.0.0.1/a.png",
        "//example.com/a.png",
        "s3://bucket/a.png",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.png",
        "data:image/png;base64,AAEC",
        "http://[",
        "",
        None,
        7,
        ["/data/upload/1/photo.png"],
    ],
)
def test_nothing_else_is_opened(server, address):
    with pytest.raises(ImageError) as refused:
        LabelStudioHost(server.url, "key").fetch(address)
    assert "the image" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert server.asked == []


@pytest.mark.parametrize(
    "address", ["/\\example.com/a.png", "\\\\example.com\\a.png", "/a.png\r\nHost: example.com", "/../../etc/passwd"]
)
def test_tricks_stay_on_the_host(server, address):
    with pytest.raises(ImageError, match=r"Label Studio answered 404"):
        LabelStudioHost(server.url).fetch(address)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/redirect", "answered 302 .* it points elsewhere, and redirects are not followed"),
        ("/private", "answered 401 .* set LABEL_STUDIO_API_KEY"),
        ("/gone.png", "answered 404 .* there is no image"),
        ("/cut", "was cut"),
    ],
)
def test_refusals_say_what_to_do(server, path, sentence):
    with pytest.raises(ImageError, match=sentence):
        LabelStudioHost(server.url).fetch(path)
    assert len(server.asked) == 1


def test_an_image_that_comes_too_slowly(server, monkeypatch):
    monkeypatch.setattr(label_studio_host, "_SECONDS", -1.0)
    with pytest.raises(ImageError, match="did not send the image within"):
        LabelStudioHost(server.url).fetch("/data/upload/1/photo.png")


@pytest.mark.parametrize("path", ["/silent", "/data/upload/1/photo.png"])
def test_a_host_that_says_nothing(server, monkeypatch, path):
    monkeypatch.setattr(label_studio_host, "_SILENCE", 0.2)
    key = None if path == "/silent" else "silent.bbb.ccc"
    with pytest.raises(ImageError, match=r"cannot read .*timed out"):
        LabelStudioHost(server.url, key).fetch(path)


def test_a_reply_that_is_no_http(server):
    with pytest.raises(ImageError, match="cannot read"):
        LabelStudioHost(server.url).fetch("/garbage")


def test_a_host_is_the_same_in_capitals(server):
    url = server.url.replace("127.0.0.1", "localhost")
    photo = image_bytes()
    assert LabelStudioHost(url.replace("localhost", "LOCALHOST")).fetch(f"{url}/data/upload/1/photo.png") == photo
    assert LabelStudioHost(url).fetch(f"{url.replace('localhost', 'LocalHost')}/data/upload/1/photo.png") == photo


def test_a_file_larger_than_allowed(server):
    server.files["/large"] = bytes(3_000_000)
    assert len(LabelStudioHost(server.url, max_bytes=3_000_000).fetch("/large")) == 3_000_000
    with pytest.raises(ImageError, match="more than 2,999,999 bytes"):
        LabelStudioHost(server.url, max_bytes=2_999_999).fetch("/large")


def test_a_host_that_is_not_there():
    with LabelStudio() as server:
        url = server.url
    with pytest.raises(ImageError, match="cannot read"):
        LabelStudioHost(url).fetch("/a.png")


def test_a_legacy_token_is_sent_as_it_is(server):
    LabelStudioHost(server.url, "abc123").fetch("/data/upload/1/photo.png")
    assert server.asked == [("GET", "/data/upload/1/photo.png", "Token abc123")]


def test_a_personal_access_token_is_traded_once(server):
    host = LabelStudioHost(server.url, "aaa.bbb.ccc")
    for _ in range(2):
        host.fetch("/data/upload/1/photo.png")
    assert [(method, shown) for method, _, shown in server.asked] == [
        ("POST", None),
        ("GET", "Bearer access-1"),
        ("GET", "Bearer access-1"),
    ]
    with pytest.raises(ImageError, match="answered 401"):
        LabelStudioHost(server.url, "old.old.old").fetch("/data/upload/1/photo.png")


def test_what_was_traded_is_used_for_a_while(server, monkeypatch):
    monkeypatch.setattr(label_studio_host, "_ACCESS", -1.0)
    host = LabelStudioHost(server.url, "aaa.bbb.ccc")
    for _ in range(2):
        host.fetch("/data/upload/1/photo.png")
    assert [shown for _, _, shown in server.asked] == [None, "Bearer access-1", None, "Bearer access-2"]


def test_a_trade_that_brings_nothing(server):
    for key in ("none.bbb.ccc", "text.bbb.ccc"):
        with pytest.raises(ImageError, match="did not trade the personal access token"):
            LabelStudioHost(server.url, key).fetch("/data/upload/1/photo.png")


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://me@host", "http://host/?x=1", ""])
def test_an_address_that_is_none(url):
    with pytest.raises(MaskAdapterError, match="is not the address of a Label Studio"):
        LabelStudioHost(url)
