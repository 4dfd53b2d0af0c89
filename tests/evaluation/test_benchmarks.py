"""A model measured on benchmark sets, in one go or in several."""

import contextlib
import dataclasses
import hashlib
import json
import sys

import numpy as np
import pytest

from ipt_tf import IPT, tasks
from ipt_tf.evaluation import baselines, benchmarks, formats, tables
from ipt_tf.model import checkpoints, presets
from ipt_tf.tasks import Task


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def kept_files(tmp_path):
    return lambda: list((tmp_path / "here").iterdir())


def untimed(scores):
    return [dataclasses.replace(score, seconds=0) for score in scores]


def test_a_network_that_does_nothing_scores_as_its_input_does(identity, bench):
    evaluation = benchmarks.evaluate(identity.for_task("denoise_50"), bench)
    network, noisy = (
        [score for score in evaluation.scores() if score.method == name]
        for name in (evaluation.network.name, "input")
    )
    assert [(score.set, score.n) for score in network] == [("CBSD68", 2), ("Mine", 1)]
    for ours, theirs in zip(network, noisy, strict=True):
        assert ours.psnr_y == pytest.approx(theirs.psnr_y, abs=1e-4)
        assert ours.psnr_y > ours.psnr_rgb > 10
    assert network == evaluation.network_scores()


def test_rain_that_is_not_there_is_removed_without_any_error(identity, bench):
    for picture in (bench / "Rain100L" / "rain").iterdir():
        picture.write_bytes((bench / "Rain100L" / "norain" / f"no{picture.name}").read_bytes())
    (score,) = benchmarks.evaluate(identity, bench / "Rain100L").network_scores()
    assert score.psnr_y == score.psnr_rgb == float("inf")
    assert score.ssim_y == pytest.approx(1)


def test_noise_that_is_not_clamped_reaches_the_network(identity, bench):
    seen = {}
    for clamp in (True, False):
        evaluation = benchmarks.evaluate(identity.for_task("denoise_50"), bench / "CBSD68", clamp_noise=clamp)
        (job,) = evaluation.jobs
        seen[clamp] = job.task.make_input(np.full((1, 8, 8, 3), 250.0), np.random.default_rng(0))
    assert float(np.max(seen[True])) == 255
    assert float(np.max(seen[False])) > 300
    assert evaluation.conditions.noise == "not clamped"


def test_the_weights_are_named_by_the_sha256_of_their_file(tmp_path, identity):
    identity.save_pretrained(tmp_path / "saved")
    official = tmp_path / "IPT_sr4.pt"
    official.write_bytes(b"weights")
    assert checkpoints.weights_file(tmp_path / "saved") == tmp_path / "saved" / "model.safetensors"
    assert checkpoints.weights_file(official) == official
    assert checkpoints.weights_file("ipt_tiny").parent == presets.find("ipt_tiny").folder
    with pytest.raises(ValueError, match="unknown preset 'ipt_huge'"):
        checkpoints.weights_file("ipt_huge")


def test_the_conditions_tell_what_the_scores_depend_on(tmp_path, identity, bench):
    identity.save_pretrained(tmp_path / "saved")
    settings = {"overlap": 4, "self_ensemble": True}
    found = benchmarks.evaluate(
        identity, bench / "Rain100L", source=tmp_path / "saved", **settings
    ).conditions
    digest = hashlib.sha256((tmp_path / "saved" / "model.safetensors").read_bytes()).hexdigest()
    (weights,) = found.weights
    assert (found.model, weights.model, weights.sha256) == (*[str(tmp_path / "saved")] * 2, digest)
    assert found.tiling == "tiles of 24 with an overlap of 4, blended, self-ensemble of 8"
    official = benchmarks.evaluate(identity, bench / "Rain100L", official_tiling=True).conditions
    assert official.tiling == "tiles of 24 of the authors' evaluation"
    assert official.weights == benchmarks.evaluate(identity, bench / "Rain100L").conditions.weights


def test_a_task_of_ones_own_is_measured(bench):
    darken = Task("darken", degrade=lambda clean, rng: clean * 0.9)
    model = IPT([darken], num_features=4, patch_size=24, num_heads=2, num_layers=1)
    (score,) = benchmarks.evaluate(model, bench / "Mine").network_scores()
    assert (score.task, score.n) == ("darken", 1)


