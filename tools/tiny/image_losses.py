"""The image encoder's losses and its accuracy: embeddings of masks against the text embeddings of class names."""

import math
from pathlib import Path

import torch
from augment import STRIDE, fit, location_weights, normalize
from coco import Photo
from nouns import imagenet_names, read_vocabulary
from split_trunk import lower, upper
from teachers import ADE20K, PASCAL
from torch import nn
from torch.nn import functional as F


class Names:
    """Text embeddings of the lists that the losses classify over, each (K, 384) or, for COCO, synonyms per class."""

    def __init__(self, shared: Path, work: Path):
        data = torch.load(work / "text_targets.pt", weights_only=False)
        every = data["names"] + data["held_out"] + data["phrases"]
        row = {name: i for i, name in enumerate(every)}
        embeddings = data["targets"].float()

        def mean(names: list[str]) -> torch.Tensor:
            return F.normalize(embeddings[[row[name] for name in names if name in row]].mean(0), dim=-1)

        self.coco = [
            embeddings[[row[name] for name in names]]
            for names in read_vocabulary(shared / "vocabularies/coco_panoptic_with_prompt_eng.txt")
        ]
        self.imagenet = torch.stack(
            [mean(names[:2]) for names in imagenet_names(shared / "data/teachers/imagenet_labels.txt")]
        )
        self.ade20k = torch.stack([mean([name]) for name in ADE20K[1:]])
        self.pascal = torch.stack([mean([name.replace("tv monitor", "tv")]) for name in PASCAL[1:]])

    def draw_coco(self) -> torch.Tensor:
        """(133, 384): one synonym of each class at random, the first one half of the time."""
        return torch.stack(
            [group[0 if torch.rand(()) < 0.5 else int(torch.randint(len(group), ()))] for group in self.coco]
        )


def best_synonym(embeddings: torch.Tensor, groups: list[torch.Tensor]) -> torch.Tensor:
    """(N, D) unit vectors -> (N, K) largest cosine over each class's synonyms."""
    return torch.stack([(embeddings @ group.T).amax(-1) for group in groups], -1)


class Losses(nn.Module):
    """The three losses on unit embeddings; one learned scale each."""

    def __init__(self, names: Names, imagenet_head: list[torch.Tensor], class_weights: torch.Tensor):
        super().__init__()
        self.names, self.imagenet_head, self.class_weights = names, imagenet_head, class_weights
        self.scales = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(math.log(20.0))) for name in ("coco", "imagenet", "ade20k", "pascal")}
        )

    def logits(self, name: str, embeddings: torch.Tensor, text_embeddings: torch.Tensor) -> torch.Tensor:
        return self.scales[name].exp().clamp(max=100) * F.normalize(embeddings, dim=-1) @ text_embeddings.T

    def masks(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(
            self.logits("coco", embeddings, self.names.draw_coco()),
            labels,
            weight=self.class_weights,
            label_smoothing=0.05,
        )

    def teacher(self, embeddings: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        weight, bias = self.imagenet_head
        target = F.linear(pooled, weight[1:, :, 0, 0], bias[1:]).softmax(-1)
        return F.cross_entropy(self.logits("imagenet", embeddings, self.names.imagenet), target)

    def locations(self, name: str, embeddings: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
        """embeddings (N, D), probs (N, 1 + K): the first entry is `other`, which has no text; its share does not
        count.
        """
        known = 1 - probs[:, 0]
        target = probs[:, 1:] / known[:, None].clamp_min(1e-4)
        return (
            F.cross_entropy(self.logits(name, embeddings, getattr(self.names, name)), target, reduction="none") * known
        ).mean()


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
            self.entries.append((early, location_weights(ids, numbers), torch.tensor([labels[i - 1] for i in numbers])))

    @torch.no_grad()
    def __call__(self, trunk: nn.Module, head: nn.Module) -> float:
        right = total = 0
        for early, weights, labels in self.entries:
            embeddings = F.normalize(head(torch.einsum("rhw,chw->rc", weights, upper(trunk, early)[0])), dim=-1)
            right += int((best_synonym(embeddings, self.groups).argmax(-1) == labels).sum())
            total += len(labels)
        return right / total
