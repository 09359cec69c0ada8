"""Parts of one-line error messages: the gist of another library's message, and the name that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def first_line(error: BaseException) -> str:
    """Return the first line of another library's message, or the error's type where the message is empty."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def did_you_mean(given: str, names: Iterable[str], otherwise: str | None = None) -> str:
    """Return the end of an error message about an unknown name: ``did you mean 'cat'?``.

    given: the unknown name. names: those that exist. Suggested are the names that start with ``given``, else the one
    that is most like it; case does not matter. otherwise: returned when no name is near; None lists all names.
    """
    known = {name.lower(): name for name in names}
    wanted = given.lower()
    near = [name for name in known if wanted and name.startswith(wanted)][:3] or get_close_matches(wanted, known, 1)
    if near:
        return f"did you mean {' or '.join(repr(known[name]) for name in near)}?"
    return f"choose from {', '.join(known.values())}" if otherwise is None else otherwise
