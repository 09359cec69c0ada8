"""A small CLIP: a ConvNeXt of stride 8 and a text encoder that sums words, trained on images and captions alone."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models.mask_adapter import ConvNeXtBlock
from maskadapter.types.encoded_image import ClipFeatures

STRIDE = 8


class SmallClip(nn.Module):
    """Both encoders end in a space of ``embed_dim`` dimensions. It stands where the package's ``Clip`` stands.

    The image's embedding is the projection of the mean over all feature locations, as in CLIP's ConvNeXt; no loss acts
    on a single location. A phrase is the sum of its words through an MLP, a caption the mean of its phrases: words are
    bound to each other within a phrase, and the order of phrases does not matter.

    Args:
        words: all words; others (articles) are ignored. channels: C. blocks: of 7x7; five see 248 pixels across.
    """

    def __init__(self, words: Sequence[str], channels: int = 64, blocks: int = 5, embed_dim: int = 96) -> None:
        super().__init__()
        self.words = {word: number for number, word in enumerate(words)}
        self.embed_dim = embed_dim
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels // 2, kernel_size=4, stride=4),
            nn.GELU(),
            nn.Conv2d(channels // 2, channels, kernel_size=2, stride=2),
        )
        self.blocks = nn.Sequential(*(ConvNeXtBlock(channels) for _ in range(blocks)))
        for block in self.blocks:
            nn.init.constant_(block.gamma, 0.3)  # 1e-6 is for much deeper networks and longer trainings
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, embed_dim, bias=False)
        self.word_embedding = nn.Embedding(len(words), 128)
        self.phrase = nn.Sequential(nn.Linear(128, 256), nn.GELU(), nn.Linear(256, embed_dim, bias=False))
        self.logit_scale = nn.Parameter(torch.tensor(10.0).log())

    def encode_image(self, images: Tensor) -> ClipFeatures:
        """images: (B, 3, H, W), normalized. Dense features, and each location projected as CLIP projects their mean."""
        dense = self._dense(images)
        projected = self.project(dense.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return ClipFeatures({}, dense, projected)

    def project(self, vectors: Tensor) -> Tensor:
        """(..., C) -> (..., D), not normalized."""
        return self.head(self.norm(vectors))

    def encode_whole(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), normalized -> (B, D), unit vectors."""
        return F.normalize(self.project(self._dense(images).mean(dim=(2, 3))), dim=-1)

    def encode_text(self, names: Sequence[str]) -> Tensor:
        """(n, D), unit vectors."""
        return F.normalize(self._phrases(names), dim=-1)

    def encode_captions(self, captions: Sequence[str]) -> Tensor:
        """(n, D), unit vectors. Phrases are parted by commas."""
        parts = [caption.split(", ") for caption in captions]
        encoded = self._phrases([phrase for part in parts for phrase in part])
        means = [phrases.mean(dim=0) for phrases in encoded.split([len(part) for part in parts])]
        return F.normalize(torch.stack(means), dim=-1)

    def _dense(self, images: Tensor) -> Tensor:
        return self.blocks(self.stem(images.contiguous(memory_format=torch.channels_last)))

    def _phrases(self, phrases: Sequence[str]) -> Tensor:
        numbers = [[self.words[word] for word in phrase.split() if word in self.words] for phrase in phrases]
        starts = torch.tensor([0, *map(len, numbers[:-1])]).cumsum(0)
        flat = torch.tensor([number for phrase in numbers for number in phrase])
        return self.phrase(F.embedding_bag(flat, self.word_embedding.weight, starts, mode="sum"))


def normalized(images: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 -> float, about -2 to 2."""
    return images.float().sub(127.5).div(60)


def contrastive_loss(images: Tensor, captions: Tensor, logit_scale: Tensor) -> Tensor:
    """Source: Radford et al. 2021, figure 3."""
    logits = logit_scale.exp().clamp(max=100.0) * images @ captions.T
    which = torch.arange(len(logits))
    return (F.cross_entropy(logits, which) + F.cross_entropy(logits.T, which)) / 2
