"""Whether the network may be used."""

import os


def is_offline() -> bool:
    """Return True where the user forbade the network: ``MASKADAPTER_OFFLINE`` or ``HF_HUB_OFFLINE`` is set to yes."""
    given = (os.environ.get(name, "").strip().lower() for name in ("MASKADAPTER_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value in ("1", "true", "yes", "on") for value in given)
