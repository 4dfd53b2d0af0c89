"""Fine-tuning as a user meets it: a task of the weights, a new one, one's own, on photographs and on pairs."""

import numpy as np
import pytest
from PIL import Image

from ipt_tf import IPT, Task
from ipt_tf.cli import main
from ipt_tf.degradations import gaussian_noise
from ipt_tf.training import finetune, recipes

CONFIG = {"num_features": 4, "patch_size": 12, "num_heads": 2, "num_layers": 1}
RECIPE = recipes.find("finetune", batch_size=4, learning_rate=1e-9, final_learning_rate=1e-9)
OWN_TASK = """
import numpy as np
from keras import ops
from ipt_tf import Task

def darker(clean, rng):
    return ops.cast(clean, "float32") / 2

night = Task("night", degrade=darker)
"""


@pytest.fixture
def weights(tmp_path):
    IPT(["sr_x2", "denoise_30"], start="random", **CONFIG).save_pretrained(tmp_path / "weights")
    return tmp_path / "weights"


def same(model, other):
    tiles = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 3)).astype("float32")
    outputs = (model(tiles), other(tiles))
    np.testing.assert_allclose(*map(np.asarray, outputs), rtol=0, atol=1e-2)


def test_one_task_is_taken_and_the_others_left_behind(photographs, weights, tmp_path):
    tuned = finetune.finetune(photographs, "sr_x2", weights, RECIPE, tmp_path / "run", steps=2, held_out=2)
    assert tuned.task_names == ["sr_x2"]
    loaded = IPT.from_pretrained(tmp_path / "run" / "model")
    same(loaded, IPT.from_pretrained(weights, task="sr_x2"))  # at such a learning rate


def test_the_weights_that_are_best_for_a_task_are_where_it_starts(photographs, weights, tmp_path):
    IPT(["denoise_30"], start="random", **CONFIG).save_pretrained(weights / "denoise_30")
    for name, options in (("denoise_30", {}), ("denoise_10", {"like": "denoise_30"})):
        out = tmp_path / name
        tuned = finetune.finetune(photographs, name, weights, RECIPE, out, steps=2, held_out=2, **options)
        same(tuned, IPT.from_pretrained(weights / "denoise_30"))


def test_a_new_task_starts_as_the_named_one(photographs, weights, tmp_path):
    out = tmp_path / "run"
    tuned = finetune.finetune(
        photographs, "denoise_10", weights, RECIPE, out, steps=2, held_out=2, like="denoise_30"
    )
    assert tuned.task_names == ["denoise_10"]
    same(tuned, IPT.from_pretrained(weights, task="denoise_30"))


@pytest.mark.parametrize("name", ["denoise", "jpeg"])
def test_a_task_of_varying_strength_is_trained_and_keeps_its_levels(photographs, weights, tmp_path, name):
    out = tmp_path / "run"
    finetune.finetune(photographs, name, weights, RECIPE, out, steps=2, held_out=2, like="denoise_30")
    loaded = IPT.from_pretrained(out / "model")
    assert loaded.task_names == [name]
    assert loaded.task().levels
    same(loaded, IPT.from_pretrained(weights, task="denoise_30"))


def test_a_new_task_needs_one_to_start_from(photographs, weights, tmp_path):
    with pytest.raises(ValueError, match=r"no task denoise_10: name one .* of sr_x2, denoise_30"):
        finetune.finetune(photographs, "denoise_10", weights, RECIPE, tmp_path / "run", steps=2)
    with pytest.raises(ValueError, match="has scale 1, sr_x2 has 2"):
        finetune.finetune(photographs, "denoise_10", weights, RECIPE, tmp_path / "run", steps=2, like="sr_x2")


def test_a_task_of_ones_own_can_replace_one_of_the_same_name(weights):
    model = IPT.from_pretrained(weights)
    stronger = Task("denoise_30", degrade=gaussian_noise(33))
    assert finetune.one_task(model, stronger, like=None).task().degrade is stronger.degrade


def test_the_command_trains_a_task_that_a_file_defines(photographs, weights, tmp_path, capsys):
    (tmp_path / "tasks.py").write_text(OWN_TASK)
    out = tmp_path / "run"
    command = [
        "finetune",
        "--data",
        str(photographs),
        "--task",
        f"{tmp_path}/tasks.py:night",
        "--from",
        str(weights),
    ]
    command += [
        "--like",
        "denoise_30",
        "--steps",
        "2",
        "--out",
        str(out),
        "--hold-out",
        "2",
        "--set",
        "batch_size=2",
    ]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "model")
    assert IPT.from_pretrained(out / "model").task_names == ["night"]


def test_the_command_says_what_a_file_defines(photographs, weights, tmp_path, capsys):
    (tmp_path / "tasks.py").write_text(OWN_TASK)
    command = [
        "finetune",
        "--data",
        str(photographs),
        "--from",
        str(weights),
        "--steps",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert main([*command, "--task", f"{tmp_path}/tasks.py:day"]) == 1
    assert "defines no Task 'day'; it defines night" in capsys.readouterr().err
    assert main([*command, "--task", f"{tmp_path}/none.py:day"]) == 1
    assert f"there is no file {tmp_path}/none.py" in capsys.readouterr().err


def test_pairs_are_trained_on(weights, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("rainy", "clean"):
        (tmp_path / folder).mkdir()
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / folder / f"{i}.png")
    pairs = (tmp_path / "rainy", tmp_path / "clean")
    lines = []
    derain = Task("derain_own")
    tuned = finetune.finetune(
        pairs,
        derain,
        weights,
        RECIPE,
        tmp_path / "run",
        steps=2,
        held_out=1,
        like="denoise_30",
        log=lines.append,
    )
    assert lines[0] == "4 pairs"
    assert any("validation PSNR derain_own" in line for line in lines)
    assert tuned.task_names == ["derain_own"]
