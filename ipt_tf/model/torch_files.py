"""A reader of PyTorch checkpoint files that needs no PyTorch and executes nothing from the file.

A `.pt` file is a pickle, which may name any function and have it called. This reader knows tensors, their
storages and OrderedDict, and refuses every other name.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_DTYPES = {
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "DoubleStorage": "<f8",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_WRAPPERS = ("state_dict", "params_ema", "params", "model")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and what is wrong with it."""


class _StorageType(NamedTuple):
    dtype: str


@dataclass(eq=False)
class _Storage:
    """A run of numbers that tensors are views of."""

    dtype: str
    count: int
    values: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        return self.count * (2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize)

    def fill(self, data: bytes) -> None:
        if len(data) != self.nbytes:
            raise CheckpointError(f"a storage of {self.nbytes} bytes has {len(data)}: the file is truncated")
        if self.dtype == "bfloat16":
            self.values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        else:
            self.values = np.frombuffer(data, self.dtype)


@dataclass(eq=False)
class _Tensor:
    """A view of a storage, as the pickle describes it; not trusted before `array` has checked it."""

    storage: Any
    offset: Any
    size: Any
    stride: Any

    def array(self) -> np.ndarray:
        numbers = (self.offset, *self.size, *self.stride)
        if not all(type(n) is int and n >= 0 for n in numbers) or len(self.size) != len(self.stride):
            raise CheckpointError("a tensor has a shape that makes no sense")
        values = self.storage.values
        count = math.prod(self.size)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if count > len(values) or (count and last >= len(values)):
            raise CheckpointError("a tensor reaches beyond its storage")
        strides = [step * values.itemsize for step in self.stride]
        # Not copied: a small file may name one large storage any number of times.
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.size, strides, writeable=False)


# The Python unpickler, not the C one: the latter reserves memory for as many objects as a file claims to have.
class _Unpickler(pickle._Unpickler):
    """Reads what a state dict needs. `storages` maps keys of the file to the storages met so far."""

    # A bytearray too would be given all the memory that the file says it needs.
    dispatch = {  # noqa: RUF012
        code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def __init__(self, file: io.BufferedIOBase | io.BytesIO):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _Tensor(storage, offset, size, stride)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in _DTYPES:
            return _StorageType(_DTYPES[name])
        raise CheckpointError(
            f"it asks to run {f'{module}.{name}'!r}, which no table of tensors needs; such a file may be malicious"
        )

    def persistent_load(self, reference: Any) -> _Storage:
        kind, storage_type, key, _, count, *view = reference
        if kind != "storage" or not isinstance(storage_type, _StorageType) or any(view):
            raise CheckpointError("it refers to something else than a storage of numbers")
        if type(count) is not int or count < 0:
            raise CheckpointError("a storage has a size that makes no sense")
        return self.storages.setdefault(str(key), _Storage(storage_type.dtype, count))


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.pt` or `.pth` file, in the zip format or the older stream.

    Args:
        path: a state dict saved by PyTorch, on its own or under a usual key ("state_dict", "params" ...).
            Tensors saved from a GPU are read all the same; a prefix "module." of all names is dropped.

    Returns:
        Arrays by name; bfloat16 as float32.

    Raises:
        CheckpointError: no such file, truncated, damaged, or holding anything but tensors. Nothing in the file
            is ever executed.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    is_zip = zipfile.is_zipfile(io.BytesIO(data))  # by the table of contents, which comes last
    try:
        if not is_zip and data.startswith(b"PK"):
            raise CheckpointError("its end is missing: the file is truncated")
        content = _read_zip(data) if is_zip else _read_stream(data)
        return _tensors(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path} is not a usable checkpoint: {error}") from None
    except Exception as error:  # an unpickler fails in as many ways as a file can be damaged
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{path} is damaged, or no PyTorch checkpoint ({reason})") from None


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise CheckpointError("it is compressed, which PyTorch's files are not")
        # Members may lie inside each other: a small file could unfold into any amount of memory.
        if sum(info.file_size for info in archive.infolist()) > len(data):
            raise CheckpointError("its parts are together larger than the file")
        if "data.pkl" not in members:
            raise CheckpointError("it is a zip file without tensors")
        if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
            raise CheckpointError("it was written on a big-endian machine")
        unpickler = _Unpickler(io.BytesIO(archive.read(members["data.pkl"])))
        content = unpickler.load()
        for key, storage in unpickler.storages.items():
            storage.fill(archive.read(members[f"data/{key}"]))
    return content


def _read_stream(data: bytes) -> Any:
    file = io.BytesIO(data)
    if not data or _Unpickler(file).load() != _LEGACY_MAGIC:
        raise CheckpointError("it does not begin as a PyTorch file does")
    if _Unpickler(file).load() != _LEGACY_PROTOCOL or not _Unpickler(file).load().get("little_endian"):
        raise CheckpointError("it is of a version, or from a machine, that is not known here")
    unpickler = _Unpickler(file)
    content = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        if int.from_bytes(file.read(8), "little") != storage.count:
            raise CheckpointError("a storage has another size than its tensors say")
        storage.fill(file.read(storage.nbytes))
    return content


def _tensors(content: Any) -> dict[str, np.ndarray]:
    if not isinstance(content, Mapping):
        raise CheckpointError("it holds no table of tensors")
    for key in _WRAPPERS:
        if isinstance(content.get(key), Mapping):
            if any(str(other).startswith("optim") for other in content):
                raise CheckpointError(
                    f"it holds an optimiser too, the state of a training run: save {key!r} of it alone"
                )
            content = content[key]
            break
    others = [repr(key) for key, value in content.items() if not isinstance(value, _Tensor)]
    if others:
        raise CheckpointError(f"beside tensors it holds {', '.join(others[:5])}")
    prefix = "module." if all(key.startswith("module.") for key in content) else ""
    return {key.removeprefix(prefix): tensor.array() for key, tensor in content.items()}
