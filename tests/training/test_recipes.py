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
    with pytest.raises(ValueError, match="unknown recipe 'theirs'; there are ours"):
        recipes.find("theirs")


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"decay": 1.5}, {"precision": "float8"}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("_", " ")):
        recipes.find("ours", **wrong)
