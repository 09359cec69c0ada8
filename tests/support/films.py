"""Films of moving things, made by PyAV, and a stand-in for a segmenter that finds the things by their colors."""

import itertools
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import torch

from maskadapter.io import read_input
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary

COLORS = {"red": (210, 40, 40), "blue": (40, 40, 210)}
GROUND = (120, 140, 120)
RATE = 32_000  # samples a second, which every codec of the tests takes


def crossing(count=40, size=(64, 96), side=16):
    """A red square goes to the right, a blue one to the left, and red passes in front: frames (H, W, 3) uint8."""
    height, width = size
    for index in range(count):
        image = np.full((height, width, 3), GROUND, np.uint8)
        way = round((width - side) * index / (count - 1))
        top = height // 2 - side // 2
        image[top + 2 : top + 2 + side, width - side - way : width - way] = COLORS["blue"]
        image[top : top + side, way : way + side] = COLORS["red"]
        yield image


def write_film(
    path, frames, times=None, time_base=Fraction(1, 1000), codec="libx264", turn=None, sound=None, **options
):
    """Write frames at ``times`` (units of ``time_base``), by default 25 a second. turn: degrees for the display matrix,
    and whether it mirrors. sound: name of an audio codec."""
    frames = list(frames)
    times = times or [round(index * Fraction(1, 25) / time_base) for index in range(len(frames))]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options.pop("options", {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = options.pop("pix_fmt", "yuv420p")
        stream.codec_context.time_base = time_base
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        if turn:
            stream.set_display_rotation(turn[0], hflip=turn[1])
        audio = output.add_stream(sound, rate=RATE, layout="mono", bit_rate=64_000) if sound else None
        for image, pts in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = pts, time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio:
            tone = np.sin(np.arange(int(RATE * times[-1] * time_base)) / 3)
            kind = audio.codec_context.format.name
            samples = (tone if kind.startswith("flt") else tone * 9000).astype("f4" if kind.startswith("flt") else "i2")
            resampled = av.AudioResampler(kind, "mono", RATE, audio.codec_context.frame_size or 1024)
            block = av.AudioFrame.from_ndarray(
                samples[None], format="fltp" if samples.dtype == "f4" else "s16", layout="mono"
            )
            block.sample_rate, block.pts = RATE, 0
            for part in itertools.chain(resampled.resample(block), resampled.resample(None)):
                output.mux(audio.encode(part))
            output.mux(audio.encode(None))
    return path


def decoded(path):
    """(times in seconds, frames (H, W, 3) uint8) of a video."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
        return [float(frame.pts * frame.time_base) for frame in frames], [f.to_ndarray(format="rgb24") for f in frames]


class Colored:
    """Finds the red and the blue thing in an image, and the ground. Both things may be of one class."""

    precision = "fp32"

    def __init__(self, embeddings=True):
        self.seen, self._embeddings = 0, embeddings

    def encode_text(self, classes, things=None):
        return SimpleNamespace(vocabulary=Vocabulary.of(classes, things))

    def encode_image(self, image, masks=None):
        self.seen += 1
        embeddings = torch.tensor([[[1.0, 0.2, 0], [1.0, -0.2, 0], [0, 0, 1.0]]]) if self._embeddings else None
        return SimpleNamespace(image=read_input(image).pixels, mask_embeddings=embeddings)

    def segment(self, encoded, text, background="coco-stuff"):
        image, vocabulary = encoded.image, text.vocabulary
        palette = np.array([*COLORS.values(), GROUND], int)
        nearest = np.abs(image[:, :, None].astype(int) - palette).sum(axis=-1).argmin(axis=-1)
        logits = torch.from_numpy(np.where(nearest == np.arange(3)[:, None, None], 9.0, -9.0)).float()
        probs = torch.zeros(3, len(vocabulary) + 1)
        probs[[0, 1, 2], [0, len(vocabulary) - 2, len(vocabulary) - 1]] = 0.9
        sizes = ImageSizes(padded=image.shape[:2], resized=image.shape[:2], original=image.shape[:2])
        return Segmentation(image, vocabulary, logits, probs, sizes)
