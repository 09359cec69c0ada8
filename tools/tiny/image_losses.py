"""The image encoder's losses and its accuracy: embeddings of masks against the text embeddings of class names."""

import math
from pathlib import Path

import torch
from assemble import build, load_text, text_file
from augment import STRIDE, fit, location_weights, normalize
from coco import Photo
from labels import THINGS
from lite2 import lower, upper
from nouns import imagenet_names, read_vocabulary
from torch import nn
from torch.nn import functional as F


class Names:
    """Text embeddings, by the embedded model's own text encoder, of the lists that the losses classify over."""

    @torch.no_grad()
    def __init__(self, shared: Path, work: Path):
        encode = load_text(build().clip, text_file(work)).encode_text
        self.coco = [
            encode(names) for names in read_vocabulary(shared / "vocabularies/coco_panoptic_with_prompt_eng.txt")
        ]
        listed = [names[:2] for names in imagenet_names(shared / "data/teachers/imagenet_labels.txt")]
        every = encode([name for names in listed for name in names]).split([len(names) for names in listed])
        self.imagenet = torch.stack([F.normalize(group.mean(0), dim=-1) for group in every])

    def draw_coco(self) -> torch.Tensor:
        """(133, 384): one synonym of each class at random, the first one half of the time."""
        return torch.stack(
            [group[0 if torch.rand(()) < 0.5 else int(torch.randint(len(group), ()))] for group in self.coco]
        )


def best_synonym(embeddings: torch.Tensor, groups: list[torch.Tensor]) -> torch.Tensor:
    """(N, D) unit vectors -> (N, K) largest cosine over each class's synonyms."""
    return torch.stack([(embeddings @ group.T).amax(-1) for group in groups], -1)


class Losses(nn.Module):
    """The two losses on embeddings; one learned scale each."""

    def __init__(self, names: Names, class_weights: torch.Tensor):
        super().__init__()
        self.names, self.class_weights = names, class_weights
        self.scales = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(math.log(20.0))) for name in ("coco", "imagenet")}
        )

    def logits(self, name: str, embeddings: torch.Tensor, text_embeddings: torch.Tensor) -> torch.Tensor:
        return self.scales[name].exp().clamp(max=100) * F.normalize(embeddings, dim=-1) @ text_embeddings.T

    def masks(self, embeddings: torch.Tensor, classes: torch.Tensor, trust: torch.Tensor) -> torch.Tensor:
        """Minus the log probability of the classes that a label can be, smoothed. classes: (N, 133) 0 or 1."""
        log_probs = self.logits("coco", embeddings, self.names.draw_coco()).log_softmax(-1)
        right = -log_probs.masked_fill(classes == 0, -torch.inf).logsumexp(-1)
        weights = trust * (classes @ self.class_weights) / classes.sum(-1)
        return ((0.95 * right - 0.05 * log_probs.mean(-1)) * weights).sum() / weights.sum().clamp_min(1)

    def teacher(self, embeddings: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.logits("imagenet", embeddings, self.names.imagenet), probs)


class Accuracy:
    """Accuracy on the ground-truth masks of photographs, with the frozen part computed once."""

    def __init__(self, photos: list[Photo], trunk: nn.Module, groups: list[torch.Tensor], longest: int = 640):
        self.groups, self.entries = groups, []
        for photo in photos:
            ids, labels = photo.masks()
            image, ids = fit(photo.image(), ids, longest)
            height, width = (side // STRIDE * STRIDE for side in ids.shape)
            image, ids = image[:height, :width], ids[:height, :width]
            numbers = [i + 1 for i in range(len(labels)) if (ids == i + 1).any()]
            with torch.no_grad():
                early = lower(trunk, normalize(image)[None])
            areas = torch.tensor([float((ids == i).mean()) for i in numbers])
            classes = torch.tensor([labels[i - 1] for i in numbers])
            self.entries.append((early, location_weights(ids, numbers), classes, areas))

    @torch.no_grad()
    def __call__(self, trunk: nn.Module, head: nn.Module) -> dict[str, float]:
        right, classes, areas = [], [], []
        for early, weights, labels, shares in self.entries:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                dense = upper(trunk, early.contiguous(memory_format=torch.channels_last))[0].float()
            pooled = torch.einsum("rhw,chw->rc", weights, dense)
            found = best_synonym(F.normalize(head(pooled), dim=-1), self.groups).argmax(-1)
            right.append((found == labels).float())
            classes.append(labels)
            areas.append(shares)
        return by_kind(*(torch.cat(parts) for parts in (right, classes, areas)))


def by_kind(right: torch.Tensor, classes: torch.Tensor, areas: torch.Tensor) -> dict[str, float]:
    """Mean of `right` (N,) over all masks, those above 1 % of the image, things, stuff."""
    large, thing = areas >= 0.01, classes < THINGS
    kinds = {
        "all": large | ~large,
        "large": large,
        "things": thing,
        "stuff": ~thing,
        "large things": large & thing,
        "large stuff": large & ~thing,
    }
    return {name: round(float(right[chosen].mean()), 3) for name, chosen in kinds.items()}