def test_denoising_without_a_level_is_scored_at_the_levels_of_the_paper(identity, bench):
    blind = identity.adapt(tasks.find("denoise"), like="denoise_50")
    evaluation = benchmarks.evaluate(blind, bench / "CBSD68")
    scores = evaluation.network_scores()
    assert [score.task for score in scores] == ["denoise_10", "denoise_30", "denoise_50", "denoise_70"]
    psnr = [score.psnr_rgb for score in scores]
    assert psnr == sorted(psnr, reverse=True)
    assert 27 < psnr[0] < 29  # what noise of sigma 10 leaves
    text = formats.markdown(tables.protocol(evaluation), tables.sections(evaluation))
    assert (
        "| denoise_70 | model in memory | Y and RGB, noise clamped to 0..255, restored by task denoise |"
        in text
    )
    assert "| denoise_70 | input | Y and RGB, noise clamped to 0..255 |" in text
    assert "Table 2" in text
    assert "Table 1" not in text


def test_levels_that_are_tasks_of_the_model_too_are_left_to_these(bench):
    model = IPT(["denoise", "denoise_50"], num_features=4, patch_size=24, num_heads=2, num_layers=1)
    jobs = benchmarks.evaluate(model, bench / "Mine").jobs
    restorers = {job.task.name: job.task.restorer for job in jobs}
    assert restorers == {"denoise_50": "denoise_50"} | dict.fromkeys(
        ("denoise_10", "denoise_30", "denoise_70"), "denoise"
    )


def test_jpeg_is_scored_at_its_qualities_by_every_way_of_tiling(identity, bench):
    model = identity.adapt(tasks.find("jpeg"), like="denoise_50")
    for options in ({}, {"official_tiling": True}):
        scores = benchmarks.evaluate(model, bench / "Mine", **options).network_scores()
        assert [score.task for score in scores] == ["jpeg_10", "jpeg_20", "jpeg_40"]


@pytest.fixture
def allow(monkeypatch):
    """Lets a model restore so many pictures, and then behaves like Ctrl-C."""

    @contextlib.contextmanager
    def at_most(model, pictures):
        restore, left = model.restore, iter(range(pictures))

        def limited(*arguments, **options):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return restore(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(model, "restore", limited)
            yield

    return at_most


@pytest.fixture
def stop(allow):
    """Runs an evaluation that is stopped after so many pictures."""

    def stopped(model, pictures, data, log=str, **options):
        with allow(model, pictures), pytest.raises(KeyboardInterrupt):
            benchmarks.evaluate(model, data, keep=True, log=log, **options)

    return stopped


def test_an_evaluation_that_was_stopped_goes_on_where_it_was(identity, bench, stop, allow, kept_files):
    whole = benchmarks.evaluate(identity, bench)
    lines = []
    stop(identity, 7, bench, log=lines.append)
    (kept,) = kept_files()
    done = len(kept.read_text().splitlines()) - 1
    assert 3 <= done <= 7
    assert lines == [f"what was measured is kept in {kept}; the same command goes on from there"]

    with kept.open("a") as file:
        file.write('{"picture": "cut off by a ki')
    pictures = sum(len(job.pictures) for job in whole.jobs)
    with allow(identity, pictures - done):
        rest = benchmarks.evaluate(identity, bench, keep=True, log=lines.append)
    assert lines[1] == f"going on from {kept}; pictures measured already: {done}"
    assert untimed(rest.pictures) == untimed(whole.pictures)
    rest.forget()
    assert kept_files() == []


def test_scores_of_other_conditions_or_other_pictures_are_not_taken(identity, bench, stop, kept_files, save):
    stop(identity, 4, bench / "Set5")
    stop(identity, 4, bench / "Set5", overlap=4)
    stop(identity, 4, bench / "Set5", clamp_noise=False)
    assert len(kept_files()) == 3

    clean = np.random.default_rng(0).integers(0, 256, (52, 61, 3)).astype(np.uint8)
    save(clean, bench / "Set5" / "HR" / "a.png")
    went_on = benchmarks.evaluate(identity, bench / "Set5", keep=True, log=str)
    assert untimed(went_on.pictures) == untimed(benchmarks.evaluate(identity, bench / "Set5").pictures)


def test_what_is_kept_tells_its_conditions(identity, bench, stop, kept_files):
    stop(identity, 5, bench)
    (kept,) = kept_files()
    first, *others = map(json.loads, kept.read_text().splitlines())
    assert first["conditions"]["tiling"] == "tiles of 24 with an overlap of 10, blended"
    assert others[0]["picture"].startswith("CBSD68 denoise_50 d.png ")
    assert [score["method"] for score in others[0]["scores"]] == ["model in memory", "input"]


def test_non_local_means_says_what_it_needs(identity, bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(ValueError, match=r"needs scikit-image: pip install 'ipt_tf\[evaluation\]'"):
        benchmarks.evaluate(identity, bench, non_local_means=True)


def test_non_local_means_is_measured_on_denoising_alone(identity, bench):
    evaluation = benchmarks.evaluate(identity, bench, non_local_means=True)
    found = {score.task for score in evaluation.scores() if score.method == baselines.NON_LOCAL_MEANS.name}
    assert found == {"denoise_50"}
