"""PyTorch files are read without PyTorch, and nothing in them is ever run."""

import io
import os
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from ipt_tf.model import torch_files
from ipt_tf.model.torch_files import CheckpointError

MICRO = Path(__file__).parents[1] / "fixtures" / "micro"


@pytest.mark.parametrize("name", ["sr4_single", "pos_every"])
@pytest.mark.parametrize("flavour", ["pt", "cuda.pt", "legacy.pt", "legacy_cuda.pt"])
def test_every_flavour_holds_what_the_safetensors_file_holds(name, flavour):
    expected = safetensors.numpy.load_file(MICRO / f"{name}.safetensors")
    found = torch_files.read(MICRO / f"{name}.{flavour}")
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)


class Trap:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


def zipped(path, pickled, **members):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, data in members.items():
            archive.writestr(f"archive/data/{name}", data)
    return path


@pytest.mark.parametrize("wrap", [zipped, lambda path, data: path.write_bytes(data)])
@pytest.mark.parametrize("function", [os.system, eval, exec, open, os.mkdir])
def test_a_file_that_asks_to_run_something_is_refused_and_runs_nothing(tmp_path, monkeypatch, wrap, function):
    monkeypatch.chdir(tmp_path)
    command = {os.system: "touch ran", os.mkdir: "ran"}.get(function, "__import__('os').mkdir('ran')")
    trap = Trap(function, "ran", "w") if function is open else Trap(function, command)
    wrap(tmp_path / "evil.pt", pickle.dumps(OrderedDict(a=trap), protocol=2))
    with pytest.raises(CheckpointError, match=r"evil\.pt.*asks to run"):
        torch_files.read(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name",
    [
        "torch load",
        "torch.hub load",
        "torch._utils _rebuild_tensor",
        "builtins getattr",
        "numpy load",
        "os system",
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_every_other_name_is_refused_even_if_nothing_calls_it(tmp_path, name, protocol):
    module, function = name.split()
    if protocol == 2:
        pickled = f"c{module}\n{function}\n.".encode()
    else:
        pickled = (
            b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, function)) + b"\x93."
        )
    (tmp_path / "gadget.pt").write_bytes(b"\x80" + bytes([protocol]) + pickled)
    with pytest.raises(CheckpointError, match=f"asks to run '{module}.{function}'"):
        torch_files.read(tmp_path / "gadget.pt")


def test_attributes_of_known_names_cannot_be_reached(tmp_path):
    sneaky = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n."
    zipped(tmp_path / "sneaky.pt", sneaky)
    with pytest.raises(CheckpointError, match="asks to run"):
        torch_files.read(tmp_path / "sneaky.pt")


def tensor_pickle(size, stride, count, offset=0, storage="FloatStorage", names=("w",)):
    """A state dict written by hand, whose tensors are all the same view of one storage."""

    class Storage:
        pass

    class Pickler(pickle._Pickler):
        def persistent_id(self, obj):
            return ("storage", Global("torch", storage), "0", "cpu", count) if obj is Storage else None

    class Global:
        def __init__(self, module, name):
            self.module, self.name = module, name

    def save_global(pickler, obj):
        pickler.write(f"c{obj.module}\n{obj.name}\n".encode())

    class Rebuilt:
        def __reduce__(self):
            return rebuild, (Storage, offset, size, stride, False, OrderedDict())

    def rebuild(*arguments):
        raise AssertionError("never called")

    Pickler.dispatch = {
        **pickle._Pickler.dispatch,
        Global: save_global,
        type(rebuild): lambda pickler, _: save_global(pickler, Global("torch._utils", "_rebuild_tensor_v2")),
    }
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({name: Rebuilt() for name in names})
    return buffer.getvalue()


def test_offsets_and_strides_are_respected(tmp_path):
    numbers = np.arange(12, dtype="<f4")
    zipped(tmp_path / "a.pt", tensor_pickle((2, 3), (1, 2), 12, offset=4), **{"0": numbers.tobytes()})
    np.testing.assert_array_equal(torch_files.read(tmp_path / "a.pt")["w"], [[4, 6, 8], [5, 7, 9]])


@pytest.mark.parametrize(
    ("storage", "stored", "dtype"),
    [
        ("HalfStorage", np.array([0.5, -2.0], "<f2"), "float16"),
        ("DoubleStorage", np.array([0.1, -2.0], "<f8"), "float64"),
        ("BFloat16Storage", np.array([0x3F00, 0xC000], "<u2"), "float32"),
        ("LongStorage", np.array([2**40, -2], "<i8"), "int64"),
        ("ByteStorage", np.array([200, 3], "u1"), "uint8"),
    ],
)
def test_every_kind_of_number_is_read(tmp_path, storage, stored, dtype):
    zipped(tmp_path / "a.pt", tensor_pickle((2,), (1,), 2, storage=storage), **{"0": stored.tobytes()})
    found = torch_files.read(tmp_path / "a.pt")["w"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, [0.5, -2.0] if storage == "BFloat16Storage" else stored)


