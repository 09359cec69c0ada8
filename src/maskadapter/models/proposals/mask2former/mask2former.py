"""FC-CLIP's proposal head: pixel decoder, then mask decoder, on CLIP's frozen features. Source: FC-CLIP, 3.2."""

from torch import Tensor, nn

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.proposals.mask2former.mask_decoder import MaskDecoder
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder
from maskadapter.types import ClipFeatures, ImageBatch, Proposals


class Mask2FormerHead(nn.Module):
    """Propose masks from CLIP's feature pyramid and classify them by text embeddings. ``forward`` returns the
    predictions of the last prediction head; ``every_head`` those of all, for training losses."""

    def __init__(self, pixel_decoder: PixelDecoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.pixel_decoder, self.mask_decoder = pixel_decoder, mask_decoder

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        """N = ``num_queries`` proposals at stride 4 of the input, with class embeddings. inputs: not used."""
        return Proposals(*self.mask_decoder(*self.pixel_decoder(features.pyramid)))

    def every_head(self, features: ClipFeatures) -> list[Proposals]:
        """Proposals of every prediction head, the last one last."""
        return [Proposals(*head) for head in self.mask_decoder.every_head(*self.pixel_decoder(features.pyramid))]

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor:
        """Classify proposals: (B, N, K + 1), void last."""
        assert proposals.class_embeddings is not None
        return text.logits(proposals.class_embeddings, self.mask_decoder.logit_scale)
