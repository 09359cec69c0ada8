"""What whoever starts a service decides about it."""

from dataclasses import dataclass, field, fields

from maskadapter.errors import MaskAdapterError


@dataclass(frozen=True)
class Settings:
    """Limits of a service, and its token.

    queue: requests that may be at work or wait; the next one is refused with 429.
    cache_bytes: of the encoded images that are kept.
    max_image_pixels: an image with more is refused before it is decoded.
    max_body_bytes: of one request. max_bodies_bytes: of all requests that are at work or wait, together.
    max_names: class names with their synonyms in one request; the built-in lists may have more.
    max_masks: masks in one request.
    timeout: seconds for one request, and for its body to arrive.
    token: what a client has to send as ``Authorization: Bearer TOKEN``; None asks for none.
    Raises MaskAdapterError for a limit below 1, and a token that a header cannot carry.
    """

    queue: int = 64
    cache_bytes: int = 2_000_000_000
    max_image_pixels: int = 50_000_000
    max_body_bytes: int = 32_000_000
    max_bodies_bytes: int = 512_000_000
    max_names: int = 500
    max_masks: int = 500
    timeout: float = 60.0
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.name != "token" and not getattr(self, one.name) > 0:
                raise MaskAdapterError(f"{one.name} is {getattr(self, one.name)}: a number above 0 is needed")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise MaskAdapterError("the token is empty or has other than printable ASCII signs, as in a header")
