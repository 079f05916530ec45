"""A checkpoint in small parts, for machines that pass on only small files.

    python -m aix_lsp.training.carry pack RUN/checkpoint PARTS
    python -m aix_lsp.training.carry unpack PARTS RUN/checkpoint

Weights and optimizers travel in bfloat16, half their size; a run goes on from them as it would after one more noisy
step. The last part is the list of all, with checksums, so that what arrives damaged or not at all is noticed.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from aix_lsp.training.checkpoints import CheckpointError
from aix_lsp.training.folders import replaced_folder

PART_BYTES = 16_000_000
_LIST = "parts.json"
_FILES = ("weights.safetensors", "optimizers.pt", "state.json")


def pack(checkpoint: Path, out: Path, *, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write a checkpoint as parts of at most `part_bytes` bytes into `out`; their paths. Raises CheckpointError."""
    import torch
    from safetensors.torch import load_file

    for name in _FILES:
        if not (checkpoint / name).is_file():
            raise CheckpointError(f"{checkpoint} is no checkpoint: {name} is not there")
    content = {
        "weights": _narrow(load_file(checkpoint / _FILES[0])),
        "optimizers": _narrow(torch.load(checkpoint / _FILES[1], map_location="cpu", weights_only=True)),
        "state": (checkpoint / _FILES[2]).read_text(encoding="utf-8"),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("part-*.bin"), out / _LIST):
        old.unlink(missing_ok=True)
    paths, sums = [], {}
    for number, start in enumerate(range(0, len(data), part_bytes)):
        part = data[start : start + part_bytes]
        path = out / f"part-{number:02}.bin"
        path.write_bytes(part)
        paths.append(path)
        sums[path.name] = hashlib.sha256(part).hexdigest()
    (out / _LIST).write_text(json.dumps(sums), encoding="utf-8")
    return [*paths, out / _LIST]


def unpack(parts: Path, checkpoint: Path) -> None:
    """Make a checkpoint of its parts, in place of one that is there.

    Raises CheckpointError, and OSError (a full disk); nothing is changed then.
    """
    import torch
    from safetensors.torch import save_file

    try:
        sums: dict[str, str] = json.loads((parts / _LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{parts} holds no parts of a checkpoint") from error
    data = bytearray()
    for name, wanted in sums.items():
        path = parts / name
        part = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(part).hexdigest() != wanted:
            raise CheckpointError(f"{path} is {'damaged' if part else 'missing'}; carry it again")
        data += part
    content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    with replaced_folder(checkpoint) as new:
        save_file(_wide(content["weights"]), new / _FILES[0])
        torch.save(_wide(content["optimizers"]), new / _FILES[1])
        (new / _FILES[2]).write_text(content["state"], encoding="utf-8")


def _narrow(value: Any) -> Any:
    """Everything in float32 that is not a single number, in bfloat16."""
    import torch

    def narrow(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.bfloat16() if tensor.dtype == torch.float32 and tensor.ndim else tensor

    return _mapped(value, narrow)


def _wide(value: Any) -> Any:
    import torch

    return _mapped(value, lambda tensor: tensor.float() if tensor.dtype == torch.bfloat16 else tensor)


def _mapped(value: Any, change: Any) -> Any:
    """The same lists and dictionaries with every tensor changed."""
    import torch

    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return value


def main(arguments: list[str]) -> None:
    """The command line."""
    if len(arguments) != 3 or arguments[0] not in ("pack", "unpack"):
        sys.exit("aix-lsp: python -m aix_lsp.training.carry pack CHECKPOINT PARTS, or unpack PARTS CHECKPOINT")
    source, target = Path(arguments[1]), Path(arguments[2])
    try:
        if arguments[0] == "pack":
            pack(source, target)
        else:
            unpack(source, target)
    except (CheckpointError, OSError) as error:
        sys.exit(f"aix-lsp: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
