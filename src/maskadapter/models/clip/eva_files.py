"""Files of weights that EVA-CLIP's own code writes, CLIPSelf's among them: a CLIP of open_clip is filled with them."""

from pathlib import Path
from typing import Any

import open_clip
from open_clip.factory import load_state_dict
from timm.models.eva import checkpoint_filter_fn

from maskadapter.errors import CheckpointError

_IN_EVERY_FILE = "blocks.0.norm1.weight"  # of the image encoder; open_clip writes visual.trunk.blocks...


def clip_of_eva_file(config: str, path: str | Path) -> Any | None:
    """Return a CLIP of open_clip with the weights of a file of EVA-CLIP's own code; None for any other file.

    config: the name of open_clip's configuration, ``"EVA02-L-14-336"``. The image encoder's names are mapped as timm
    maps them, those of text encoder and scale are the same. Raises CheckpointError for a file without text encoder;
    damaged files and files of another configuration raise nearly anything. Source: EVA-CLIP's eva_vit_model.py; the
    dict with ``state_dict`` of CLIPSelf's training/main.py.
    """
    content = open_clip.get_model_config(config)
    if content is None or not str(content["vision_cfg"].get("timm_model_name")).startswith("eva"):
        return None
    state = load_state_dict(str(path), weights_only=True)
    if not state.keys() & {_IN_EVERY_FILE, f"visual.{_IN_EVERY_FILE}"}:
        return None
    if not any(key.startswith("text.") for key in state):
        raise CheckpointError(f"{path} holds EVA-CLIP's image encoder alone: give a file with its text encoder too")
    build = open_clip.CustomTextCLIP if content.pop("custom_text", False) else open_clip.CLIP
    model = build(**content)
    trunk = checkpoint_filter_fn(state, model.visual.trunk)
    others = {key: tensor for key, tensor in state.items() if not key.startswith("visual.")}
    model.load_state_dict(others | {f"visual.trunk.{key}": tensor for key, tensor in trunk.items()})
    model.visual.image_mean, model.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return model.eval()
