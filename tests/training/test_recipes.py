"""The learning-rate schedule, and recipes as data."""

from itertools import pairwise

import pytest

from ipt_tf.training import recipes


def test_the_learning_rate_rises_stays_and_falls():
    recipe = recipes.Recipe(learning_rate=1.0, final_learning_rate=0.1, warmup=10, decay=0.5)
    rates = [recipe.learning_rate_at(step, steps=100) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:51] == pytest.approx([1.0] * 41)
    assert all(a > b for a, b in pairwise(rates[51:]))
    assert rates[75] == pytest.approx(0.55)
    assert 0.1 < rates[99] < 0.102


def test_a_recipe_is_found_by_name_and_changed():
    assert recipes.find("ours", batch_size=4).batch_size == 4
    with pytest.raises(ValueError, match="unknown recipe 'theirs'; there are ours, paper, finetune"):
        recipes.find("theirs")


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"decay": 1.5},
        {"precision": "float8"},
        {"schedule": "linear"},
        {"accumulate": 3},
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        recipes.find("ours", **wrong)


def test_micro_batches_of_one_image_are_refused_where_images_are_compared():
    with pytest.raises(ValueError, match="a batch of 4 with accumulate 4 has one in each"):
        recipes.find("paper", batch_size=4, accumulate=4)
    assert recipes.find("paper", batch_size=4, accumulate=4, contrastive_form="supervised")
    assert recipes.find("ours", batch_size=4, accumulate=4)


def test_the_papers_recipe_is_section_4():
    recipe = recipes.find("paper")
    assert (recipe.batch_size, recipe.contrastive, recipe.contrastive_form) == (256, 0.1, "paper")
    rates = [recipe.learning_rate_at(step, steps=300) for step in range(300)]
    assert rates == [5e-5] * 200 + [2e-5] * 100


def test_values_are_read_from_the_command_line_in_their_types():
    changes = recipes.parse(["batch_size=64", "clip_norm=none", "xla=true", "schedule=step", "ema=0.99"])
    assert changes == {"batch_size": 64, "clip_norm": None, "xla": True, "schedule": "step", "ema": 0.99}
    for wrong in ("batch=64", "batch_size", "batch_size=many", "xla=maybe"):
        with pytest.raises(ValueError, match=wrong.partition("=")[0]):
            recipes.parse([wrong])
