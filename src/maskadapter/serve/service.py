"""What a service does with requests: it keeps the model's thread busy, and everything else off it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel
from starlette.requests import Request

from maskadapter.io import InputImage, panoptic_ids, read_image, read_labels
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.results import ActivationMaps, Result, Segmentation, segments_by_mode
from maskadapter.serve.client_text_cache import ClientTextCache
from maskadapter.serve.image_cache import ImageCache, content_id
from maskadapter.serve.memory_budget import MemoryBudget
from maskadapter.serve.model_worker import ModelWorker
from maskadapter.serve.refusals import Busy, Refusal
from maskadapter.serve.replies import classes_reply, png, segments_reply
from maskadapter.serve.request_body import read_fields
from maskadapter.serve.requests import (
    ClassifyRequest,
    ImageRequest,
    SegmentRequest,
    background_of,
    parsed,
    shown_name,
    vocabulary_of,
)
from maskadapter.serve.served_model import ServedModel
from maskadapter.serve.settings import Settings
from maskadapter.serve.shown_classes import with_shown
from maskadapter.types import EncodedImage
from maskadapter.vocabulary import COMPETING, Vocabulary

T = TypeVar("T")
Asked = TypeVar("Asked", bound=BaseModel)
Reply = Mapping[str, Any]
_ASIDE = 4  # threads; and of the largest images, how many may be decoded and wait to be encoded
_LONGEST_MAP = 1024  # pixels of the longer side


class Service:
    """A model that many clients ask. Everything that a network computes is done by one thread, one piece after another;
    images are decoded and replies are written by a few others. On a GPU images of one size that wait are encoded
    together."""

    def __init__(
        self,
        model: OpenVocabularySegmenter,
        served: ServedModel,
        settings: Settings,
        other: OpenVocabularySegmenter | None = None,
    ) -> None:
        self.model, self.served, self.settings = model, served, settings
        self.cache = ImageCache(settings.cache_bytes)
        self.worker = ModelWorker(settings.queue)
        self._pool = ThreadPoolExecutor(_ASIDE, thread_name_prefix="images")
        self._decoding = asyncio.Semaphore(_ASIDE)
        # Small images wait in the model's queue and nowhere else, so that all requests are answered in their order.
        self._decoded = MemoryBudget(_ASIDE * 3 * settings.max_image_pixels)
        self._waiting: dict[str, np.ndarray] = {}  # decoded images, by id
        self._admitted = 0
        model.text_cache = ClientTextCache(model.clip, model.text_cache)
        self._models = {served.pooler: model}
        if other is not None and served.other_pooler is not None:
            other.text_cache = model.text_cache
            self._models[served.other_pooler] = other

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Prepare what the first request would wait for; at the end let the work that has begun finish."""
        try:
            await asyncio.wrap_future(self.worker.submit(partial(self.model.encode_text, COMPETING)))
            yield
        finally:
            await asyncio.to_thread(self.worker.close)
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def read(self, request: Request, kind: type[Asked]) -> Asked:
        """Read and check the body of a request. Raises Refusal."""
        fields = await read_fields(request, self.settings.timeout, self.settings.max_body_bytes)
        return await self._aside(partial(parsed, kind, fields))

    async def answer(self, request: Request, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work of a request. Raises Refusal: Busy when too many are at work, 504 when it takes too long. When
        the client goes, work that has not begun is canceled."""
        if self._admitted >= self.settings.queue:
            raise Busy(self.worker.wait_seconds)
        self._admitted += 1
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await _unless_gone(request, work())
        except TimeoutError:
            raise self._too_late() from None
        finally:
            self._admitted -= 1

    async def upload(self, asked: ImageRequest) -> Reply:
        """Encode an image and keep it. Raises Refusal, 413, for one that the cache has no place for."""
        image_id = content_id(asked.image)
        size = await self._with_image(asked.image, None, lambda encoded: encoded.sizes.original)
        if self.cache.peek(image_id) is None:
            raise Refusal(413, f"the encoded image is larger than the cache of {self.cache.max_bytes / 1e6:,.0f} MB")
        return {"id": image_id, "width": size[1], "height": size[0], "file_name": shown_name(asked.file_name)}

    async def segment(self, asked: SegmentRequest) -> Reply:
        """Segment an image into classes."""
        start, most = time.monotonic(), self.settings.max_names
        vocabulary = await self._aside(partial(vocabulary_of, asked.classes, asked.things, most))
        background = await self._aside(partial(background_of, asked.background, vocabulary, most))

        def work(encoded: EncodedImage) -> tuple[Segmentation, Any]:
            classes, things = with_shown(vocabulary, asked.examples, self.cache)
            result = self.model.segment(encoded, classes, things, background)
            return result, segments_by_mode(result, asked.mode, asked.score)

        result, segments = await self._with_image(asked.image, asked.image_id, work)
        made = await self._aside(partial(segments_reply, segments, result.size, asked.output, asked.top))
        return self._reply(asked, result, made, start)

    def segment_pixels(self, pixels: np.ndarray, vocabulary: Vocabulary) -> Segmentation:
        """Segment an image (H, W, 3) uint8 that is not kept, and wait for it: for endpoints that are plain functions.
        Raises Refusal: Busy, 504."""
        future = self.worker.submit(partial(self.model.segment, InputImage(pixels, None), vocabulary))
        try:
            return future.result(self.settings.timeout)
        except TimeoutError:
            future.cancel()
            raise self._too_late() from None

    async def classify(self, asked: ClassifyRequest) -> Reply:
        """Classify masks of an image."""
        start = time.monotonic()
        vocabulary = await self._aside(partial(vocabulary_of, asked.classes, None, self.settings.max_names))
        masks = await self._aside(partial(self._masks, asked.masks))
        model = self._with_pooler(asked.pooler)

        result = await self._with_image(
            asked.image, asked.image_id, lambda encoded: model.classify(encoded, masks, vocabulary)
        )
        made = await self._aside(partial(segments_reply, result.segments, result.size, asked.output, asked.top))
        return self._reply(asked, result, made, start)

    async def map_of(self, image_id: str, proposal: int, number: int | None, pooler: str | None) -> bytes:
        """An activation map of a proposal, as a PNG in gray; the mean of its maps where ``number`` is None."""
        model = self._with_pooler(pooler)

        def work(encoded: EncodedImage) -> ActivationMaps:
            count = 0 if encoded.proposals is None else encoded.proposals.mask_logits.shape[1]
            if encoded.proposals is None or not 0 <= proposal < count:
                raise Refusal(404, f"the image has {count} proposals, from 0, and none of the number {proposal}")
            logits = encoded.proposals.mask_logits[:, proposal : proposal + 1].float()
            with torch.inference_mode():
                weights = model.pooler.weights(encoded.features, logits)[0]
            return ActivationMaps(weights.float().cpu().numpy(), encoded.sizes)

        maps = await self._with_image(None, image_id, work)
        return await self._aside(partial(_drawn, maps, number))

    def _with_pooler(self, name: str | None) -> OpenVocabularySegmenter:
        """The model with a pooler. name: None for the one that it was loaded with. Raises Refusal, 422."""
        if name is not None and name not in self._models:
            raise Refusal(422, f"pooler: {name} came, and the model that runs has {' and '.join(self._models)}")
        return self.model if name is None else self._models[name]

    def _too_late(self) -> Refusal:
        return Refusal(504, f"the work was not done within {self.settings.timeout:g} s: try again later")

    def _reply(self, asked: SegmentRequest | ClassifyRequest, result: Result, made: Reply, start: float) -> Reply:
        """A reply about segments. made: the part of it that was written aside. start: when the request came."""
        return {
            "image_id": asked.image_id or content_id(asked.image or b""),
            "width": result.size[1],
            "height": result.size[0],
            "model": self.served.name,
            "classes": classes_reply(result.vocabulary),
            "background": result.background_text if isinstance(result, Segmentation) else "none",
            "mode": asked.mode if isinstance(asked, SegmentRequest) else "masks",
            **made,
            "seconds": round(time.monotonic() - start, 4),
        }

    async def _with_image(self, content: bytes | None, image_id: str | None, work: Callable[[EncodedImage], T]) -> T:
        """Do work on the model's thread with an image: one that is kept, or a file, which is decoded aside. Raises
        Refusal, 404, for an id that is not kept; ImageError."""
        image_id = image_id or content_id(content or b"")
        encoded = self.cache.get(image_id)
        if encoded is not None:
            return await self._on_model(partial(work, encoded))
        if content is None:
            problem = "it was not sent, or others took its place"
            raise Refusal(404, f"no image {image_id:.60} is kept: {problem}; send it again")
        async with self._decoding:
            pixels = await self._aside(partial(read_image, BytesIO(content), self.settings.max_image_pixels))
            await self._decoded.take(pixels.nbytes)
        self._waiting[image_id] = pixels
        try:
            return await self._on_model(lambda: work(self._encode(image_id, pixels)))
        finally:
            self._waiting.pop(image_id, None)
            self._decoded.give_back(pixels.nbytes)

    def _encode(self, image_id: str, pixels: np.ndarray) -> EncodedImage:
        known = self.cache.peek(image_id)  # another request may have brought it while this one waited
        if known is not None:
            return known
        together = self._of_one_size(image_id, pixels)
        try:
            encoded = self.model.encode_images([InputImage(one, None) for one in together.values()])
        except torch.OutOfMemoryError:
            encoded = [self.model.encode_image(InputImage(pixels, None))]
        for each, one in zip(together, encoded, strict=False):
            self.cache.put(each, one)
        return encoded[0]

    def _of_one_size(self, image_id: str, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """The image, and as many that wait and have its size as are best encoded with it."""
        others = ((each, one) for each, one in list(self._waiting.items()) if one.shape == pixels.shape)
        new = (pair for pair in others if pair[0] != image_id and self.cache.peek(pair[0]) is None)
        return {image_id: pixels, **dict(islice(new, self.model.images_together - 1))}

    def _masks(self, given: Any) -> Any:
        """Masks as ``classify`` takes them: annotations, or the values of a label map."""
        masks = [{"segmentation": one} for one in given] if isinstance(given, list) else self._label_map(given)
        count = len(masks) if isinstance(masks, list) else len(np.setdiff1d(masks, [0]))
        if count > self.settings.max_masks:
            raise Refusal(422, f"{count:,} masks came: at most {self.settings.max_masks:,} are taken")
        return masks

    def _label_map(self, content: bytes) -> np.ndarray:
        labels = read_labels(BytesIO(content), self.settings.max_image_pixels)
        return panoptic_ids(labels) if labels.ndim == 3 else labels.astype(np.int32)

    async def _on_model(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self.worker.submit(work))

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for work, and cancel it when the client goes. Its body has been read: what comes next is that it went."""
    doing, going = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((doing, going), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise Refusal(400, "the client went before the reply was there")
        return doing.result()
    finally:
        for one in (doing, going):
            one.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _drawn(maps: ActivationMaps, number: int | None) -> bytes:
    weights = maps.weights[0]
    if number is not None and not 0 <= number < len(weights):
        raise Refusal(404, f"there is no map {number}: the model has those from 0 to {len(weights) - 1}")
    height, width = maps.sizes.original
    scale = min(1.0, _LONGEST_MAP / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    strength = maps.strength(weights.mean(axis=0) if number is None else weights[number], size)
    return png(Image.fromarray((255 * strength).round().astype(np.uint8)))
