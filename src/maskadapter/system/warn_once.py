"""Warnings that are logged once in a process, however often the same thing is found."""

import logging
from functools import lru_cache


@lru_cache(maxsize=1000)  # messages may name what clients of a service send
def warn_once(logger: logging.Logger, message: str) -> None:
    """Log a warning, in one line, unless this process has logged the same one before."""
    logger.warning("%s", " ".join(message.split()))