def test_a_zip_file_whose_parts_share_their_bytes_is_refused(tmp_path):
    """Otherwise a small file could unfold into any amount of memory."""
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w") as archive:
        archive.writestr("archive/data.pkl", tensor_pickle((4,), (1,), 2500))
        archive.writestr("archive/data/0", bytes(10_000))
        archive.filelist += [archive.getinfo("archive/data/0")] * 100
    with pytest.raises(CheckpointError, match=r"bomb\.pt.*together larger than the file"):
        torch_files.read(tmp_path / "bomb.pt")


def test_tensors_that_share_a_storage_share_its_memory(tmp_path):
    """Otherwise a small file could ask for any amount of memory."""
    names = [f"w{i}" for i in range(20)]
    pickled = tensor_pickle((6,), (1,), 6, names=names)
    zipped(tmp_path / "a.pt", pickled, **{"0": np.arange(6, dtype="<f4").tobytes()})
    found = torch_files.read(tmp_path / "a.pt")
    assert list(found) == names
    assert all(np.shares_memory(array, found["w0"]) for array in found.values())


@pytest.mark.parametrize("code", [b"\x96", b"\x8e", b"\x8d"], ids=["bytearray", "bytes", "text"])
def test_a_pickle_gets_no_memory_for_what_it_only_claims_to_hold(tmp_path, code):
    claimed = 1 << 31
    (tmp_path / "bomb.pt").write_bytes(b"\x80\x05" + code + claimed.to_bytes(8, "little") + b".")
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"bomb\.pt is damaged"):
        torch_files.read(tmp_path / "bomb.pt")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("size", "stride", "count", "offset"),
    [
        ((2, 3), (3, 1), 12, 7),  # ends beyond the storage
        ((10**9, 10**9), (0, 0), 12, 0),  # a bomb: one number repeated
        ((-1,), (1,), 12, 0),
        ((2, 3), (3,), 12, 0),
        ((4,), (1,), 10**12, 0),  # a storage larger than the file
    ],
)
def test_tensors_that_reach_beyond_their_storage_are_refused(tmp_path, size, stride, count, offset):
    zipped(tmp_path / "a.pt", tensor_pickle(size, stride, count, offset), **{"0": bytes(48)})
    with pytest.raises(CheckpointError, match=r"a\.pt"):
        torch_files.read(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["sr4_single.pt", "sr4_single.legacy.pt"])
def test_truncated_files_are_refused_wherever_they_end(tmp_path, name):
    data = (MICRO / name).read_bytes()
    for length in (0, 10, 100, len(data) // 2, len(data) - 9):
        (tmp_path / "cut.pt").write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"cut\.pt"):
            torch_files.read(tmp_path / "cut.pt")


def test_a_download_that_stopped_is_called_truncated(tmp_path):
    data = (MICRO / "sr4_single.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"cut\.pt .*: its end is missing: the file is truncated"):
        torch_files.read(tmp_path / "cut.pt")


def test_a_changed_byte_in_the_numbers_of_a_zip_file_is_noticed(tmp_path):
    data = bytearray((MICRO / "sr4_single.pt").read_bytes())
    weights = safetensors.numpy.load_file(MICRO / "sr4_single.safetensors")
    place = data.index(weights["body.linear_encoding.weight"].tobytes())
    data[place + 5] ^= 1
    (tmp_path / "tampered.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"tampered\.pt.*CRC"):
        torch_files.read(tmp_path / "tampered.pt")


def test_other_files_are_refused_in_one_line(tmp_path):
    compressed = tmp_path / "compressed.pt"
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10_000)
    (tmp_path / "text.pt").write_text("not a checkpoint")
    (tmp_path / "numbers.pt").write_bytes(pickle.dumps([1, 2, 3]))
    for name in ("compressed.pt", "text.pt", "numbers.pt", "missing.pt"):
        with pytest.raises(CheckpointError, match=name) as caught:
            torch_files.read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_the_usual_wrappings_are_taken_off(tmp_path):
    inner = tensor_pickle((3,), (1,), 3).replace(b"X\x01\x00\x00\x00w", b"X\x08\x00\x00\x00module.w")
    wrapped = b"\x80\x02}X\x0a\x00\x00\x00state_dict" + inner[2:-1] + b"s."
    zipped(tmp_path / "a.pt", wrapped, **{"0": np.arange(3, dtype="<f4").tobytes()})
    np.testing.assert_array_equal(torch_files.read(tmp_path / "a.pt")["w"], [0, 1, 2])


def test_the_state_of_a_training_run_is_refused(tmp_path):
    inner = tensor_pickle((3,), (1,), 3)
    run = b"\x80\x02}(X\x05\x00\x00\x00model" + inner[2:-1] + b"X\x09\x00\x00\x00optimizer}u."
    zipped(tmp_path / "run.pt", run, **{"0": np.arange(3, dtype="<f4").tobytes()})
    with pytest.raises(CheckpointError, match=r"run\.pt.*optimiser.*save 'model' of it alone"):
        torch_files.read(tmp_path / "run.pt")
