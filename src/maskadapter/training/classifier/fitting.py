"""Fitting the classifiers to examples, from strong to weak penalties."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.models import CONFUSABLE, EncodedVocabulary, OpenVocabularySegmenter, OwnClasses, ensemble_logits
from maskadapter.training.classifier.examples import Example
from maskadapter.vocabulary import COMPETING, Vocabulary


@dataclass(frozen=True, eq=False)
class Examples:
    """The masks of all images: R proposals and M ground-truth masks.

    class_embeddings, mask_embeddings: (R, D). shares: (R, K), of each proposal's labeled points; rows sum to 1.
    weights: (R,), sum 1. given: (M, D); given_classes, given_weights: (M,), sum 1."""

    class_embeddings: Tensor
    mask_embeddings: Tensor
    shares: Tensor
    weights: Tensor
    given: Tensor
    given_classes: Tensor
    given_weights: Tensor

    @classmethod
    def of(cls, examples: Sequence[Example], classes: int) -> "Examples":
        """Join the masks of images. Proposals count by their area, so that pixels count alike, ground-truth masks by
        its root, so that small ones count too."""
        shares = torch.cat([one.shares(classes) for one in examples])
        points = shares.sum(dim=1)
        kept = points > 0
        shares = shares[kept] / points[kept, None]
        weights = points[kept]
        given_weights = torch.cat([one.given_areas for one in examples]).float().sqrt()
        return cls(
            torch.cat([one.class_embeddings for one in examples])[kept],
            torch.cat([one.mask_embeddings for one in examples])[kept],
            shares,
            weights / weights.sum(),
            torch.cat([one.given_embeddings for one in examples]),
            torch.cat([one.given_classes for one in examples]),
            given_weights / given_weights.sum(),
        )

    def to(self, device: torch.device) -> "Examples":
        return Examples(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class Fit:
    """Learns weights and biases for the classes that the examples show; the others keep their text embeddings.

    segmenter: frozen, with a proposal head; gets ``own_classes``. vocabulary: K classes. The classes of
    COCO-Stuff compete, as they do when someone segments an image, so that the learned ones win against them too."""

    def __init__(
        self, segmenter: OpenVocabularySegmenter, vocabulary: EncodedVocabulary, examples: Sequence[Example]
    ) -> None:
        device = segmenter.clip.logit_scale.device
        self._segmenter, classes = segmenter, len(vocabulary.vocabulary)
        self._examples = Examples.of(examples, classes).to(device)
        others = segmenter.encode_text(COMPETING)
        competing = vocabulary.with_background(others, others.confusable_similarity(CONFUSABLE))
        embeddings = competing.text_embeddings.clone()  # made in inference mode, which allows no gradients
        self._competing = replace(competing, text_embeddings=embeddings)
        earlier = segmenter.own_classes
        shown = sorted(set(self._examples.given_classes.tolist()))
        names = [
            *(earlier.names if earlier else ()),
            *(n for label in shown for n in vocabulary.vocabulary.classes[label]),
        ]
        names = list({name.casefold(): name for name in names}.values())
        text = segmenter.encode_text(Vocabulary(tuple((name,) for name in names), (True,) * len(names)))
        self.own = OwnClasses(names, segmenter.clip.embed_dim).to(device)
        self.own.start_from(segmenter.text_classifier(text), earlier)
        segmenter.own_classes, segmenter.inference = self.own, replace(segmenter.inference, own_classes=tuple(names))
        self._start = [parameter.detach().clone() for parameter in self.own.parameters()]

    def path(self, penalties: Sequence[float], iterations: int) -> Iterator[tuple[float, float]]:
        """Fit with one penalty after the other, each from the result before; yields (penalty, loss without it)."""
        parameters, losses = list(self.own.parameters()), [0.0]
        for penalty in penalties:
            optimizer = torch.optim.LBFGS(
                parameters, max_iter=iterations, history_size=10, line_search_fn="strong_wolfe"
            )

            def closure(optimizer: torch.optim.Optimizer = optimizer, penalty: float = penalty) -> float:
                optimizer.zero_grad()
                loss = self.loss()
                losses[0] = loss.item()
                moved = [((now - then) ** 2).sum() for now, then in zip(parameters, self._start, strict=True)]
                total = loss + penalty * torch.stack(moved).sum()
                total.backward()
                return total.item()

            optimizer.step(closure)
            yield penalty, losses[0]

    def loss(self) -> Tensor:
        """Cross-entropy of the ensemble for proposals, and of the out-of-vocabulary classifier for ground truth."""
        segmenter, examples = self._segmenter, self._examples
        assert segmenter.generator is not None
        text = segmenter.text_classifier(self._competing)
        inside, outside = self.own.in_vocabulary(text), self.own.out_of_vocabulary(text)
        in_logits = inside.logits(examples.class_embeddings, segmenter.generator.logit_scale)[:, :-1]
        out_logits = outside.logits(examples.mask_embeddings, segmenter.clip.logit_scale)[:, :-1]
        inference = segmenter.inference
        flags = inference.seen(self._competing.vocabulary, self._competing.background)
        seen = torch.tensor(flags, device=in_logits.device)
        logits = ensemble_logits(in_logits, out_logits, seen, inference.alpha, inference.beta)
        shares = F.pad(examples.shares, (0, logits.shape[1] - examples.shares.shape[1]))
        proposals = F.cross_entropy(logits, shares, reduction="none") @ examples.weights
        given = outside.logits(examples.given, segmenter.clip.logit_scale)[:, :-1]
        return proposals + F.cross_entropy(given, examples.given_classes, reduction="none") @ examples.given_weights
