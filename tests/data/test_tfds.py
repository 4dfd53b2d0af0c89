"""A dataset of TensorFlow Datasets trains as the same pictures in a folder do."""

import itertools

import numpy as np
import pytest
from PIL import Image

from ipt_tf import tasks
from ipt_tf.data import Pairs, Photographs, batches, open_source

tfds = pytest.importorskip("tensorflow_datasets", reason="the extra ipt_tf[tfds] is not installed")
import ipt_tf.data.builders  # noqa: E402, F401


def prepare(name, manual_dir, data_dir, file_format="array_record"):
    builder = tfds.builder(name, data_dir=data_dir, file_format=file_format)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def table(*names):
    return [tasks.find(name) for name in names]


def take(source, names, count=5, patch_size=24, **options):
    stream = batches(source, table(*names), patch_size=patch_size, batch_size=4, seed=3, **options)
    return [[part.numpy() for part in batch] for batch in itertools.islice(stream, count)]


def assert_same(some, others, atol=0):
    for batch, other in zip(some, others, strict=True):
        for part, other_part in zip(batch, other, strict=True):
            np.testing.assert_allclose(part, other_part, atol=atol)


@pytest.fixture
def png_photographs(tmp_path):
    """A folder of seven small photographs, PNG, some of them grey, of different sizes."""
    folder, rng = tmp_path / "png", np.random.default_rng(1)
    folder.mkdir()
    for i in range(7):
        shape = (80 + i, 90 - i) if i == 3 else (80 + i, 90 - i, 3)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def stored(png_photographs, tmp_path):
    prepare("ipt_photographs", png_photographs, tmp_path / "datasets")
    return open_source("tfds:ipt_photographs", table("sr_x2"), 24, tmp_path / "datasets", log=str)


def test_a_dataset_gives_the_batches_of_the_folder_it_was_made_of(png_photographs, stored):
    names = ("sr_x2", "denoise_50")
    folder = Photographs.of_folder(png_photographs, smallest_side=48)
    assert_same(take(stored, names), take(folder, names))


def test_resuming_goes_on_with_the_same_batches(stored):
    assert_same(take(stored, ["sr_x2"], 5)[3:], take(stored, ["sr_x2"], 2, first_step=3))


def test_workers_share_every_batch_and_no_picture_twice(stored):
    whole = take(stored, ["denoise_30"], 3)
    shares = [take(stored, ["denoise_30"], 3, replicas=2, share=(i, 2)) for i in range(2)]
    assert_same(
        [[np.concatenate(parts) for parts in zip(*both, strict=True)] for both in zip(*shares, strict=True)],
        whole,
    )


def test_jpegs_are_decoded_as_the_folder_decodes_them(photographs, tmp_path):
    prepare("ipt_photographs", photographs, tmp_path / "datasets")
    stored = open_source("tfds:ipt_photographs", table("denoise_30"), 24, tmp_path / "datasets", log=str)
    folder = Photographs.of_folder(photographs, smallest_side=24)
    cleans = [[batch[1]] for batch in take(stored, ["denoise_30"])]
    # Decoders differ in how they enlarge the colour planes.
    assert_same(cleans, [[batch[1]] for batch in take(folder, ["denoise_30"])], atol=8)


def test_a_picture_too_small_for_a_crop_is_replaced_and_named(png_photographs, tmp_path):
    Image.fromarray(np.zeros((10, 200, 3), np.uint8)).save(png_photographs / "5.png")
    prepare("ipt_photographs", png_photographs, tmp_path / "datasets")
    stored = open_source("tfds:ipt_photographs", table("denoise_30"), 24, tmp_path / "datasets", log=str)
    with pytest.warns(
        UserWarning, match=r"left out record 5 of tfds:ipt_photographs.*200 x 10 pixels, too small"
    ):
        assert len(take(stored, ["denoise_30"], 4)) == 4


def test_held_out_pictures_and_fractions_are_those_of_the_folder(png_photographs, stored):
    folder = Photographs.of_folder(png_photographs, smallest_side=48)
    (train, validation), (of_folder, held_out) = stored.split(2, 0, 0.5), folder.split(2, 0, 0.5)
    assert (len(train), len(validation)) == (len(of_folder), len(held_out)) == (3, 2)
    task = tasks.find("denoise_50")
    for ours, theirs in zip(
        validation.validation_pairs(task, 24, 0), held_out.validation_pairs(task, 24, 0), strict=True
    ):
        np.testing.assert_allclose(ours, theirs)


def test_pairs_give_the_batches_of_their_two_folders(tmp_path):
    rng = np.random.default_rng(2)
    for folder, factor in (("degraded", 1), ("clean", 2)):
        (tmp_path / "pairs" / folder).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 256, (40 * factor, (50 + i) * factor, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pairs" / folder / f"{i}.png")
    prepare("ipt_pairs", tmp_path / "pairs", tmp_path / "datasets")
    reference = "tfds:ipt_pairs#degraded,clean"
    stored = open_source(reference, table("sr_x2"), 24, tmp_path / "datasets", log=str)
    folders = Pairs.of_folders(tmp_path / "pairs/degraded", tmp_path / "pairs/clean", scale=2, patch_size=24)
    assert_same(take(stored, ["sr_x2"]), take(folders, ["sr_x2"]))
    task = tasks.find("sr_x2")
    assert_same([stored.validation_pairs(task, 24, 0)], [folders.validation_pairs(task, 24, 0)])
    with pytest.raises(ValueError, match="train one task of scale 2, not denoise_30"):
        take(stored, ["denoise_30"])


def test_benchmark_sets_become_datasets(bench, tmp_path):
    for name, pictures in (("cbsd68", ["clean"]), ("rain100l", ["clean", "derain"])):
        builder = prepare(f"ipt_benchmark/{name}", bench, tmp_path / "datasets")
        assert [key for key in builder.info.features if key != "name"] == pictures
        assert builder.info.splits["test"].num_examples == 2
    record = builder.as_data_source("test")[1]
    np.testing.assert_array_equal(
        record["clean"], np.asarray(Image.open(bench / "Rain100L/norain/norain-002.png"))
    )
    np.testing.assert_array_equal(
        record["derain"], np.asarray(Image.open(bench / "Rain100L/rain/rain-002.png"))
    )


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("tfds:no_such_dataset", "no_such_dataset"),
        ("tfds:ipt_photographs@test", "its splits are train"),
        ("tfds:ipt_photographs#hr", "its pictures are image; end with #CLEAN"),
        ("tfds:ipt_photographs#image,image,image", "end with #CLEAN, or with #DEGRADED,CLEAN"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(stored, tmp_path, reference, message):
    with pytest.raises(ValueError, match=message):
        open_source(reference, table("sr_x2"), 24, tmp_path / "datasets", log=str)


def test_a_dataset_that_cannot_be_read_at_random_is_refused_with_the_command_that_converts_it(
    png_photographs, tmp_path
):
    prepare("ipt_photographs", png_photographs, tmp_path / "old", file_format="tfrecord")
    with pytest.raises(
        ValueError, match=r"tfds convert_format --dataset_version_dir=.*--out_file_format=array_record"
    ):
        open_source("tfds:ipt_photographs", table("sr_x2"), 24, tmp_path / "old", log=str)
