"""What the classifiers see of an image: computed once, because everything before them is frozen."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskadapter.data import Dataset, Sample
from maskadapter.models import EncodedVocabulary, OpenVocabularySegmenter
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.progress import bar
from maskadapter.types import INSIDE, ClipFeatures, Proposals

GRID = 96  # points per side at which proposals are compared with the ground truth


@dataclass(frozen=True, eq=False)
class Example:
    """One image: N proposals and M ground-truth masks with their embeddings, and the ground truth at P points.

    inside: (N, P) bool, points of each proposal. class_embeddings, mask_embeddings: (N, D), for the in-vocabulary and
    the out-of-vocabulary classifier. objectness: (N,), as in ``Proposals``, empty where the head makes none.
    classes: (C,), what the image shows; truth: (C, P) bool, where. given_embeddings: (M, D), for the out-of-vocabulary
    classifier, of every segment and of all pixels of a class as one mask; given_classes, given_areas: (M,)."""

    inside: Tensor
    class_embeddings: Tensor
    mask_embeddings: Tensor
    objectness: Tensor
    classes: Tensor
    truth: Tensor
    given_embeddings: Tensor
    given_classes: Tensor
    given_areas: Tensor

    @classmethod
    @torch.inference_mode()
    def of(cls, segmenter: OpenVocabularySegmenter, sample: Sample) -> "Example":
        """Encode an image. segmenter: with a proposal head."""
        encoded, target = segmenter.encode_image(sample.image), sample.target
        proposals, embeddings, sizes = encoded.proposals, encoded.mask_embeddings, encoded.sizes
        assert proposals is not None
        assert proposals.class_embeddings is not None
        assert embeddings is not None
        masks = target.masks()
        kept = ~target.is_crowd & masks.any(axis=(1, 2))
        masks, labels = masks[kept], target.classes[kept]
        classes, counts = np.unique(labels, return_counts=True)
        whole = [masks[labels == one].any(axis=0) for one in classes]
        # A class of one segment is that segment.
        given = np.stack([*masks, *(mask for mask, count in zip(whole, counts, strict=True) if count > 1)] or [masks])
        pooled = segmenter.encode_image(encoded, given).mask_embeddings if len(masks) else embeddings[:, :0]
        assert pooled is not None
        places = (np.arange(GRID) + 0.5) / GRID
        rows, columns = ((places * side).astype(int) for side in sizes.original)
        parts = zip(sizes.resized, sizes.padded, proposals.mask_logits.shape[-2:], strict=True)
        down, right = (torch.from_numpy(places * part / full * side).long() for part, full, side in parts)
        inside = proposals.mask_logits[0].cpu()[:, down[:, None], right].flatten(1) > 0
        truth = np.array([mask[rows[:, None], columns].ravel() for mask in whole], bool).reshape(len(classes), -1)
        none = torch.zeros(0)
        made = {
            "inside": inside,
            "class_embeddings": proposals.class_embeddings[0],
            "mask_embeddings": embeddings[0],
            "objectness": none if proposals.objectness is None else proposals.objectness[0],
            "classes": torch.from_numpy(classes),
            "truth": torch.from_numpy(truth.reshape(len(classes), GRID * GRID)),
            "given_embeddings": pooled[0],
            "given_classes": torch.from_numpy(np.concatenate([labels, classes[counts > 1]])),
            "given_areas": torch.from_numpy(given.sum(axis=(-2, -1)).reshape(-1)[: pooled.shape[1]]),
        }
        return cls(**{name: tensor.cpu().contiguous() for name, tensor in made.items()})

    def shares(self, count: int) -> Tensor:
        """(N, count) float: how many labeled points of each proposal belong to each class."""
        shares = torch.zeros(len(self.inside), count)
        shares[:, self.classes] = self.inside.float() @ self.truth.float().T
        return shares

    @torch.inference_mode()
    def accuracy(self, segmenter: OpenVocabularySegmenter, vocabulary: EncodedVocabulary) -> tuple[int, int]:
        """How many labeled points get the right class, and how many there are."""
        device = segmenter.clip.logit_scale.device
        objectness = None if not len(self.objectness) else self.objectness[None].to(device)
        masks = ((2 * self.inside.float() - 1) * INSIDE)[None, :, None].to(device)
        proposals = Proposals(masks, self.class_embeddings[None].to(device), objectness)
        nothing = torch.zeros(1, 0, 0, 0)
        embeddings = self.mask_embeddings[None].to(device)
        features = ClipFeatures({}, nothing, nothing)
        probs = segmenter.class_probs(features, proposals, embeddings, vocabulary)[0][0].cpu()
        best = (self.inside.float().T @ probs[:, :-1]).argmax(dim=1)
        labeled = self.truth.any(dim=0)
        right = torch.zeros(len(vocabulary.vocabulary), len(labeled), dtype=torch.bool)
        right[self.classes] = self.truth
        return int(right[best, torch.arange(len(best))].sum()), int(labeled.sum())


def examples(
    segmenter: OpenVocabularySegmenter, dataset: Dataset, count: int, folder: Path, what: str
) -> Iterator[Example]:
    """Encode the first ``count`` images, each once: files in ``folder`` are read again. what: for the progress bar."""
    with bar(what, count) as advance:
        for index in range(count):
            path = folder / f"{index:08d}.safetensors"
            found = _read(path)
            if found is None:
                found = Example.of(segmenter, dataset[index])
                with write_atomically(path) as temporary:
                    save_file({entry.name: getattr(found, entry.name) for entry in fields(found)}, temporary)
            yield found
            advance(1)


def _read(path: Path) -> Example | None:
    try:
        return Example(**load_file(path))
    except (OSError, SafetensorError, TypeError):  # not there yet
        return None
