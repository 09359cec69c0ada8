"""Time the text encoder of fcclip-large on a class list: prompts padded, cut to a batch's longest, and as a tree.

    python tools/text_encoding.py
    python tools/text_encoding.py --names 32 --padded   # the first names alone, with the padded way

Random weights of the text encoder of CLIP ConvNeXt-L, the names of ADE20K's 150 classes with all synonyms, 14 prompts
each. Every 32 names, as ``TextCache`` passes them, are encoded in all ways, one after the other. "cut": batches of 256
prompts, cut to the longest, as until version 0.2. "tree, bf16": as ``load`` does on a CPU with bf16 units. Writes
``results/benchmarks/text-encoding-cpu.json`` and ``.md``; some four minutes on two cores.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.machine import processor
from maskadapter.models.builder import Architecture, build
from maskadapter.models.clip.clip import Clip
from maskadapter.models.precision import keep_in
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table
from maskadapter.vocabulary import Vocabulary

TOGETHER, PROMPTS = 32, 256
RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def whole(clip: Clip, names: list[str], cut: bool) -> Tensor:
    """Encode names with prompts of the whole context, or cut to the longest of a batch."""
    model, encoded = clip.model, []
    prompts = clip.tokenizer([template.format(name) for name in names for template in clip.templates])
    for tokens in prompts.split(PROMPTS):
        ends = tokens.argmax(dim=-1)
        length = int(ends.max()) + 1 if cut else tokens.shape[1]
        x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
        encoded.append(F.normalize(x[torch.arange(len(x)), ends] @ model.text_projection, dim=-1))
    return F.normalize(torch.cat(encoded).view(len(names), len(clip.templates), -1).mean(dim=1), dim=-1)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--padded", action="store_true", help="prompts of all 77 tokens too, six times as slow")
    parser.add_argument("--names", type=int, help="only the first so many")
    options = parser.parse_args()
    torch.manual_seed(0)
    segmenter = build(Architecture("fcclip-large", "adapter")).eval().requires_grad_(False)
    half = keep_in(deepcopy(segmenter), "bf16").clip
    clip = segmenter.clip
    clock = Clock(torch.device("cpu"))
    names = list(dict.fromkeys(Vocabulary.of("ade20k-150").synonyms))[: options.names]
    ways: dict[str, Callable[[list[str]], Tensor]] = {
        "padded": lambda some: whole(clip, some, cut=False),
        "cut": lambda some: whole(clip, some, cut=True),
        "tree": clip.encode_text,
        "tree, bf16": half.encode_text,
    }
    if not options.padded:
        del ways["padded"]
    for encode in ways.values():
        encode(names[:1])  # the first call takes longer
    furthest = dict.fromkeys(ways, 0.0)
    for start in range(0, len(names), TOGETHER):
        expected = None
        for way, encode in ways.items():
            with clock.part(way):
                found = encode(names[start : start + TOGETHER])
            expected = found if expected is None else expected
            furthest[way] = max(furthest[way], float((found - expected).abs().max()))
    rows = [[way, clock.seconds[way], clock.seconds[way] / clock.seconds["cut"], furthest[way]] for way in ways]
    header = ["prompts", "s", "of cut", "largest difference"]
    facts = {"names": len(names), "prompts": len(names) * len(clip.templates), "processor": processor()}
    facts |= {"torch": version("torch"), "threads": torch.get_num_threads()}
    lines = [*markdown_table(header, [[row[0], *(f"{number:.3g}" for number in row[1:])] for row in rows], "lrrr")]
    lines += ["", ", ".join(f"{key} {value}" for key, value in facts.items())]
    print(*lines, sep="\n")
    write_json(
        RESULTS / "text-encoding-cpu.json", {**facts, "rows": [dict(zip(header, row, strict=True)) for row in rows]}
    )
    with write_atomically(RESULTS / "text-encoding-cpu.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
