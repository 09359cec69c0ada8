"""A model in a repository of the Hugging Face hub: two files, fetched through the hub's own cache, no code."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from maskadapter.errors import CheckpointError, DownloadError
from maskadapter.hub.model_source import HUB_PREFIX
from maskadapter.system.error_text import first_line
from maskadapter.system.json_files import read_json
from maskadapter.system.offline import is_offline

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
LIBRARY = "maskadapter"
"""What ``config.json`` has as ``library_name``."""
_MAX_CONFIG = 1_000_000  # bytes
_SIGN_IN = "sign in with 'hf auth login' or set HF_TOKEN"


@dataclass(frozen=True)
class HubRepository:
    """A repository of models. name: ``ORG/NAME``. revision: branch, tag or commit; None is the main branch."""

    name: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> "HubRepository":
        """Read ``hf:ORG/NAME`` or ``hf:ORG/NAME@REVISION``. Raises CheckpointError for another form."""
        name, separator, revision = text.removeprefix(HUB_PREFIX).partition("@")
        if (separator and not re.fullmatch(r"\w[\w./-]*", revision, re.ASCII)) or not _is_name(name):
            form = f"{HUB_PREFIX}ORGANIZATION/NAME or {HUB_PREFIX}ORGANIZATION/NAME@REVISION is needed"
            raise CheckpointError(f"'{text}' is not the name of a model on the Hugging Face hub: {form}")
        return cls(name, revision or None)

    def __str__(self) -> str:
        return HUB_PREFIX + self.name + (f"@{self.revision}" if self.revision else "")

    def fetch(self, may_download: bool = True) -> Path:
        """Return the weights in the hub's cache, downloaded where they are not there or have changed since.

        ``config.json`` comes first, so that a large file of something else is not downloaded; the weights are those of
        the same commit. Raises DownloadError, one line: no such repository or revision, no access, no network; and
        CheckpointError for a repository of something else, and where weights are missing that may not be downloaded.
        """
        may_download = may_download and not is_offline()
        config = self._file(CONFIG, self.revision, may_download)
        content = read_json(config, CheckpointError, _MAX_CONFIG)
        if not isinstance(content, dict) or content.get("library_name") != LIBRARY:
            raise CheckpointError(
                f'{self} holds nothing of this project: its {CONFIG} lacks "library_name": "{LIBRARY}"'
            )
        return self._file(WEIGHTS, config.parent.name, may_download)  # the cache has a folder of each commit

    def _file(self, file: str, revision: str | None, may_download: bool) -> Path:
        from huggingface_hub import hf_hub_download

        with one_line(str(self), f"cannot download {file} of {self}"):
            options = {"endpoint": hub_endpoint(), "local_files_only": not may_download}
            return Path(hf_hub_download(self.name, file, revision=revision, **options))  # type: ignore[arg-type]


def check_repository(name: str) -> str:
    """Return the name of a repository without ``hf:``. Raises CheckpointError unless it is ``ORG/NAME``."""
    repository = HubRepository.of(name if name.startswith(HUB_PREFIX) else HUB_PREFIX + name)
    if repository.revision is not None:
        raise CheckpointError(f"'{name}' names a revision: give it as revision='{repository.revision}'")
    return repository.name


def hub_endpoint() -> str | None:
    """Return the mirror that ``HF_ENDPOINT`` names, which the library reads only once, when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def one_line(repository: str, failed: str) -> Iterator[None]:
    """Turn what the hub's library raises into a DownloadError or a CheckpointError of one line.

    repository: as the user named it. failed: what could not be done, where no better reason is known.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        advice = f"accept its terms on its page of the hub, then {_SIGN_IN}"
        raise DownloadError(f"{repository} is open only to those who accepted its terms: {advice}") from None
    except errors.RepositoryNotFoundError:
        advice = f"check the name; if it is private, {_SIGN_IN}"
        raise DownloadError(f"the Hugging Face hub has no {repository}, or does not show it to you: {advice}") from None
    except errors.RevisionNotFoundError:
        raise DownloadError(f"{repository} does not exist: give a branch, tag or commit of the repository") from None
    except errors.LocalEntryNotFoundError as error:
        if is_offline() or error.__cause__ is None:
            advice = "run the same command with a network, or give the path of a file"
            raise CheckpointError(f"{repository} is not on this machine: {advice}") from None
        raise _unreachable(failed, error.__cause__) from None
    except errors.EntryNotFoundError:
        advice = f"a repository with {CONFIG} and {WEIGHTS} is needed, as ma.push_to_hub writes it"
        raise CheckpointError(f"{repository} holds no model of this project: {advice}") from None
    except Exception as error:  # the library's HTTP client brings its own kinds
        raise _unreachable(failed, error) from error


def _unreachable(failed: str, error: BaseException) -> DownloadError:
    """The error for a hub that refuses or does not answer."""
    response = getattr(error, "response", None)
    if response is None:
        reason = re.sub(r"\[Errno -?\d+\] ", "", first_line(error))
        return DownloadError(f"{failed} ({reason}): check the network, or HF_ENDPOINT where a mirror is needed")
    stated = " ".join(str(getattr(error, "server_message", None) or "").split())[:200]
    allowed = f"; {_SIGN_IN}, with a token that may do this" if response.status_code in (401, 403) else ""
    return DownloadError(
        f"{failed}: the hub answered {response.status_code}{f' ({stated})' if stated else ''}{allowed}"
    )


def _is_name(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name
