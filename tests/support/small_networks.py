"""Networks of transformers' mask generators with small random weights, and their image processors."""

from typing import Any

import torch
from torch import nn

from maskadapter import models  # noqa: F401  (lets torchvision be imported)

DIM = 32  # of prompts, masks and pyramid
PROMPTS = {"hidden_size": DIM, "mask_input_channels": 4}
DECODER = {"hidden_size": DIM, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}


# With these the masks are not all alike.
SEEDS = {"sam": 0, "sam-hq": 0, "sam2": 4, "sam3": 11}


def sam(kind: str) -> tuple[nn.Module, Any]:
    """kind: ``sam``, ``sam-hq``, ``sam2``, ``sam3``. Random weights are sure of nothing: thresholds have to be low."""
    network, processor = _sam(kind)
    torch.manual_seed(SEEDS[kind])
    for weight in network.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight)
    return network.eval().requires_grad_(False), processor


def _sam(kind: str) -> tuple[nn.Module, Any]:
    import transformers

    if kind in ("sam", "sam-hq"):
        size = {"image_size": 64, "patch_size": 16}
        vision = {"hidden_size": 16, "output_channels": DIM, "num_hidden_layers": 2, "num_attention_heads": 2}
        vision |= {"num_pos_feats": DIM // 2, "mlp_dim": 32, "window_size": 2, "global_attn_indexes": [1], **size}
        parts = {"vision_config": vision, "prompt_encoder_config": PROMPTS | size}
        processor = transformers.SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
        if kind == "sam":
            return transformers.SamModel(transformers.SamConfig(**parts, mask_decoder_config=DECODER)), processor
        config = transformers.SamHQConfig(**parts, mask_decoder_config=DECODER | {"vit_dim": 16})
        return transformers.SamHQModel(config), processor
    levels = {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": DIM}
    if kind == "sam2":
        size = {"image_size": 64, "patch_size": 16}
        backbone = {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "image_size": [64, 64],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [4, 2, 2, 2],
            "global_attention_blocks": [3],
            "window_positional_embedding_background_size": [4, 4],
        }
        config = transformers.Sam2Config(
            vision_config={"backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8], **levels},
            prompt_encoder_config=PROMPTS | size,
            mask_decoder_config=DECODER,
        )
        network = transformers.Sam2Model(config)
    else:
        size = {"image_size": 56, "patch_size": 14}
        backbone = {"model_type": "sam3_vit_model", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
        backbone |= {"num_attention_heads": 2, "window_size": 2, "global_attn_indexes": [1], "pretrain_image_size": 28}
        config = transformers.Sam3TrackerConfig(
            vision_config={"backbone_config": backbone | size, **levels},
            prompt_encoder_config=PROMPTS | size,
            mask_decoder_config=DECODER,
        )
        network = transformers.Sam3TrackerModel(config)
    side = size["image_size"]
    kinds = {"sam2": transformers.Sam2ImageProcessor, "sam3": transformers.Sam3ImageProcessor}
    return network, kinds[kind](size={"height": side, "width": side})


def universal(kind: str) -> tuple[nn.Module, Any]:
    """kind: ``mask2former`` or ``eomt``."""
    import transformers

    torch.manual_seed(0)
    if kind == "eomt":
        config = transformers.EomtConfig(
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=64,
            patch_size=16,
            num_blocks=1,
            num_queries=7,
            num_labels=5,
            num_register_tokens=1,
        )
        processor = transformers.EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True)
        return transformers.EomtForUniversalSegmentation(config).eval().requires_grad_(False), processor
    backbone = {"model_type": "swin", "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}
    backbone |= {"window_size": 2, "image_size": 64, "out_features": ["stage1", "stage2", "stage3", "stage4"]}
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=3,
        num_attention_heads=2,
        dim_feedforward=32,
        num_queries=7,
        num_labels=5,
    )
    processor = transformers.Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return transformers.Mask2FormerForUniversalSegmentation(config).eval().requires_grad_(False), processor
