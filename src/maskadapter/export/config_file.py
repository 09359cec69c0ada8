"""What the graphs do not hold: settings of preparing images, of the text, and of combining two classifiers."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch.nn.functional as F

from maskadapter.export.graphs import REGIONS, TRANSFER, Graph
from maskadapter.models import MAX_LOGIT_SCALE, PIXEL_MEAN, PIXEL_STD, OpenVocabularySegmenter
from maskadapter.models.poolers import AdapterPooler
from maskadapter.vocabulary import Vocabulary

TOKENIZER = "tokenizer.json"
# Pieces of a text that are encoded alone. Source: Radford et al. 2021, simple_tokenizer.py
_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def config_of(segmenter: OpenVocabularySegmenter, model: str, opset: int, graphs: list[Graph]) -> dict[str, Any]:
    """Return the content of ``config.json``: docs/export.md lists the keys."""
    clip, inference, generator = segmenter.clip, segmenter.inference, segmenter.generator
    names = [graph.name for graph in graphs]
    scales = [clip.logit_scale] if generator is None else [clip.logit_scale, generator.logit_scale]
    scale, *own = (float(one.exp().clamp(max=MAX_LOGIT_SCALE)) for one in scales)
    threshold = segmenter.pooler.mask_threshold if isinstance(segmenter.pooler, AdapterPooler) else 0.5
    return {
        "maskadapter": version("maskadapter"),
        "model": Path(model).name,
        "opset": opset,
        "pooler": names[1],
        "proposals": "none" if generator is None else "regions" if REGIONS in names else "masks",
        "transfer": TRANSFER in names,
        "files": {graph.name: f"{graph.name}.onnx" for graph in graphs},
        "image": {
            "shortest": inference.input_size.shortest,
            "longest": inference.input_size.longest,
            "divisor": clip.size_divisor,
            "mean": list(PIXEL_MEAN),
            "std": list(PIXEL_STD),
        },
        "text": {"tokenizer": TOKENIZER, "templates": list(clip.templates)},
        "void_embedding": F.normalize(segmenter.void_embedding.weight, dim=-1)[0].tolist(),
        "logit_scale": scale,
        "proposal_logit_scale": own[0] if own else None,
        "alpha": inference.alpha,
        "beta": inference.beta,
        "seen": list(Vocabulary.of(inference.seen_in).synonyms),
        "mask_threshold": threshold,
        "overlap_threshold": inference.overlap_threshold,
        "join_touching": inference.join_touching,
        "semantic_order": segmenter.semantic_order,
        "context_length": clip.model.context_length,
    }


def tokenizer_of(segmenter: OpenVocabularySegmenter) -> dict[str, Any]:
    """Return CLIP's tokenizer as a ``tokenizer.json``, which the library ``tokenizers`` reads in many languages. What
    open_clip mends before, HTML entities and broken Unicode, is left out. Source: transformers' CLIPConverter."""
    tokenizer = segmenter.clip.tokenizer
    start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    both = [tokenizer.decoder[start], start], [tokenizer.decoder[end], end]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": text, **special} for text, number in both],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _PIECES}, "behavior": "Removed", "invert": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": both[1],
            "cls": both[0],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": both[1][0],
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "vocab": tokenizer.encoder,
            "merges": [" ".join(pair) for pair in tokenizer.bpe_ranks],
        },
    }
