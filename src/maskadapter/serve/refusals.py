"""Refusals of requests: a status and one sentence, which the client gets as ``{"error": "..."}``."""

from starlette.exceptions import HTTPException


class Refusal(HTTPException):
    """A request that is refused. status: 4xx or 5xx. sentence: what came, what is needed."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, " ".join(sentence.split()), headers)


class Busy(Refusal):
    """Too many requests wait. seconds: after which it is worth while to try again."""

    def __init__(self, seconds: float) -> None:
        wait = str(max(1, min(60, round(seconds))))
        super().__init__(429, f"too many requests wait: try again in {wait} s", {"Retry-After": wait})


class Stopping(Refusal):
    """The service stops and takes no further requests."""

    def __init__(self) -> None:
        super().__init__(503, "the service is stopping: try again when it has started again", {"Retry-After": "5"})
