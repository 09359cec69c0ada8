"""The embedded model's proposal head: nested regions of superpixels, and a small network that classifies them, as void
where a region covers several things or a part of one."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.proposals.superpixels.regions import Merging, Regions, cut, nesting, pool, without_padding
from maskadapter.types import INSIDE, ClipFeatures, ImageBatch, Proposals, Size

SHAPE_FEATURES = 15
HIDDEN = 512  # width of the network between features and embeddings
# ``cut`` chooses among nested proposals. The void logit of one left out is raised, so that it wins only where no other
# proposal does; that of a chosen one is lowered: parts were trained with low scores, and void would win all of them.
LEFT_OUT, CHOSEN = 3.0, 6.0


def shape_features(found: Regions) -> np.ndarray:
    """Describe nodes by size, place, outline, purity and color: (N, SHAPE_FEATURES), within a few units of zero. The
    leaves of a node of one thing agree in feature and color, those of several things do not: this separates void."""
    tree, labels, areas, colors = found.tree, found.labels, found.areas, found.colors
    low, high = np.full((len(areas), 2), np.inf), np.full((len(areas), 2), -np.inf)
    for axis, place in enumerate(np.divmod(np.arange(labels.size), labels.shape[1])):
        np.minimum.at(low[:, axis], labels.ravel(), place / labels.shape[axis])
        np.maximum.at(high[:, axis], labels.ravel(), place / labels.shape[axis])
    unit = found.embeddings / np.maximum(np.linalg.norm(found.embeddings, axis=1, keepdims=True), 1e-9)
    rows = []
    for node in found.nodes:
        inside = tree.members[node]
        total, count = areas[inside].sum(), inside.sum()
        share, lab = areas[inside] / total, colors[inside]
        top, bottom = low[inside].min(0), high[inside].max(0)
        box = np.maximum(bottom - top, 1e-3)
        purity = np.linalg.norm(share @ unit[inside])
        spread = np.sqrt((share[:, None] * (lab - share @ lab) ** 2).sum(0)).mean()
        at_border = float((top < 0.01).sum() + (bottom > 0.98).sum())
        outline = [np.log(total) / 4, *(top + bottom) / 2, *box, total / box.prod()]
        merging = [tree.cost[node] * 4, tree.cost[tree.parent[node]] * 4, at_border / 2, np.log(count) / 4]
        rows.append([*outline, purity, spread / 20, *merging, *(share @ lab / 50)])
    return np.asarray(rows, np.float32)


class RegionHead(nn.Module):
    """Propose nested regions of superpixels and embed them for classification. The tree is built on the CPU.
    in_channels: C of CLIP's dense features. embed_dim: D of its embeddings. ``merging`` may be set."""

    def __init__(self, in_channels: int = 1400, embed_dim: int = 384) -> None:
        super().__init__()
        self.merging = Merging()
        self.norm = nn.LayerNorm(in_channels)
        self.hidden = nn.Linear(in_channels + SHAPE_FEATURES, HIDDEN)
        self.output = nn.Linear(HIDDEN, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))  # CLIP's ln(1 / 0.07)

    def embed(self, pooled: Tensor, shape: Tensor) -> Tensor:
        """Class embeddings (..., D) of regions: pooled dense features (..., C), shape (..., SHAPE_FEATURES)."""
        return self.output(F.gelu(self.hidden(torch.cat([self.norm(pooled), shape], -1))))

    def propose(
        self, image: np.ndarray, padded: Size, dense: Tensor, projected: Tensor
    ) -> tuple[np.ndarray, Tensor, Tensor]:
        """Propose regions of one image: masks (N, h / stride, w / stride) bool, pooled dense features (N, C), shape
        (N, SHAPE_FEATURES). image: (h, w, 3) uint8 RGB at the input's size. padded: (H, W) of the input. dense
        (C, h', w') and projected (D, h', w') features cover the padded input."""
        resized = (image.shape[0], image.shape[1])
        guide = without_padding(projected, resized, padded) if projected.numel() else None
        found = self.merging.regions(image, guide)
        features = pool(found.labels, len(found.areas), without_padding(dense, resized, padded))
        members = found.tree.members[found.nodes] * found.areas
        pooled = features.new_tensor(members / members.sum(1, keepdims=True)) @ features
        return found.masks(), pooled, features.new_tensor(shape_features(found))

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        """Propose regions of every image of a batch: mask_logits (B, N, H / stride, W / stride), +-10,
        class_embeddings (B, N, D), parents and areas (B, N). Images with fewer regions get empty masks."""
        padded = (inputs.pixels.shape[-2], inputs.pixels.shape[-1])
        size = [-(-side // self.merging.stride) for side in padded]
        images = zip(inputs.images, features.dense, features.projected, strict=True)
        proposed = [self.propose(image, padded, dense, projected) for image, dense, projected in images]
        batch, count = len(proposed), max(len(masks) for masks, _, _ in proposed)
        pooled = pad_sequence([pooled for _, pooled, _ in proposed], batch_first=True)
        shape = pad_sequence([shape for _, _, shape in proposed], batch_first=True)
        inside = torch.zeros(batch, count, *size, dtype=torch.bool, device="cpu")
        parents = torch.full((batch, count), -1, device="cpu")
        for number, (masks, _, _) in enumerate(proposed):
            inside[number, : len(masks), : masks.shape[1], : masks.shape[2]] = torch.from_numpy(masks)
            parents[number, : len(masks)] = torch.from_numpy(nesting(inside[number, : len(masks)].flatten(1).numpy()))
        mask_logits = (inside.to(pooled) * 2 - 1) * INSIDE
        areas = inside.flatten(2).sum(-1).float().to(pooled.device)
        return Proposals(mask_logits, self.embed(pooled, shape), parents.to(pooled.device), areas)

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor:
        """Classify proposals: (B, N, K + 1), void last. Nested proposals compete; an empty mask is void."""
        assert proposals.class_embeddings is not None
        assert proposals.parents is not None
        assert proposals.areas is not None
        logits = text.logits(proposals.class_embeddings, self.logit_scale)
        confidence = 1 - logits.detach().softmax(-1)[..., -1]
        nodes = (one.cpu().numpy() for one in (proposals.parents, proposals.areas, confidence.float()))
        chosen = torch.from_numpy(np.stack(list(map(cut, *nodes)))).to(logits.device)
        void = logits[..., -1:] + torch.where(chosen, logits.new_tensor(-CHOSEN), LEFT_OUT)[..., None]
        logits = torch.cat([logits[..., :-1], void], -1)
        empty = F.pad(logits.new_full((logits.shape[-1] - 1,), -100.0), (0, 1), value=100.0)
        return torch.where(proposals.areas[..., None] > 0, logits, empty)
