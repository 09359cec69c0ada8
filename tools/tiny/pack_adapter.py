"""Write a trained adapter of the embedded model into a file of its own, in half precision, with the hash of the image
encoder that it was trained on: `load` joins it with no other.

    python tools/tiny/pack_adapter.py runs/tiny-mixed/model.safetensors --out tiny-adapter.safetensors

The model is what ``recipes/own/tiny-warmup.yaml`` and ``tiny-mixed.yaml`` train one after the other.
"""

import argparse
from pathlib import Path

from maskadapter.hub.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from maskadapter.hub.same_clip import IMAGE_ENCODER, image_encoder_hash


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    trained = read_checkpoint(arguments.model)
    tensors = {key: t.half() for key, t in trained.tensors.items() if key.startswith("pooler.adapter.")}
    facts = {IMAGE_ENCODER: image_encoder_hash(trained.tensors), "license": "Apache-2.0"}
    write_checkpoint(arguments.out, tensors, {**trained.metadata, **facts})
    print(arguments.out, f"{arguments.out.stat().st_size / 1e6:.2f} MB", len(tensors), "tensors")


if __name__ == "__main__":
    main()
