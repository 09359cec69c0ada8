"""Pack the trained parts into one file: the weights of the embedded model `tiny`.

Half precision; the text table stays in its two factors (`token_embedding.factor_a` @ `token_embedding.factor_b`).
Settings, sources and license go into the metadata.

    python tools/tiny/pack.py --shared ../shared --work build/tiny --out src/maskadapter/hub/weights/tiny.safetensors

Seconds. Reads `text_encoder.pt`, `image_encoder.pt`, `region_head.pt`.
"""

import argparse
import json
from pathlib import Path

import torch
from assemble import CONFIG, LONGEST, TEMPLATES, build, load_parts, text_state
from nouns import read_vocabulary
from safetensors.torch import save_file

ALPHA, BETA = 0.7, 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/")
    parser.add_argument("--work", type=Path, required=True, help="folder with the trained parts")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = load_parts(build(), arguments.work)
    state = model.state_dict()
    del state["clip.model.token_embedding.weight"]
    for name, value in text_state(torch.load(arguments.work / "text_encoder.pt", weights_only=True)).items():
        if "factor_" in name:
            state[f"clip.model.{name}"] = value
    packed = {
        name: (value.half() if value.is_floating_point() and value.ndim else value).contiguous().clone()
        for name, value in state.items()
    }
    seen = [names[0] for names in read_vocabulary(arguments.shared / "vocabularies/coco_panoptic_with_prompt_eng.txt")]
    facts = {
        "name": "tiny",
        "license": "Apache-2.0",
        "clip_config": CONFIG,
        "output_stride": 16,
        "templates": TEMPLATES,
        "image_size": {"longest_side": LONGEST, "divisor": 32},
        "alpha": ALPHA,
        "beta": BETA,
        "overlap_threshold": 0.8,
        "embedding": "mask pooling weighted by area",
        "seen_in": "coco-panoptic",
        "seen_classes": seen,
        "data": [
            "COCO 2017: 322 training photographs (70 with panoptic, 252 with instance labels), annotations CC BY 4.0",
            "COCO 2017: 1,275 captions",
            "WordNet 3.0",
        ],
        "teachers": [
            "all-MiniLM-L6-v2 (Apache-2.0)",
            "MobileNetV2 1.0 ImageNet (Apache-2.0)",
            "DeepLabv3 MobileNetV2 PASCAL VOC (Apache-2.0)",
            "DeepLabv3 MobileNetV2 ADE20K, 32 classes (Apache-2.0)",
        ],
        "made_by": "tools/tiny",
    }
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    save_file(packed, arguments.out, metadata)
    print(arguments.out, f"{arguments.out.stat().st_size / 1e6:.1f} MB", len(packed), "tensors")


if __name__ == "__main__":
    main()
