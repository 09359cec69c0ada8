"""Key names: the official checkpoints' and ours. Both hold the same tensors under other names."""

# Official prefix -> our prefix. The longest that fits counts, and both columns are free of repeats, so that every name
# translates either way. Source: keys of the official checkpoints.
_OURS = {
    "backbone.clip_model.": "clip.model.",
    "sem_seg_head.pixel_decoder.": "generator.pixel_decoder.",
    "sem_seg_head.pixel_decoder.adapter_1.": "generator.pixel_decoder.lateral.",
    "sem_seg_head.pixel_decoder.layer_1.": "generator.pixel_decoder.output.",
    "sem_seg_head.pixel_decoder.transformer.level_embed": "generator.pixel_decoder.level_embed",
    "sem_seg_head.pixel_decoder.transformer.encoder.layers.": "generator.pixel_decoder.layers.",
    "sem_seg_head.predictor.": "generator.mask_decoder.",
    "sem_seg_head.predictor._mask_pooling_proj.": "generator.mask_decoder.mask_pooling_proj.",
    "mask_adapter.": "pooler.adapter.",
    "mask_adapter.mask_downscaling.": "pooler.adapter.patchify.",
    "cdt.cross_atten.multihead_attn.": "text_transfer.attention.",
    "cdt.cross_atten.MLP.": "text_transfer.linear.",
    "cdt.cross_atten.norm.": "text_transfer.norm.",
    "void_embedding.": "void_embedding.",
}
for _i in range(16):  # more than any published decoder has
    _theirs, _here = "sem_seg_head.predictor.transformer", f"generator.mask_decoder.layers.{_i}"
    _OURS |= {
        # The official decoder keeps the three parts of its layers in three lists, ours in one.
        f"{_theirs}_cross_attention_layers.{_i}.multihead_attn.": f"{_here}.cross_attention.",
        f"{_theirs}_cross_attention_layers.{_i}.norm.": f"{_here}.cross_norm.",
        f"{_theirs}_self_attention_layers.{_i}.self_attn.": f"{_here}.self_attention.",
        f"{_theirs}_self_attention_layers.{_i}.norm.": f"{_here}.self_norm.",
        f"{_theirs}_ffn_layers.{_i}.": f"{_here}.",
        f"{_theirs}_ffn_layers.{_i}.norm.": f"{_here}.ffn_norm.",
        f"mask_adapter.cnext{_i + 1}.": f"pooler.adapter.blocks.{_i}.",
    }
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


def to_ours(official_key: str) -> str:
    """Our name of an official tensor; a name that no official checkpoint has comes back as it is."""
    return _renamed(official_key, _OURS)


def to_official(key: str) -> str:
    """The official name of one of our tensors; a name without a counterpart comes back as it is."""
    return _renamed(key, _THEIRS)


def _renamed(key: str, prefixes: dict[str, str]) -> str:
    prefix = max((prefix for prefix in prefixes if key.startswith(prefix)), key=len, default="")
    return prefixes.get(prefix, "") + key.removeprefix(prefix)
