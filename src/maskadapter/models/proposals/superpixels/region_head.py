"""The embedded model's proposal head: nested regions of superpixels, a small network that embeds what is in them, and
another that tells by their shape whether a region is one thing, or several, or a part."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.proposals.superpixels.boundary_head import BoundaryHead
from maskadapter.models.proposals.superpixels.pieces import pool, without_padding
from maskadapter.models.proposals.superpixels.regions import Merging, NestedRegions, cut
from maskadapter.types import INSIDE, ClipFeatures, ImageBatch, Proposals, Size

SHAPE_FEATURES = 24
SHAPE_HIDDEN = 64  # width of the network that tells things from parts and mixtures
HIDDEN = 768  # width of the network between features and embeddings, as in the embedded CLIP's projection
# ``cut`` chooses among nested proposals. The objectness of one left out is lowered, so that it wins only where no other
# proposal does; that of a chosen one is raised: parts were trained with low scores, and void would win all of them.
# Chosen on training photos: results/embedded-model/settings.json
LEFT_OUT, CHOSEN = 1.5, 4.0
EMPTY = -100.0  # objectness of an empty mask


def shape_features(found: NestedRegions) -> np.ndarray:
    """Describe nodes by size, place, outline, purity and color: (N, SHAPE_FEATURES), within a few units of zero. The
    leaves of a node of one thing agree in feature and color, those of several things do not: this separates void."""
    tree, labels, areas, colors = found.tree, found.pieces.labels, found.pieces.areas, found.pieces.colors
    low, high = np.full((len(areas), 2), np.inf), np.full((len(areas), 2), -np.inf)
    for axis, place in enumerate(np.divmod(np.arange(labels.size), labels.shape[1])):
        np.minimum.at(low[:, axis], labels.ravel(), place / labels.shape[axis])
        np.maximum.at(high[:, axis], labels.ravel(), place / labels.shape[axis])
    embeddings = found.pieces.embeddings
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9)
    rows = []
    for node in found.nodes:
        inside, parent = tree.members[node], tree.parent[node]
        total, count = areas[inside].sum(), inside.sum()
        share, lab = areas[inside] / total, colors[inside]
        top, bottom = low[inside].min(0), high[inside].max(0)
        box = np.maximum(bottom - top, 1e-3)
        purity = np.linalg.norm(share @ unit[inside])
        spread = np.sqrt((share[:, None] * (lab - share @ lab) ** 2).sum(0)).mean()
        at_border = float((top < 0.01).sum() + (bottom > 0.98).sum())
        outline = [np.log(total) / 4, *(top + bottom) / 2, *box, total / box.prod()]
        merging = [tree.cost[node] * 4, tree.cost[parent] * 4, at_border / 2, np.log(count) / 4]
        boundaries = [*tree.outline[node, 1:], *tree.inner[node], *tree.inner[parent], tree.strongest[node]]
        raggedness = np.log(tree.outline[node, 0] / np.sqrt(total * labels.size) + 0.1)
        share_of_parent = total / (tree.members[parent] @ areas)
        rows.append(
            [*outline, purity, spread / 20, *merging, *(share @ lab / 50), *boundaries, raggedness, share_of_parent]
        )
    return np.asarray(rows, np.float32)


class RegionHead(nn.Module):
    """Propose nested regions of superpixels and embed them for classification. The tree is built on the CPU.
    stage_dims: channels of CLIP's stages by name. in_channels: C of its dense features. embed_dim: D of its embeddings.
    ``merging`` may be set."""

    fixed_number = False

    def __init__(self, stage_dims: Mapping[str, int], in_channels: int, embed_dim: int) -> None:
        super().__init__()
        # Edges of masks follow the image; one that covers everything would hide what it is made of.
        self.merging = Merging(stride=1, largest=0.95)
        self.boundaries = BoundaryHead(stage_dims)
        self.hidden = nn.Linear(in_channels, HIDDEN)
        self.output = nn.Linear(HIDDEN, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))  # CLIP's ln(1 / 0.07)
        self.objectness = nn.Sequential(nn.Linear(SHAPE_FEATURES, SHAPE_HIDDEN), nn.GELU(), nn.Linear(SHAPE_HIDDEN, 1))

    def embed(self, pooled: Tensor) -> Tensor:
        """Class embeddings (..., D) of regions, from their pooled dense features (..., C)."""
        return self.output(F.gelu(self.hidden(pooled)))

    def propose(
        self, image: np.ndarray, padded: Size, boundaries: Tensor, dense: Tensor, projected: Tensor
    ) -> tuple[NestedRegions, Tensor, Tensor]:
        """Propose N regions of one image, with pooled dense features (N, C) and shape (N, SHAPE_FEATURES).

        image: (h, w, 3) uint8 RGB at the input's size. padded: (H, W) of the input, which boundaries
        (2, H / stride, W / stride), 0 to 1, dense (C, h', w') and projected (D, h', w') features cover."""
        resized = (image.shape[0], image.shape[1])
        rows, columns = (-(-side // self.merging.stride) for side in resized)
        limits = boundaries[:, :rows, :columns].float().cpu().numpy()
        guide = without_padding(projected, resized, padded)
        found = self.merging.regions(image, guide, limits)
        areas = found.pieces.areas
        features = pool(found.pieces.labels, len(areas), without_padding(dense, resized, padded))
        members = found.tree.members[found.nodes] * areas
        shares, shape = members / members.sum(1, keepdims=True), shape_features(found)
        pooled = features.new_tensor(shares.astype(np.float32)) @ features  # a float64 tensor MPS would refuse
        return found, pooled, features.new_tensor(shape.astype(np.float32))

    def proposed(self, inputs: ImageBatch, features: ClipFeatures) -> list[tuple[NestedRegions, Tensor, Tensor]]:
        """``propose`` for every image of a batch."""
        padded = (inputs.pixels.shape[-2], inputs.pixels.shape[-1])
        size = [-(-side // self.merging.stride) for side in padded]
        logits = self.boundaries(inputs.pixels, features.pyramid)
        boundaries = F.interpolate(logits, size, mode="bilinear").sigmoid()
        images = zip(inputs.images, boundaries, features.dense, features.projected, strict=True)
        return [self.propose(image, padded, *maps) for image, *maps in images]

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        """Propose regions of every image of a batch: mask_logits (B, N, H / stride, W / stride), +-10,
        class_embeddings (B, N, D), objectness (B, N). Images with fewer regions get empty masks."""
        size = [-(-side // self.merging.stride) for side in inputs.pixels.shape[-2:]]
        proposed = self.proposed(inputs, features)
        batch, count = len(proposed), max(len(found.nodes) for found, _, _ in proposed)
        pooled = pad_sequence([pooled for _, pooled, _ in proposed], batch_first=True)
        inside = torch.zeros(batch, count, *size, dtype=torch.bool, device="cpu")
        objectness = pooled.new_full((batch, count), EMPTY)
        for number, (found, _, shape) in enumerate(proposed):
            masks = found.masks()
            inside[number, : len(masks), : masks.shape[1], : masks.shape[2]] = torch.from_numpy(masks)
            logits = self.objectness(shape)[:, 0]
            chosen = torch.from_numpy(cut(*found.nesting(), logits.sigmoid().float().cpu().numpy())).to(logits.device)
            objectness[number, : len(masks)] = logits + torch.where(chosen, logits.new_tensor(CHOSEN), -LEFT_OUT)
        mask_logits = torch.where(inside.to(pooled.device), pooled.new_tensor(INSIDE), -INSIDE)
        return Proposals(mask_logits, self.embed(pooled), objectness, binary=True)

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor:
        """Classify proposals: (B, N, K + 1), void last, whose probability does not depend on the text."""
        assert proposals.class_embeddings is not None
        assert proposals.objectness is not None
        logits = text.logits(proposals.class_embeddings, self.logit_scale)[..., :-1]
        void = logits.logsumexp(-1) - proposals.objectness
        return torch.cat([logits, void[..., None]], -1)
