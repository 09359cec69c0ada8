"""Write ``docs/openapi.json``, the description of the HTTP service: ``python tools/openapi.py``."""

import argparse
import json
from pathlib import Path

import maskadapter as ma
from maskadapter.serve import ServedModel, create_app

PATH = Path(__file__).parents[1] / "docs" / "openapi.json"


def main() -> None:
    """Write the file."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    model = ma.load()
    document = create_app(model, ServedModel.of(model, "tiny", True)).openapi()
    PATH.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
