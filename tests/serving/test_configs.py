"""TF-Serving's files of batching and models, as `ipt serve` reads them."""

from pathlib import Path

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
        configs.read_models(tmp_path / "none.config", tmp_path)


def config_of(*lines):
    return "model_config_list { config { " + " ".join(lines) + " } }"


HEAD = 'name: "a" model_platform: "tensorflow"'


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ("", {9}),
        ("model_version_policy { latest { num_versions: 2 } }", {5, 9}),
        ("model_version_policy { all {} }", {1, 5, 9}),
        ("model_version_policy { specific { versions: 5 versions: 7 } }", {5}),
    ],
)
def test_policies_choose_versions(tmp_path, policy, chosen):
    file = tmp_path / "models.config"
    for base in ("/models/x", f"{tmp_path}/x"):
        file.write_text(config_of(HEAD, f'base_path: "{base}"', policy))
        served = configs.read_models(file, tmp_path)["a"]
        assert served.folder == tmp_path / "x"
        assert served.chosen([9, 1, 5]) == chosen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (config_of(HEAD, 'base_path: "/elsewhere/a"'), "base_path /elsewhere/a of a is neither in"),
        (config_of('name: "a" base_path: "/models/a"'), "model_platform of a"),
        (
            config_of(HEAD, 'base_path: "/models/a" } config {', HEAD, 'base_path: "/models/b"'),
            "a is there twice",
        ),
    ],
)
def test_what_cannot_be_served_as_configured_is_said(tmp_path, text, message):
    file = tmp_path / "models.config"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"models.config: {message}"):
        configs.read_models(file, Path("models"))
