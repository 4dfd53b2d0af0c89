"""Loading and saving: what fits is loaded whole, what does not is refused with what differs."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from ipt_tf import IPT, Task, tasks
from ipt_tf.model import checkpoints, presets
from ipt_tf.model.torch_files import CheckpointError

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "tiny24" / "state_dict.safetensors"
SMALL = {"num_features": 4, "patch_size": 12, "num_heads": 2, "num_layers": 1}


def scrambled(**config):
    """A small model whose every weight is random, so that a mix-up of any two shows."""
    model = IPT(**{**SMALL, **config})
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    return model


def same_weights(a, b, **tolerance):
    for x, y in zip(a.weights, b.weights, strict=True):
        np.testing.assert_allclose(np.array(x), np.array(y), **tolerance)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"tasks": ["derain"]},
        {"formulation": "paper"},
        {"tasks": [Task("dejpeg"), "sr_x8"], "output_bias": True},
    ],
    ids=["six tasks", "one task", "paper", "own task"],
)
def test_a_saved_folder_gives_the_same_model_back(tmp_path, config):
    model = scrambled(**config)
    model.save_pretrained(tmp_path / "saved")
    loaded = IPT.from_pretrained(tmp_path / "saved")
    assert loaded.task_names == model.task_names
    assert {**loaded.get_config(), "name": 0} == {**model.get_config(), "name": 0}
    same_weights(model, loaded, rtol=0, atol=0)


def test_float16_halves_the_file_and_rounds_the_weights(tmp_path):
    model = scrambled()
    model.save_pretrained(tmp_path / "full")
    model.save_pretrained(tmp_path / "half", dtype="float16")
    sizes = [(tmp_path / name / checkpoints.WEIGHTS).stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    same_weights(model, IPT.from_pretrained(tmp_path / "half"), rtol=1e-3, atol=1e-6)


def test_saved_weights_have_the_official_names_and_layouts(tmp_path):
    """An official file, loaded and saved again, is the same table of tensors."""
    IPT.from_pretrained(TINY, num_heads=4).save_pretrained(tmp_path / "saved")
    official = safetensors.numpy.load_file(TINY)
    saved = safetensors.numpy.load_file(tmp_path / "saved" / checkpoints.WEIGHTS)
    assert saved.keys() == official.keys()
    for name, array in official.items():
        np.testing.assert_allclose(saved[name], array, rtol=1e-6, err_msg=name)


def test_saving_replaces_a_saved_model_but_nothing_else(tmp_path):
    model = scrambled(tasks=["derain"])
    model.save_pretrained(tmp_path / "saved")
    model.save_pretrained(tmp_path / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("precious")
    with pytest.raises(ValueError, match="is not a saved model"):
        model.save_pretrained(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "precious"
    (tmp_path / "thesis" / "config.json").write_text('{"model_type": "bert"}')  # somebody else's model
    with pytest.raises(ValueError, match="is not a saved model"):
        model.save_pretrained(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "precious"


def test_a_model_card_in_the_folder_survives_saving_again(tmp_path):
    model = scrambled(tasks=["derain"])
    model.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "README.md").write_text("trained for two hours")
    model.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "README.md").read_text() == "trained for two hours"
    same_weights(model, IPT.from_pretrained(tmp_path / "saved"))


def test_the_old_model_is_still_there_where_saving_fails(tmp_path, monkeypatch):
    old, new = scrambled(tasks=["derain"]), IPT(["derain"], **SMALL)
    old.save_pretrained(tmp_path / "saved")
    rename = Path.rename

    def full_disk(path, target):
        if path.name.endswith(".part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full_disk)
    with pytest.raises(CheckpointError, match=r"saved cannot be written: No space left"):
        new.save_pretrained(tmp_path / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    same_weights(old, IPT.from_pretrained(tmp_path / "saved"))


def test_a_model_with_broken_weights_is_not_saved(tmp_path):
    model = scrambled(tasks=["derain"])
    model.tails[0].to_rgb.bias.assign([0, np.nan, 0])
    with pytest.raises(ValueError, match=r"tail\.0\.1\.bias holds values that are not finite"):
        model.save_pretrained(tmp_path / "saved")
    model.tails[0].to_rgb.bias.assign([0, 1e6, 0])
    with pytest.raises(ValueError, match=r"tail\.0\.1\.bias has values that float16 cannot hold"):
        model.save_pretrained(tmp_path / "saved", dtype="float16")
    assert not (tmp_path / "saved").exists()


def test_a_tampered_or_incomplete_folder_is_refused(tmp_path):
    scrambled(tasks=["derain"]).save_pretrained(tmp_path / "saved")
    weights = tmp_path / "saved" / checkpoints.WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="sha256"):
        IPT.from_pretrained(tmp_path / "saved")
    weights.unlink()
    with pytest.raises(CheckpointError, match="is not a saved model"):
        IPT.from_pretrained(tmp_path / "saved")


def test_a_configuration_that_makes_no_network_is_refused(tmp_path):
    scrambled(tasks=["derain"]).save_pretrained(tmp_path / "saved")
    config = tmp_path / "saved" / checkpoints.CONFIG
    good = config.read_text()
    for change in ({"num_layerz": 3}, {"num_heads": 5}, {"num_layers": 2}):
        description = json.loads(good)
        description["config"] |= change
        config.write_text(json.dumps(description))
        with pytest.raises(CheckpointError, match="saved: "):
            IPT.from_pretrained(tmp_path / "saved")


def test_a_saved_folder_takes_no_options_for_official_files(tmp_path):
    scrambled(tasks=["derain"]).save_pretrained(tmp_path / "saved")
    with pytest.raises(ValueError, match=r"are for official files; .*saved has its own in config\.json"):
        IPT.from_pretrained(tmp_path / "saved", num_heads=2)


def test_the_weights_of_a_saved_folder_are_an_official_file(tmp_path):
    model = scrambled()
    model.save_pretrained(tmp_path / "saved", dtype="float16")
    again = IPT.from_pretrained(tmp_path / "saved" / checkpoints.WEIGHTS, num_heads=2)
    assert {**again.get_config(), "name": 0} == {**model.get_config(), "name": 0}
    same_weights(model, again, rtol=1e-3, atol=1e-6)


def test_the_shape_of_the_network_is_read_from_the_file():
    model = IPT.from_pretrained(TINY, num_heads=4)
    assert model.task_names == ["sr_x2", "sr_x3", "sr_x4", "derain", "denoise_30", "denoise_50"]
    config = model.get_config()
    expected = {"num_features": 8, "patch_size": 24, "patch_dim": 3, "num_layers": 2, "rgb_range": 255}
    assert {name: config[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("file", "name", "task"),
    [
        ("sr3_single", "IPT_sr3.pt", "sr_x3"),
        ("sr4_single", "anything.pt", "sr_x4"),
        ("sr8", "x.pt", "sr_x8"),
        ("denoise_single", "IPT_denoise50.pt", "denoise_50"),
        ("denoise_single", "ipt_denoise30.pth", "denoise_30"),
        ("denoise_single", "IPT_derain.pt", "derain"),
    ],
)
def test_single_task_files_are_known_by_scale_or_by_their_names(tmp_path, file, name, task):
    shutil.copy(FIXTURES / "micro" / f"{file}.pt", tmp_path / name)
    assert IPT.from_pretrained(tmp_path / name, num_heads=2).task_names == [task]


def test_a_scale_1_file_of_unknown_purpose_asks_for_it():
    path = FIXTURES / "micro" / "denoise_single.pt"
    with pytest.raises(ValueError, match="say which, with task= or --task"):
        IPT.from_pretrained(path, num_heads=2)
    assert IPT.from_pretrained(path, task="derain", num_heads=2).task_names == ["derain"]
    assert IPT.from_pretrained(path, task="dehaze", num_heads=2).task_names == ["dehaze"]


def test_a_task_that_the_file_is_not_for_is_refused():
    with pytest.raises(ValueError, match="tails of scale 4, which is not sr_x2"):
        IPT.from_pretrained(FIXTURES / "micro" / "sr4_single.pt", task="sr_x2", num_heads=2)
    with pytest.raises(ValueError, match="no task 'sr_x8'; it has sr_x2"):
        IPT.from_pretrained(TINY, task="sr_x8", num_heads=4)


def test_one_task_of_six_is_picked():
    assert IPT.from_pretrained(TINY, task="derain", num_heads=4).task_names == ["derain"]


def test_heads_that_do_not_divide_are_asked_for():
    with pytest.raises(
        ValueError, match=r"tokens of 16 values, which 12 attention heads do not divide: .* --num-heads"
    ):
        IPT.from_pretrained(FIXTURES / "micro" / "sr4_single.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("body.mlp_head.0.bias"), "body.mlp_head.0.bias is missing"),
        (lambda t: t.update({"body.extra.weight": np.zeros(3, "float32")}), "body.extra.weight is unknown"),
        (
            lambda t: t.update({"tail.0.1.bias": np.zeros(4, "float32")}),
            r"tail.0.1.bias is \(4,\), expected \(3,\)",
        ),
        (lambda t: t.update({"tail.0.1.bias": np.full(3, np.nan, "float32")}), "tail.0.1.bias holds values"),
        (
            lambda t: t.update({"sub_mean.bias": np.zeros(3, "float32")}),
            "sub_mean.bias is not the constant",
        ),
        (
            lambda t: t.update(
                {"body.encoder.layers.0.self_attn.in_proj_weight": np.zeros((1, 40000), "float32")}
            ),
            "no checkpoint of an IPT: tokens of 40000 values",
        ),
        (
            lambda t: t.update({"body.encoder.layers.99999999.norm1.weight": np.zeros(16, "float32")}),
            "body.decoder.layers.1.linear1.bias is missing",
        ),
        (lambda t: t.pop("head.0.0.weight"), "no checkpoint of an IPT"),
        (
            lambda t: t.update({"add_mean.bias": np.full(3, np.nan, "float32")}),
            "add_mean.bias holds values that are not finite",
        ),
        (
            lambda t: t.update({"body.position_encoding.pe.weight": np.zeros((90_000, 1), "float32")}),
            r"holds \d+ numbers, where its shapes promise \d+",
        ),
        (
            lambda t: t.update(
                {f"body.encoder.layers.{i}.norm1.weight": np.zeros(1, "float32") for i in range(1, 1000)}
            ),
            r"holds \d+ numbers, where its shapes promise \d+",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_differs(tmp_path, change, message):
    tensors = safetensors.numpy.load_file(FIXTURES / "micro" / "sr4_single.safetensors")
    change(tensors)
    safetensors.numpy.save_file(tensors, tmp_path / "changed.safetensors")
    with pytest.raises(CheckpointError, match=message) as caught:
        IPT.from_pretrained(tmp_path / "changed.safetensors", num_heads=2)
    assert "changed.safetensors" in str(caught.value)


def test_nothing_is_assigned_where_anything_differs():
    model, tensors = scrambled(tasks=["derain"]), checkpoints.tensors_of(IPT(["derain"], **SMALL))
    before = [np.array(weight) for weight in model.weights]
    tensors["tail.0.1.bias"] = np.zeros(5, "float32")
    with pytest.raises(CheckpointError):
        checkpoints.assign(model, tensors)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.array(weight), old)


def test_unknown_sources_are_answered_with_what_there_is(tmp_path):
    with pytest.raises(ValueError, match="there are ipt_tiny, ipt_small, ipt_base; a path"):
        IPT.from_pretrained("ipt_huge")
    with pytest.raises(ValueError, match=r"nowhere\.pt does not exist"):
        IPT.from_pretrained(tmp_path / "nowhere.pt")
    with pytest.raises(
        ValueError, match=r"Pretrained-IPT and load it: IPT\.from_pretrained\(\"IPT_pretrain\.pt\"\)"
    ):
        IPT.from_pretrained("ipt_base")
    (tmp_path / "text.safetensors").write_text("not tensors")
    with pytest.raises(CheckpointError, match=r"text\.safetensors is damaged"):
        IPT.from_pretrained(tmp_path / "text.safetensors")


@pytest.fixture
def preset(tmp_path, monkeypatch):
    """ipt_tiny with weights for two tasks, and beside them finer ones for one of these and for another."""
    folder = tmp_path / "weights" / "ipt_tiny"
    shared = scrambled(tasks=["sr_x2", "denoise_50"])
    shared.save_pretrained(folder)
    for name in ("denoise_50", "denoise"):
        tuned = shared.adapt(tasks.find(name), like="denoise_50")
        tuned.body.position.assign(tuned.body.position + 1)
        tuned.save_pretrained(folder / name)
    monkeypatch.setattr(presets, "WEIGHTS", tmp_path / "weights")
    return folder


def test_every_task_has_the_weights_that_are_for_it_alone_however_it_is_asked_for(preset):
    model, tuned = IPT.from_pretrained("ipt_tiny"), IPT.from_pretrained(preset / "denoise_50")
    assert model.task_names == ["sr_x2", "denoise_50", "denoise"]
    for found in (
        IPT.from_pretrained("ipt_tiny", task="denoise_50"),
        IPT.from_pretrained(preset).for_task("denoise_50"),
        model.for_task("denoise_50"),
    ):
        same_weights(found, tuned, rtol=0, atol=0)
    same_weights(model.for_task("sr_x2"), IPT.from_pretrained("ipt_tiny", task="sr_x2"), rtol=0, atol=0)


def test_the_weights_that_all_share_are_there_by_their_name(preset):
    for name in ("ipt_tiny/model.safetensors", preset / "model.safetensors"):
        shared = IPT.from_pretrained(name)
        assert shared.task_names == ["sr_x2", "denoise_50"]
        tuned = IPT.from_pretrained("ipt_tiny", task="denoise_50")
        np.testing.assert_array_equal(np.array(tuned.body.position), np.array(shared.body.position) + 1)


def test_weights_for_one_task_alone_may_be_for_a_task_that_the_others_lack(preset):
    assert IPT.from_pretrained("ipt_tiny", task="denoise").task_names == ["denoise"]
    assert IPT.from_pretrained(preset, task="denoise").task_names == ["denoise"]
    with pytest.raises(ValueError, match=r"it has sr_x2, denoise_50; beside it are weights for denoise$"):
        IPT.from_pretrained("ipt_tiny", task="derain")


def test_a_folder_of_folders_is_no_model(preset):
    """As the folder of a run is, whose model/ and best/ are models."""
    (preset / checkpoints.CONFIG).unlink()
    with pytest.raises(ValueError, match="is not a saved model"):
        IPT.from_pretrained(preset)


def test_weights_for_one_task_alone_have_a_name_of_their_own(preset):
    name = checkpoints.with_task("ipt_tiny", "denoise")
    assert name == "ipt_tiny/denoise"
    assert checkpoints.weights_file(name) == preset / "denoise" / checkpoints.WEIGHTS
    assert IPT.from_pretrained(name).task_names == ["denoise"]
    assert checkpoints.with_task("ipt_tiny", "sr_x2") == checkpoints.with_task("ipt_tiny", None) == "ipt_tiny"
    with pytest.raises(ValueError, match="ipt_tiny/derain does not exist"):
        IPT.from_pretrained("ipt_tiny/derain")


def test_weights_beside_the_others_may_be_for_several_tasks(preset):
    (preset / "denoise_50").rename(preset / "derain+denoise_50+sr_x2")
    assert checkpoints.with_task("ipt_tiny", "denoise_50") == "ipt_tiny/derain+denoise_50+sr_x2"
    assert checkpoints.by_source("ipt_tiny", ["sr_x4", "denoise", "derain", "sr_x2"]) == {
        "ipt_tiny": ["sr_x4"],
        "ipt_tiny/denoise": ["denoise"],
        "ipt_tiny/derain+denoise_50+sr_x2": ["derain", "sr_x2"],
    }
    tuned = IPT.from_pretrained("ipt_tiny", task="denoise_50")
    same_weights(tuned, IPT.from_pretrained(preset / "derain+denoise_50+sr_x2"), rtol=0, atol=0)
    with pytest.raises(
        ValueError, match=r"it has sr_x2, denoise_50; beside it are weights for denoise, derain$"
    ):
        IPT.from_pretrained("ipt_tiny", task="jpeg")


def test_weights_for_one_task_alone_survive_saving_the_others_again(preset):
    IPT.from_pretrained("ipt_tiny/model.safetensors").save_pretrained(preset)
    assert IPT.from_pretrained("ipt_tiny", task="denoise").task_names == ["denoise"]


def test_the_shipped_weights_are_those_their_config_names():
    folder = presets.find("ipt_tiny").folder
    model = IPT.from_pretrained("ipt_tiny/model.safetensors")
    assert json.loads((folder / checkpoints.CONFIG).read_text())["config"] == {
        key: value for key, value in model.get_config().items() if key not in ("name", "trainable", "dtype")
    }
    assert (folder / checkpoints.WEIGHTS).stat().st_size < 8 * 2**20


def test_the_weights_that_ship_beside_the_shared_ones_are_for_the_tasks_they_are_named_after():
    shared = presets.find("ipt_tiny").folder
    folders = [path.parent for path in shared.glob(f"*/{checkpoints.CONFIG}")]
    assert folders
    for folder in folders:
        assert IPT.from_pretrained(folder).task_names == folder.name.split("+")
    assert sum(path.stat().st_size for path in shared.rglob(checkpoints.WEIGHTS)) < 24 * 2**20
