"""The client of a service: results of a model on another machine, in the local results' types."""

import base64
import io
import json
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from maskadapter.errors import MaskAdapterError
from maskadapter.io import decode_segmentation, encode_mask, read_image, read_input, read_masks
from maskadapter.system.error_text import first_line
from maskadapter.types import CompactMask, ImageSizes
from maskadapter.vocabulary import BACKGROUND, Vocabulary, builtin_names, competing_classes

if TYPE_CHECKING:
    from maskadapter.results import Classification, ResultSegment, Segmentation

_TOP = 20  # classes that are asked for with each segment of a segmentation
_NOTHING = "(nothing)"


@dataclass(frozen=True, eq=False)
class SentImage:
    """An image that a service has encoded. id: the service's. pixels: (H, W, 3) uint8 RGB, upright. content: its file,
    to send it again when others took its place there."""

    id: str
    pixels: np.ndarray = field(repr=False)
    file_name: str
    content: bytes = field(repr=False)


class Client:
    """Asks a service that ``maskadapter serve`` started, as one asks a model that was loaded here.

    url: such as "http://127.0.0.1:8000", without a path, or with that at which a proxy serves it. token: the service's.
    timeout: seconds for one request, with the waiting when the service is busy. Its methods may be called by several
    threads. They raise MaskAdapterError, one line: no service there, or what it refused and why."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 120.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise MaskAdapterError(f"'{url}' is not the address of a service: http://HOST:PORT is needed")
        self.url, self.timeout = url.rstrip("/"), timeout
        self._parts, self._path = parts, parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def encode_image(self, image: Any) -> SentImage:
        """Send an image, which the service encodes once; ``segment`` and ``classify`` take what this returns.

        image: whatever ``read_image`` takes; a file is sent as it is."""
        if isinstance(image, SentImage):
            return image
        pixels, file_name = read_input(image)
        if isinstance(image, str | Path):
            content = Path(image).expanduser().read_bytes()
            pixels = read_image(io.BytesIO(content))  # of the bytes that are sent, whatever became of the file
        else:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG", compress_level=1)
            content = file.getvalue()
        return SentImage(self._send(content, file_name), pixels, file_name or "image.png", content)

    def segment(
        self,
        image: Any,
        classes: Any,
        things: Iterable[str] | None = None,
        background: Any = BACKGROUND,
        score: float = 0.0,
    ) -> "Segmentation":
        """Segment an image into the given classes. Arguments as of a model's ``segment``; files of classes are read
        here. score: 0 to 1, the least of a segment.

        The segments of the result are those of ``panoptic()``, and all of it follows from them: ``semantic()`` is the
        class of each pixel's segment. Of each segment the 20 most probable classes are known."""
        import torch

        from maskadapter.results import Segmentation

        sent, vocabulary = self.encode_image(image), Vocabulary.of(classes, things)
        others = competing_classes(vocabulary, background)
        asked: dict[str, Any] = {
            "classes": _named(vocabulary),
            "background": "none" if others is None else _named(others),
            "score": score,
            "top": _TOP,
        }
        if things is not None:
            asked["things"] = [name for name, thing in zip(vocabulary.names, vocabulary.is_thing, strict=True) if thing]
        reply = self._ask_of("/v1/segment", sent, asked)
        found = {one["name"] for segment in reply["segments"] for one in segment["classes"]}
        background_names = tuple(sorted(found - set(vocabulary.names) - {_NOTHING}))
        segments = _segments(reply, sent, (*vocabulary.names, *background_names, _NOTHING))
        size = (sent.pixels.shape[0], sent.pixels.shape[1])
        return Segmentation(
            sent.pixels,
            vocabulary,
            torch.zeros(0, 1, 1),
            torch.zeros(0, len(vocabulary) + len(background_names) + 1),
            ImageSizes(size, size, size),
            background_names,
            file_name=sent.file_name,
            background_list=reply["background"] if reply["background"] in builtin_names() else None,
            fixed=segments,
        )

    def classify(self, image: Any, masks: Any, classes: Any) -> "Classification":
        """Classify masks of an image. masks: whatever ``mask_parts`` takes, as of a model's ``classify``."""
        from maskadapter.results import Classification

        sent, vocabulary = self.encode_image(image), Vocabulary.of(classes)
        size = (sent.pixels.shape[0], sent.pixels.shape[1])
        given = [encode_mask(mask) for mask in read_masks(masks, size, sent.file_name)]
        asked = {"classes": _named(vocabulary), "masks": given, "top": len(vocabulary)}
        reply = self._ask_of("/v1/classify", sent, asked)
        return Classification(sent.pixels, vocabulary, _segments(reply, sent, vocabulary.names), sent.file_name)

    def _ask_of(self, path: str, sent: SentImage, asked: Mapping[str, Any]) -> Any:
        status, reply = self._ask(path, {"image_id": sent.id, **asked})
        if status == 404:  # others took its place in the cache
            status, reply = self._ask(path, {"image_id": self._send(sent.content, sent.file_name), **asked})
        return self._checked(status, reply)

    def _send(self, content: bytes, file_name: str | None) -> str:
        encoded = base64.b64encode(content).decode("ascii")
        image_id: str = self._checked(*self._ask("/v1/images", {"image": encoded, "file_name": file_name}))["id"]
        return image_id

    def _checked(self, status: int, reply: Any) -> Any:
        if status >= 300:
            said = reply.get("error") if isinstance(reply, dict) else None
            reason = said or "it is not a service of maskadapter"
            raise MaskAdapterError(f"{self.url} refused with status {status}: {reason}")
        return reply

    def _ask(self, path: str, asked: Mapping[str, Any]) -> tuple[int, Any]:
        """The status and the content of the reply; while the service is busy, and there is time, asks again."""
        body, end = json.dumps(asked).encode(), time.monotonic() + self.timeout
        while True:
            status, wait, content = self._once(path, body)
            if status != 429 or time.monotonic() + wait > end:
                break
            time.sleep(wait)
        try:
            return status, json.loads(content)
        except ValueError:
            return max(status, 300), None

    def _once(self, path: str, body: bytes) -> tuple[int, float, bytes]:
        host, port = self._parts.hostname or "", self._parts.port
        connection = HTTPConnection(host, port, timeout=self.timeout)
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            connection = HTTPSConnection(host, port, timeout=self.timeout, context=context)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # of a body that is refused before its end
                connection.request("POST", self._path + path, body, self._headers)
            response = connection.getresponse()
            wait = response.headers.get("Retry-After", "1")
            return response.status, float(wait) if wait.isdigit() else 1.0, response.read()
        except (OSError, HTTPException) as error:
            reason = first_line(error)
            raise MaskAdapterError(f"no reply from {self.url} ({reason}): does a service run there?") from None
        finally:
            connection.close()


def _named(vocabulary: Vocabulary) -> str | list[list[str]]:
    return vocabulary.name or [list(synonyms) for synonyms in vocabulary.classes]


def _segments(reply: Mapping[str, Any], sent: SentImage, names: tuple[str, ...]) -> "tuple[ResultSegment, ...]":
    """The segments of a reply. names: what the columns of their probabilities stand for."""
    from maskadapter.results import ResultSegment

    size, columns = (sent.pixels.shape[0], sent.pixels.shape[1]), dict[str, int]()
    for column, name in enumerate(names):
        columns.setdefault(name, column)
    segments = []
    for one in reply["segments"]:
        mask = CompactMask.of(decode_segmentation(one["mask"], size))
        probs = np.zeros(len(names), np.float32) if mask.area else np.full(len(names), np.nan, np.float32)
        for known in one["classes"]:
            probs[columns[known["name"]]] = known["probability"]
        score = float("nan") if one["score"] is None else one["score"]
        facts = (one["id"], one["label"], one["name"], one["is_thing"], score, mask, one["proposal"], probs, names)
        segments.append(ResultSegment(*facts))
    return tuple(segments)
