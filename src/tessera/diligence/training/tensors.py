"""A model's weights as tensors in files: where each lies, and what of it is really there.

Headers are read, never believed: places are held against the file, and what a tensor holds is
looked at in samples. Files that hold programs (pickles) are never loaded; of those and of unknown
kinds only size and samples count.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from tessera.errors import DataError, InputError, TooLarge

__all__ = ["Tensor", "Weights", "WeightsFile", "blocks_of", "fingerprint", "opened", "read_weights"]

_ENDS: Final = frozenset({
    ".bin", ".ckpt", ".gguf", ".h5", ".keras", ".msgpack", ".npz", ".onnx", ".pb", ".pt", ".pth",
    ".safetensors", ".tflite",
})  # fmt: skip
_MOST_FILES: Final = 5_000
_MOST_DEPTH: Final = 8
_BLOCK: Final = 64 << 10
_BLOCKS: Final = 16
_OPAQUE_BLOCKS: Final = 256
_LEAST_FILLER: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array of numbers.

    Attributes
    ----------
    kind
        Type of its numbers as safetensors writes it: "F32", "BF16", "I8", ...
    file, offset, length
        Where its bytes lie.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    length: int

    @property
    def elements(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file.

    Attributes
    ----------
    tensors
        None of a kind whose inside is not read.
    real
        Bytes that are neither one value throughout nor a copy of others: what was to be stored.
    """

    file: Path
    size: int
    tensors: tuple[Tensor, ...] | None
    real: int


@dataclass(frozen=True, slots=True)
class Weights:
    """All files of a model."""

    files: tuple[WeightsFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files)

    @property
    def real(self) -> int:
        """Bytes that are not filler."""
        return sum(each.real for each in self.files)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Tensors of all files whose inside is read."""
        return tuple(tensor for each in self.files for tensor in each.tensors or ())

    @property
    def forms(self) -> tuple[Weights, ...]:
        """The files by their kind: a folder often holds one model in several."""
        ends = sorted({each.file.suffix for each in self.files})
        return tuple(
            Weights(tuple(each for each in self.files if each.file.suffix == end)) for end in ends
        )

    @property
    def parameters(self) -> int | None:
        """Numbers in all tensors; None where a file's inside is not read."""
        if any(each.tensors is None for each in self.files):
            return None
        return sum(tensor.elements for tensor in self.tensors)


def read_weights(path: Path) -> Weights:
    """Read the headers of a file, or of all weights in a folder.

    Raises
    ------
    InputError
        There is nothing there, or nothing that weights are kept in.
    DataError
        A header contradicts its file.
    TooLarge
        There are more files than a model has.
    """
    from tessera.diligence.training.onnx import read_onnx
    from tessera.diligence.training.safetensors import read_safetensors

    seen_by_end: dict[str, set[bytes]] = {}
    files = []
    for file in sorted(_files(path)):
        size = file.stat().st_size
        seen = seen_by_end.setdefault(file.suffix, set())
        tensors: tuple[Tensor, ...] | None = None
        if file.suffix == ".safetensors":
            tensors = read_safetensors(file)
        elif file.suffix == ".onnx":
            tensors = read_onnx(file)
        real = _real_of_blocks(file, size, seen) if tensors is None else _real(tensors, seen)
        files.append(WeightsFile(file, size, tensors, real))
    return Weights(tuple(files))


def blocks_of(file: Path, offset: int, length: int, most: int = _BLOCKS) -> Iterator[bytes]:
    """Yield evenly spaced blocks of 64 KiB of a range, all of it where it is short.

    Raises
    ------
    DataError
        The file ends before the range does.
    """
    count = -(-length // _BLOCK)
    places = (
        range(0, length, _BLOCK)
        if count <= most
        else (round(at * (length - _BLOCK) / (most - 1)) for at in range(most))
    )
    with opened(file) as handle:
        for place in places:
            wanted = min(_BLOCK, length - place)
            block = os.pread(handle.fileno(), wanted, offset + place)
            if len(block) != wanted:
                raise DataError(
                    f"weights {file.name}",
                    found=f"{len(block)} bytes",
                    wanted=f"{wanted} at the end",
                )
            yield block


def fingerprint(tensor: Tensor) -> bytes:
    """Hash a tensor's type, shape and sampled content; all of its content up to 1 MiB.

    Its name is left out: a renamed tensor is the same one.
    """
    state = hashlib.sha256(f"{tensor.kind} {tensor.shape} {tensor.length}".encode())
    for block in blocks_of(tensor.file, tensor.offset, tensor.length):
        state.update(block)
    return state.digest()


def _real(tensors: tuple[Tensor, ...], seen: set[bytes]) -> int:
    real = 0
    for tensor in tensors:
        # A bias of zeros and a scale of ones are as they should be; a wall of them is not.
        if tensor.length > _LEAST_FILLER and all(
            _is_filler(block) for block in blocks_of(tensor.file, tensor.offset, tensor.length)
        ):
            continue
        digest = fingerprint(tensor)
        if digest not in seen or tensor.length <= _LEAST_FILLER:
            seen.add(digest)
            real += tensor.length
    return real


def _real_of_blocks(file: Path, size: int, seen: set[bytes]) -> int:
    """Estimate what of a file is no filler, by blocks of it."""
    count = good = 0
    for block in blocks_of(file, 0, size, _OPAQUE_BLOCKS):
        digest = hashlib.sha256(block).digest()
        count += 1
        good += not _is_filler(block) and digest not in seen
        seen.add(digest)
    return round(size * good / count) if count else 0


def _is_filler(block: bytes) -> bool:
    """Whether a block repeats one number throughout, of any width up to 8 bytes."""
    return len(block) < 16 or any(block[width:] == block[:-width] for width in (1, 2, 4, 8))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise InputError(
            "weights", found=str(path), wanted="a file or a folder",
            next_step="download them first: nothing is fetched here",
        )  # fmt: skip
    found = 0
    for place, folders, names in os.walk(path, followlinks=False):
        if len(Path(place).relative_to(path).parts) >= _MOST_DEPTH:
            folders.clear()
        for name in names:
            file = Path(place) / name
            # A link may lead anywhere, a pipe never ends.
            if file.suffix in _ENDS and stat.S_ISREG(file.lstat().st_mode):
                found += 1
                if found > _MOST_FILES:
                    raise TooLarge(
                        "weights", found=f"more than {_MOST_FILES} files", wanted="one model"
                    )
                yield file
    if not found:
        raise InputError("weights", found=f"none in {path}", wanted=f"{', '.join(sorted(_ENDS))}")


def opened(file: Path) -> BinaryIO:
    """Open a file that may be a stranger's pipe, on which an ordinary opening would wait."""
    return os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
