"""Load networks of transformers with their image processors, from the Hugging Face hub or a folder."""

from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.system.error_text import first_line
from maskadapter.system.extras import load_extra
from maskadapter.system.torchvision_stub import declare_missing_schemas


def pretrained(name: str, kind: str, examples: str) -> tuple[Any, Any]:
    """Load a network and its image processor.

    name: of a model on the hub, or a folder. kind: the class of transformers that loads it. examples: models of that
    kind, for the error. Only safetensors are read: pickles could execute anything. Raises MaskAdapterError, one line,
    for names that do not exist or are gated, without an internet connection, and for models of another kind."""
    declare_missing_schemas()  # before transformers imports torchvision
    transformers = load_extra("transformers", "transformers")
    if name.startswith((".", "/", "~")) and not Path(name).is_dir():
        raise MaskAdapterError(f"there is no folder {name}; nor is that a name on the Hugging Face hub")
    try:
        options = {"use_safetensors": True, "output_loading_info": True, "trust_remote_code": False}
        network, report = getattr(transformers, kind).from_pretrained(name, **options)
        processor = transformers.AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # transformers and the hub's library bring many kinds
        raise MaskAdapterError(f"{name} cannot be loaded ({first_line(error)[:300]}); {examples} can") from error
    missing = [*report["missing_keys"], *report["mismatched_keys"]]
    if missing:  # transformers would go on with random numbers
        raise MaskAdapterError(f"{name} lacks {len(missing)} tensors of {type(network).__name__}, such as {missing[0]}")
    return network.eval().requires_grad_(False), processor
