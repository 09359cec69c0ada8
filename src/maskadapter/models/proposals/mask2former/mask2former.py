"""The FC-CLIP mask generator: pixel decoder, then mask decoder, on CLIP's frozen features. Source: FC-CLIP, section
3.2."""

from torch import Tensor, nn

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.proposals.mask2former.mask_decoder import MaskDecoder
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder
from maskadapter.types.clip_features import ClipFeatures
from maskadapter.types.proposals import Proposals


class Mask2FormerHead(nn.Module):
    """Proposals from CLIP's pyramid and the text embeddings of the vocabulary.

    Only the last prediction head answers; ``every_head`` gives the earlier ones too, for the training losses.
    """

    def __init__(self, pixel_decoder: PixelDecoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.pixel_decoder = pixel_decoder
        self.mask_decoder = mask_decoder

    def forward(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> Proposals:
        """images: (B, 3, H, W), not used. Returns N = ``num_queries`` proposals at stride 4 with class logits."""
        pixel_embedding, levels = self.pixel_decoder(features.pyramid)
        mask_logits, class_logits = self.mask_decoder(pixel_embedding, levels, text)
        return Proposals(mask_logits, class_logits)

    def every_head(self, images: Tensor, features: ClipFeatures, text: TextClassifier) -> list[Proposals]:
        """What ``forward`` returns, of every prediction head, the last one last."""
        pixel_embedding, levels = self.pixel_decoder(features.pyramid)
        return [Proposals(*head) for head in self.mask_decoder.every_head(pixel_embedding, levels, text)]
