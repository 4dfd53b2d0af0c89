"""TF-Serving's files of batching and labels, as `ipt serve` reads them."""

import pytest

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

from ipt_tf.serving import configs


def test_batching_is_read_and_what_is_not_said_has_its_default(tmp_path):
    file = tmp_path / "batching.txt"
    file.write_text("max_batch_size { value: 8 }\nallowed_batch_sizes: 4\nallowed_batch_sizes: 8\n")
    read = configs.read_batching(file)
    assert (read.max_batch_size, read.allowed_batch_sizes) == (8, (4, 8))
    assert read.num_batch_threads == configs.Batching().num_batch_threads


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_sise { value: 8 }", "is not a BatchingParameters of TF-Serving: .*max_batch_sise"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "end with max_batch_size, 8"),
        ("num_batch_threads { value: 0 }", "numbers from 1"),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path, text, message):
    file = tmp_path / "batching.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"batching.txt.*{message}"):
        configs.read_batching(file)


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.config: No such file"):
        configs.read_labels(tmp_path / "none.config")
