"""The model as a Keras citizen: starts, precision, compilation, saving, sharing."""

import ast
import inspect
import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import ipt_tf
from ipt_tf import IPT, Task
from ipt_tf.model import layers
from ipt_tf.model.body import Body, TaskEmbedding

SMALL = {"num_features": 8, "patch_size": 24, "num_heads": 4, "num_layers": 2}
RNG = np.random.default_rng(0)
TILES = RNG.uniform(0, 255, (2, 24, 24, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return IPT(start="random", **SMALL)


def test_an_untrained_network_returns_its_input():
    for formulation in ("official", "paper"):
        untrained = IPT(["derain"], formulation=formulation, **SMALL)
        np.testing.assert_allclose(untrained(TILES), TILES, atol=1e-3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_network_enlarges_bilinearly(scale):
    smooth = keras.ops.image.resize(TILES[:, ::8, ::8], (24, 24), "bicubic")
    enlarged = IPT([f"sr_x{scale}"], **SMALL)(smooth)
    bilinear = keras.ops.image.resize(smooth, (24 * scale, 24 * scale), "bilinear")
    inside = slice(2 * scale, -2 * scale)
    tolerance = 1e-3 if scale < 4 else 4  # x4 is two steps of x2, which is bilinear only nearly
    np.testing.assert_allclose(enlarged[:, inside, inside], bilinear[:, inside, inside], atol=tolerance)


def test_the_random_start_is_far_from_the_identity(model):
    assert np.abs(np.array(model(TILES, task="derain")) - TILES).mean() > 10


# bfloat16 has 8 bits, of which a random start loses more than training does.
@pytest.mark.parametrize(("policy", "lost"), [("mixed_bfloat16", 0.04), ("mixed_float16", 0.02)])
def test_mixed_precision_gives_float32_near_the_full_result(model, policy, lost):
    mixed = IPT(**{**model.get_config(), "dtype": policy})
    mixed.set_weights(model.get_weights())
    for task in ("sr_x2", "denoise_50"):
        full, half = (np.array(m(TILES, task=task)) for m in (model, mixed))
        assert half.dtype == np.float32
        assert 0 < np.abs(half - full).max() < lost * np.abs(full).max()
    assert {variable.dtype for variable in mixed.variables} == {"float32"}


@pytest.mark.parametrize("layers", [0, 1])
def test_a_grown_network_restores_as_the_one_it_grew_from(layers):
    body = {} if layers else {"use_mlp": False, "use_pos": False}
    shallow = IPT(**{**SMALL, "start": "random", "num_layers": layers, **body})
    deep = shallow.grow(num_layers=2)
    for task in ("sr_x3", "denoise_50"):
        np.testing.assert_allclose(deep(TILES, task=task), shallow(TILES, task=task), atol=1e-3)
    assert deep.count_params() == IPT(**SMALL).count_params()


def test_a_network_without_its_body_is_its_heads_and_tails():
    model = IPT(**{**SMALL, "start": "random"})
    ends = model.without_body()
    assert [weight.path for weight in ends.weights if "body" in weight.path] == []
    for task in ("sr_x3", "denoise_50"):
        assert ends.own_weights(task)
        for ours, theirs in zip(ends.own_weights(task), model.own_weights(task), strict=False):
            np.testing.assert_array_equal(ours, theirs)
        assert (
            len(model.own_weights(task)) - len(ends.own_weights(task)) == 1
        )  # the embedding, which is the body's
    grown = ends.grow(num_layers=1)
    np.testing.assert_allclose(grown(TILES, task="sr_x3"), ends(TILES, task="sr_x3"), atol=1e-3)


def test_a_network_does_not_shrink():
    with pytest.raises(ValueError, match="2 layers already, and 1 are fewer"):
        IPT(**SMALL).grow(num_layers=1)


def test_it_compiles_with_xla_for_any_batch_size():
    import tensorflow as tf

    model = IPT(["sr_x2"], start="random", **{**SMALL, "num_layers": 1})
    compiled = tf.function(
        model,
        jit_compile=True,
        input_signature=[tf.TensorSpec((None, 24, 24, 3))],
    )
    for count in (1, 2):
        np.testing.assert_allclose(compiled(TILES[:count]), model(TILES[:count]), atol=1e-2)


def test_dropout_acts_in_training_only():
    dropped = IPT(["derain"], dropout=0.5, start="random", **SMALL)
    np.testing.assert_array_equal(dropped(TILES), dropped(TILES, training=False))
    assert np.abs(np.array(dropped(TILES, training=True)) - np.array(dropped(TILES))).max() > 1


def test_a_keras_file_gives_the_model_back(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(TILES, task="sr_x3"), model(TILES, task="sr_x3"))


def test_a_keras_file_keeps_every_option_and_a_users_task(tmp_path):
    options = {**SMALL, "num_layers": 1, "formulation": "paper", "dropout": 0.1, "dtype": "mixed_bfloat16"}
    model = IPT([Task("deblur"), Task("sr_x8", scale=8)], start="random", **options)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    for task in ("deblur", "sr_x8"):
        np.testing.assert_array_equal(loaded(TILES, task=task), model(TILES, task=task))


def test_a_view_of_one_task_is_saved_as_a_model_of_its_own(model, tmp_path):
    model.for_task("sr_x2").save(tmp_path / "view.keras")
    loaded = keras.models.load_model(tmp_path / "view.keras")
    assert loaded.task_names == ["sr_x2"]
    np.testing.assert_array_equal(loaded(TILES), model(TILES, task="sr_x2"))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Patches(3),
        layers.Unpatches(3),
        layers.Attention(4, dropout=0.1, output_bias=True, start="random"),
        layers.FeedForward(dropout=0.1, start="random"),
        layers.EncoderLayer(4, dropout=0.1, use_norm=False, output_bias=True, start="random"),
        layers.DecoderLayer(4, dropout=0.1, norm_memory=True),
        layers.ResBlock(start="random"),
        layers.Head(8, formulation="paper", start="random"),
        layers.Tail(4, start="random", gain=0.5),
        TaskEmbedding(64, 72, start="random"),
        Body(3, 4, 2, dropout=0.1, formulation="paper", pos_every=True, start="random"),
        IPT(["sr_x2", Task("dejpeg")], dropout=0.1, formulation="paper", **SMALL),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_configuration_is_the_constructors_arguments(layer):
    config = layer.get_config()
    again = type(layer).from_config(config).get_config()
    assert again == config
    assert config.keys() == {"name", "trainable", "dtype"} | init_arguments(type(layer))


def init_arguments(layer_class) -> set[str]:
    """Names of the public arguments that a layer and its own base classes take."""
    ours = [base for base in layer_class.__mro__ if base.__module__.startswith("ipt_tf")]
    parameters = [inspect.signature(base.__init__).parameters.values() for base in ours]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        parameter.name
        for parameter in itertools.chain(*parameters)
        if parameter.kind not in variadic and parameter.name != "self" and parameter.name[0] != "_"
    }


def test_a_configuration_can_be_written_as_json():
    config = IPT(["sr_x2", Task("dejpeg", scale=1)], num_heads=4, num_layers=1, num_features=8).get_config()
    assert IPT.from_config(json.loads(json.dumps(config))).get_config() == config


def test_patches_are_channel_major_and_unpatches_undoes_them():
    features = np.arange(6 * 6 * 2, dtype="float32").reshape(1, 6, 6, 2)
    tokens = layers.Patches(3)(features)
    np.testing.assert_array_equal(tokens[0, 1, :9], features[0, :3, 3:, 0].ravel())
    np.testing.assert_array_equal(layers.Unpatches(3)(tokens), features)


@pytest.mark.parametrize("pos_every", [False, True])
def test_layers_show_their_attention_beside_what_they_return(pos_every):
    network = IPT(["derain"], start="random", pos_every=pos_every, **SMALL)
    body, embedding = network.body, network.embeddings[0].embedding
    position = body.position if pos_every else None
    tokens = RNG.normal(size=(2, 64, 72)).astype("float32")
    encoded, own = body.encoder[0](tokens, position=position, return_attention_scores=True)
    decoded, self_scores, cross_scores = body.decoder[0](
        tokens, encoded, embedding=embedding, position=position, return_attention_scores=True
    )
    np.testing.assert_array_equal(encoded, body.encoder[0](tokens, position=position))
    plain = body.decoder[0](tokens, encoded, embedding=embedding, position=position)
    np.testing.assert_array_equal(decoded, plain)
    for scores in (own, self_scores, cross_scores):
        assert scores.shape == (2, 4, 64, 64)
        np.testing.assert_allclose(keras.ops.sum(scores, axis=-1), 1, atol=1e-5)
        assert np.ptp(scores) > 1e-4


def test_a_token_attends_most_to_the_one_that_is_like_its_query():
    attention = layers.Attention(num_heads=2)
    attention.build((1, 5, 8))
    attention.input_kernel.assign(np.tile(10 * np.eye(8), 3))
    keys = RNG.choice([-1.0, 1.0], (1, 5, 8)).astype("float32")
    keys[0, 1:] = keys[0, 1:] * np.where(keys[0, 1:] == keys[0, :1], -1, 1)  # unlike the first in every value
    _, scores = attention(keys[:, :1], keys, keys, return_attention_scores=True)
    np.testing.assert_allclose(scores[0, :, 0], [[1, 0, 0, 0, 0]] * 2, atol=1e-6)


def test_a_view_of_one_task_shares_the_weights(model):
    view = model.for_task("sr_x2")
    np.testing.assert_array_equal(view(TILES), model(TILES, task="sr_x2"))
    shared = {id(weight) for weight in model.weights}
    assert all(id(weight) in shared for weight in view.weights)
    view.tails[0].to_rgb.bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(view(TILES), model(TILES, task="sr_x2"))


def test_a_view_of_several_tasks_has_its_weights_in_the_order_of_a_model_of_these_tasks(model):
    names = model.task_names[::-1]
    view, own = model.for_tasks(names), IPT(**{**model.get_config(), "tasks": names})
    for weight, value in zip(own.weights, view.weights, strict=True):
        weight.assign(value)
    for name in names:
        np.testing.assert_array_equal(own(TILES, task=name), model(TILES, task=name))


def test_a_view_of_a_mixed_precision_model_computes_in_the_same_precision():
    mixed = IPT(["derain", "sr_x2"], start="random", **{**SMALL, "num_layers": 1, "dtype": "mixed_bfloat16"})
    view = mixed.for_task("sr_x2")
    assert view.dtype_policy == mixed.dtype_policy
    np.testing.assert_array_equal(view(TILES), mixed(TILES, task="sr_x2"))


def test_a_view_keeps_a_users_degradation():
    task = Task("dejpeg", degrade=lambda clean, rng: clean / 2)
    view = IPT(["derain", task], **{**SMALL, "num_layers": 1}).for_task("dejpeg")
    assert view.task() is task


def test_a_users_task_is_restored_like_any_other():
    model = IPT(["derain", Task("enlarge", scale=2)], **{**SMALL, "num_layers": 1})
    image = np.full((30, 41, 3), 77, np.uint8)
    np.testing.assert_array_equal(model.restore(image, "enlarge")[4:-4, 4:-4], np.full((52, 74, 3), 77))


def test_a_view_trains_with_keras_fit():
    whole = IPT(["derain", "denoise_50"], **{**SMALL, "num_layers": 1})
    before = [np.array(weight) for weight in whole.heads[1].weights]
    derain = whole.for_task("derain")
    derain.compile("adam", loss="mae")
    history = derain.fit(TILES, TILES[:, ::-1], epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    for weight, old in zip(whole.heads[1].weights, before, strict=True):
        np.testing.assert_array_equal(np.array(weight), old)


def test_the_default_is_the_papers_six_tasks_in_the_official_order():
    names = ["sr_x2", "sr_x3", "sr_x4", "derain", "denoise_30", "denoise_50"]
    assert IPT(**SMALL).task_names == names


def test_a_summary_names_the_parts(model, capsys):
    model.summary()
    out = capsys.readouterr().out
    for part in ("body", "head_sr_x2", "tail_denoise_50", "embedding_derain"):
        assert part in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": []}, "at least one task"),
        ({"tasks": ["sr_x2", "sr_x2"]}, "a name of its own"),
        ({"tasks": ["dehaze"]}, "unknown task 'dehaze'; known are sr_x2"),
        ({"tasks": [Task("sr_x5", scale=5)]}, "by 3 or by a power of two, not by 5"),
        ({"num_heads": 5}, "num_heads 5 does not divide .* = 72"),
        ({"patch_size": 25}, "25 is not a multiple of patch_dim 3"),
        ({"formulation": "mine"}, "official, paper"),
        ({"start": "zero"}, "identity, random"),
    ],
)
def test_arguments_that_make_no_network_are_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        IPT(**{**SMALL, **arguments})


def test_a_task_the_model_lacks_is_answered_with_those_it_has(model):
    with pytest.raises(ValueError, match="no task 'dehaze'; it has sr_x2, sr_x3"):
        model(TILES, task="dehaze")
    with pytest.raises(ValueError, match="no task 'dehaze'; it has sr_x2, sr_x3"):
        model.for_task("dehaze")
    with pytest.raises(ValueError, match="which task"):
        model(TILES)


def test_restore_scales_to_a_network_of_another_range():
    unit = IPT(["derain"], rgb_range=1.0, **SMALL)
    image = RNG.integers(0, 256, (30, 40, 3), np.uint8)
    np.testing.assert_array_equal(unit.restore(image), image)


PACKAGE = Path(ipt_tf.__file__).parent
MODEL_PATH = sorted(
    path.relative_to(PACKAGE).as_posix()
    for pattern in ("images.py", "degradations/*.py", "tasks.py", "restoration/*.py", "model/*.py")
    for path in PACKAGE.glob(pattern)
    if path.name != "graph.py"  # imported where TensorFlow is the backend
)


@pytest.mark.parametrize("module", MODEL_PATH)
def test_nothing_that_other_backends_need_imports_tensorflow(module):
    nodes = list(ast.walk(ast.parse((PACKAGE / module).read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported if name.split(".")[0] == "tensorflow"]


def test_restoring_traces_the_network_once_per_task_whatever_the_size_and_the_batch(monkeypatch):
    traces = []
    restore_with_tokens = IPT.restore_with_tokens

    def counted(self, images, *args, **kwargs):
        traces.extend(self.task_names)
        return restore_with_tokens(self, images, *args, **kwargs)

    monkeypatch.setattr(IPT, "restore_with_tokens", counted)
    model = IPT(["derain", "denoise_50"], **{**SMALL, "num_layers": 1})
    for size, batch_size in ((24, 16), (60, 16), (10, 1), (60, 3), (90, 16)):
        for task in ("derain", "denoise_50"):
            model.restore(np.zeros((size, size, 3), np.uint8), task, batch_size=batch_size)
    assert traces == ["derain", "denoise_50"]
