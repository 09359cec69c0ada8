"""Files and folders of any storage that fsspec knows, named by a path or an address such as ``s3://bucket/photos``."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.system.error_text import first_line
from maskadapter.system.extras import load_extra
from maskadapter.system.paths import is_address, user_path

LOCAL = ("file", "local")


class Place(NamedTuple):
    """A file or folder of a file system of fsspec. path: as that file system names it."""

    files: Any
    path: str

    @property
    def address(self) -> str:
        """The path on this computer, absolute, or the address elsewhere."""
        return self.path if is_local(self.files) else str(self.files.unstrip_protocol(self.path))


def place_of(given: str | Path) -> Place:
    """Return the place that a path or an address names, without asking whether it is there. Raises MaskAdapterError for
    a storage that is unknown or whose library is missing."""
    fsspec = load_extra("fsspec", "bulk")
    text = str(given) if is_address(given) else os.path.abspath(user_path(given, ImageError))
    try:
        return Place(*fsspec.core.url_to_fs(text))
    except ImportError as error:  # the message names the library
        raise MaskAdapterError(f"cannot open {text}: {first_line(error)}") from error
    except (ValueError, OSError) as error:
        raise MaskAdapterError(f"cannot open {text}: {first_line(error)}") from None


def is_local(files: Any) -> bool:
    """Whether a file system of fsspec is this computer's own."""
    names = [files.protocol] if isinstance(files.protocol, str) else files.protocol
    return not set(LOCAL).isdisjoint(names)


def beside(address: str, given: str) -> str:
    """Return an address or path as a list or a table in ``address`` means it: relative to its folder. Raises
    MaskAdapterError for a chain of addresses (``zip://a::https://b``), which a list has no need for."""
    if "::" in given:
        raise MaskAdapterError(f"{address} names {given:.100}: one address is needed, without ::")
    if is_address(given) or os.path.isabs(given):
        return given
    return f"{address.rpartition('/')[0]}/{given.removeprefix('./')}"
