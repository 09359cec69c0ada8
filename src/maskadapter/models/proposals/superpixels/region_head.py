"""The embedded model's generator: regions of ``models.regions``, and a small head that says what a region shows.

It says void where a region covers several things or a part of one.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.proposals.superpixels.region_tree import Tree, cut
from maskadapter.models.proposals.superpixels.regions import Merging, pool, without_padding
from maskadapter.models.sources.given_masks import INSIDE
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.proposals import Proposals

SHAPE_FEATURES = 15
# Added to the void logit of a proposal that `cut` leaves out, so that it only speaks where nothing else does, and taken
# from that of one that speaks: parts were trained to speak softly, and void would be the best class of all of them.
SILENCE, VOICE = 3.0, 6.0


def shape_features(
    tree: Tree, nodes: np.ndarray, labels: np.ndarray, areas: np.ndarray, colors: np.ndarray, embeddings: np.ndarray
) -> np.ndarray:
    """(N, SHAPE_FEATURES) numbers about size, place, outline, purity and color of nodes; all within a few units of
    zero.

    A node of one thing has leaves that agree in feature and color; one of several things has not: void needs to know.
    """
    height, width = labels.shape
    y, x = np.divmod(np.arange(labels.size), width)
    flat, count = labels.ravel(), len(areas)
    low = np.full((count, 2), np.inf)
    high = np.full((count, 2), -np.inf)
    for axis, position in enumerate((y / height, x / width)):
        np.minimum.at(low[:, axis], flat, position)
        np.maximum.at(high[:, axis], flat, position)
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9)
    rows = []
    for node in nodes:
        inside = tree.members[node]
        share = areas[inside] / areas[inside].sum()
        top, bottom = low[inside].min(0), high[inside].max(0)
        box = np.maximum(bottom - top, 1e-3)
        mean = share @ unit[inside]
        spread = np.sqrt((share[:, None] * (colors[inside] - share @ colors[inside]) ** 2).sum(0)).mean()
        rows.append(
            [
                np.log(areas[inside].sum()) / 4,
                *(top + bottom) / 2,
                *box,
                areas[inside].sum() / box.prod(),
                np.linalg.norm(mean),
                spread / 20,
                tree.cost[node] * 4,
                tree.cost[tree.parent[node]] * 4,
                float((top < 0.01).sum() + (bottom > 0.98).sum()) / 2,
                np.log(inside.sum()) / 4,
                *(share @ colors[inside] / 50),
            ]
        )
    return np.asarray(rows, np.float32)


class RegionHead(nn.Module):
    """See the module's text. ``forward`` is deterministic and runs the tree on the CPU.

    merging: see ``Merging``. split_bonus: see ``region_tree.cut``. The others: channels of CLIP's dense features, its
    embeddings' width, and the head's own.
    """

    def __init__(
        self,
        in_channels: int = 1280,
        embed_dim: int = 384,
        hidden: int = 512,
        merging: Merging | None = None,
        split_bonus: float = 0.7,
    ):
        super().__init__()
        self.merging, self.split_bonus = merging or Merging(), split_bonus
        self.norm = nn.LayerNorm(in_channels)
        self.hidden = nn.Linear(in_channels + SHAPE_FEATURES, hidden)
        self.output = nn.Linear(hidden, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))  # CLIP's ln(1 / 0.07)

    def embed(self, pooled: Tensor, shape: Tensor) -> Tensor:
        """The region head: pooled dense features (..., C), shape (..., SHAPE_FEATURES) -> embeddings (..., D)."""
        return self.output(F.gelu(self.hidden(torch.cat([self.norm(pooled), shape], -1))))

    def propose(self, image: Tensor, dense: Tensor, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One image (3, H, W) with its dense (C, h, w) and projected (D, h, w) features.

        Returns masks (N, H / stride, W / stride) bool, pooled dense features (N, C), shape (N, SHAPE_FEATURES).
        """
        found = self.merging.regions(image, projected)
        features = pool(found.labels, len(found.areas), without_padding(dense, image))
        members = found.tree.members[found.nodes] * found.areas
        pooled = features.new_tensor(members / members.sum(1, keepdims=True)) @ features
        numbers = shape_features(found.tree, found.nodes, found.labels, found.areas, found.colors, found.embeddings)
        return found.masks, pooled, features.new_tensor(numbers)

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        """images: (B, 3, H, W), normalized and padded. text: a TextClassifier over K classes.

        Returns mask_logits (B, N, H / stride, W / stride), +-10, and class_logits (B, N, K + 1), void last.
        An image with fewer nodes than another of its batch is filled up with empty masks whose class is void.
        """
        proposed = [self.propose(*one) for one in zip(images, features.dense, features.projected, strict=True)]
        count = max(len(masks) for masks, _, _ in proposed)
        mask_logits, class_logits = [], []
        for masks, pooled, shape in proposed:
            missing = count - len(masks)
            logits = text.logits(self.embed(pooled, shape)[None], self.logit_scale)[0]
            confidence = 1 - logits.detach().softmax(-1)[:, -1]
            speaks = cut(masks.flatten(1).cpu().numpy(), confidence.float().cpu().numpy(), self.split_bonus)
            shift = torch.where(torch.from_numpy(speaks), -VOICE, SILENCE).to(logits)
            logits = torch.cat([logits[:, :-1], logits[:, -1:] + shift[:, None]], -1)
            void = logits.new_full((missing, logits.shape[1]), -100.0)
            void[:, -1] = 100.0
            class_logits.append(torch.cat([logits, void]))
            mask_logits.append(F.pad((masks.to(logits) * 2 - 1), (0, 0, 0, 0, 0, missing), value=-1.0) * INSIDE)
        return Proposals(torch.stack(mask_logits), torch.stack(class_logits))
