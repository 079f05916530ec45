"""What the Hugging Face hub says of a model: its files that are worth having, and every refusal as one line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import split_revision

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_WANTED = (".json", ".safetensors")
_WANTED_NAMES = ("tokenizer.model", "LICENSE", "LICENSE.txt", "LICENSE.md", "MODEL_LICENSE")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a model on the hub. `digest` is its SHA-256 for large files, else git's id of the content."""

    name: str
    size: int
    digest: str
    large: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one version of a model. `repository` is owner/model, `commit` the version's hash, `licence` what the
    model's page calls it ("" if nothing)."""

    repository: str
    revision: str
    commit: str
    files: tuple[RemoteFile, ...]
    licence: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def list_files(source: str) -> Listing:
    """Ask the hub for the files of `owner/model` or `owner/model@revision`. Raises ModelError."""
    # The library would report what is asked for besides asking for it.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import HfApi

    repository, revision = split_revision(source)
    with told(repository, revision):
        info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=30)
    names = [sibling.rfilename for sibling in info.siblings or ()]
    wanted = set(wanted_files(names, repository))
    files = []
    for sibling in info.siblings or ():
        digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
        if sibling.rfilename in wanted and (sibling.size is None or not digest):
            raise ModelError(f"the hub does not tell size and checksum of {sibling.rfilename}; try again later")
        if sibling.rfilename in wanted:
            files.append(RemoteFile(sibling.rfilename, sibling.size or 0, str(digest), sibling.lfs is not None))
    tags = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    return Listing(repository, revision, str(info.sha), tuple(files), tags[0] if tags else "")


def wanted_files(names: Sequence[str], repository: str) -> list[str]:
    """Safetensors weights, JSON files, tokenizer and licence; never pickle files, code, or files in folders.

    Raises ModelError for a model without safetensors files.
    """
    weights = [name for name in names if name.startswith("model-") and name.endswith(".safetensors")]
    weights = weights if _INDEX in names else [name for name in names if name == _SINGLE]
    if not weights:
        raise ModelError(
            f"{repository} has no safetensors files, and pickle files can run any code when they are read; the hub's "
            f"own conversion is often there as {repository}@refs/pr/NUMBER (see its page, Community)"
        )
    chosen = []
    for name in names:
        if "/" in name:
            continue
        if name in weights or name in _WANTED_NAMES or (name.endswith(_WANTED) and not name.endswith(".safetensors")):
            chosen.append(name)
    return chosen


def cache_folder(repository: str) -> Path:
    """Where huggingface_hub keeps a model."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")


@contextmanager
def told(repository: str, revision: str = "main") -> Iterator[None]:
    """Turns what huggingface_hub raises into a ModelError of one line that says what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hub = constants.ENDPOINT
    try:
        yield
    except OfflineModeIsEnabled:
        raise ModelError("HF_HUB_OFFLINE is set, so nothing is downloaded; unset it for this command") from None
    except GatedRepoError:
        raise ModelError(
            f"{repository} is only for those who accepted its terms: do so on {hub}/{repository}, then give your token "
            "(HF_TOKEN, or: hf auth login)"
        ) from None
    except RevisionNotFoundError:
        raise ModelError(f"{repository} has no version {revision}") from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"{hub} has no model {repository}, or only for some: check the name; for a private model give your token "
            "(HF_TOKEN, or: hf auth login)"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status == 401:
            raise ModelError(f"{hub} does not accept your token (401); renew HF_TOKEN, or: hf auth login") from None
        raise ModelError(f"{hub} answered with status {status} for {repository}; try again later") from None
    except Exception as error:
        # httpx in huggingface_hub 1, httpx2 in 2: both have the same names.
        if not type(error).__module__.startswith("httpx"):
            raise
        raise ModelError(
            f"no connection to {hub} ({type(error).__name__}); check the network, HTTPS_PROXY and HF_ENDPOINT; what is "
            "there already stays, and the same command goes on"
        ) from None
