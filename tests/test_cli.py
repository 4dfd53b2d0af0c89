"""The command line: what users type, what they read, what the exit code says."""

import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from ipt_tf import IPT, images
from ipt_tf.cli import main
from ipt_tf.model import checkpoints


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A saved model of three tasks that returns its input, enlarged where the task says so."""
    folder = tmp_path_factory.mktemp("models") / "identity"
    IPT(
        ["sr_x2", "derain", "denoise_50"], num_features=4, patch_size=24, num_heads=2, num_layers=1
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def photo(tmp_path):
    y, x = np.mgrid[:40, :50]
    pixels = np.stack([4 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out.strip(), captured.err.strip()


def test_restore_writes_beside_the_input_and_says_where(capsys, model, photo):
    code, out, err = run(capsys, "restore", photo, "--task", "derain", "--model", model)
    assert (code, err) == (0, "")
    assert out == str(photo.with_name("photo_derain.png"))
    np.testing.assert_array_equal(images.read(out).pixels, images.read(photo).pixels)


def test_restore_enlarges_to_the_given_file(capsys, model, photo, tmp_path):
    target = tmp_path / "large.jpg"
    code, *_ = run(capsys, "restore", photo, "-o", target, "--task", "sr_x2", "--model", model)
    assert code == 0
    assert images.read(target).pixels.shape == (80, 100, 3)


def test_restore_of_a_folder_counts_and_fails_if_one_picture_fails(capsys, model, photo, tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    target = tmp_path / "out"
    code, out, err = run(capsys, "restore", tmp_path, "-o", target, "--task", "derain", "--model", model)
    assert code == 1
    assert out == f"1 restored, 0 skipped, 1 failed: {target}"
    assert "text.png is not a picture" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("restore", "nowhere.png", "--task", "derain"), "nowhere.png does not exist"),
        (("restore", "PHOTO", "--task", "derain", "--tile-overlap", "24"), "tiles of 24 allow 0 to 23"),
        (("evaluate", "--data", "nowhere"), "nowhere is not a folder of benchmark sets"),
    ],
)
def test_mistakes_get_one_line_and_exit_code_1(capsys, model, photo, arguments, message):
    before = photo.read_bytes()
    arguments = [str(photo) if argument == "PHOTO" else argument for argument in arguments]
    code, out, err = run(capsys, *arguments, "--model", model)
    assert (code, out) == (1, "")
    assert err.startswith("ipt: ")
    assert message in err
    assert "\n" not in err
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("restore",),
        ("sharpen",),
        ("restore", "a.png"),
        ("restore", "a.png", "--task", "derain", "--batch-size", "0"),
        ("convert", "a.pt", "out", "--num-heads", "-2"),
        ("restore", "a.png", "--task", "derain", "--model", "mine", "--server", "http://localhost"),
        ("serve",),
    ],
)
def test_bad_usage_has_exit_code_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    assert "usage: ipt" in capsys.readouterr().err


def test_a_task_that_does_not_exist_is_bad_usage(capsys, model, photo, photographs, tmp_path):
    for arguments, message in (
        (("restore", photo, "--model", model, "--task", "dehaze"), "it has sr_x2, derain, denoise_50"),
        (("evaluate", "--data", tmp_path, "--model", model, "--task", "dehaze"), "it has sr_x2, derain"),
        (
            ("train", "--data", photographs, "--steps", 1, "--out", tmp_path / "run", "--tasks", "x"),
            "known are",
        ),
    ):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (2, "")
        assert message in err
        assert "\n" not in err


def test_a_backend_that_is_not_installed_is_named(capsys, model, photo, monkeypatch):
    def missing(module):
        raise ModuleNotFoundError("No module named 'torch'")

    monkeypatch.setattr("ipt_tf.console._import_silently", missing)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    code, _, err = run(capsys, "restore", photo, "--task", "derain", "--model", model)
    assert (code, err) == (1, "ipt: Keras's backend torch cannot be used: No module named 'torch'")


def test_without_a_command_the_commands_are_listed(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "restore a photograph" in capsys.readouterr().err


def test_an_output_that_exists_is_kept_unless_it_is_to_be_overwritten(capsys, model, photo):
    target = photo.with_name("photo_derain.png")
    target.write_bytes(b"precious")
    command = ("restore", photo, "--task", "derain", "--model", model)
    code, _, err = run(capsys, *command)
    assert (code, target.read_bytes()) == (1, b"precious")
    assert f"{target} exists already; --overwrite replaces it" in err
    assert run(capsys, *command, "--overwrite")[0] == 0
    np.testing.assert_array_equal(images.read(target).pixels, images.read(photo).pixels)


def test_a_photograph_is_never_replaced_by_its_own_restoration(capsys, model, photo, tmp_path):
    before = photo.read_bytes()
    link = tmp_path / "link.png"
    link.symlink_to(photo)
    for target in (photo, photo.parent, link):
        code, _, err = run(
            capsys, "restore", photo, "-o", target, "--overwrite", "--task", "derain", "--model", model
        )
        assert code == 1
        assert "cannot be both input and output" in err
    assert photo.read_bytes() == before


def test_names_that_the_terminal_cannot_show_are_no_failure(monkeypatch, model, photo):
    odd = photo.with_name(os.fsdecode(b"caf\xe9.png"))
    try:
        photo.rename(odd)
    except OSError:
        pytest.skip("this file system has no such names")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["restore", str(odd), "--task", "derain", "--model", model]) == 0
    terminal.flush()
    assert b"_derain.png" in terminal.buffer.getvalue()
    assert odd.with_name(os.fsdecode(b"caf\xe9_derain.png")).is_file()


def test_the_folder_at_hand_and_folders_with_a_dot_are_restored_beside_themselves(
    capsys, monkeypatch, model, photo, tmp_path
):
    (tmp_path / "2024.05").mkdir()
    photo.rename(tmp_path / "2024.05" / photo.name)
    assert run(capsys, "restore", tmp_path / "2024.05", "--task", "derain", "--model", model)[0] == 0
    assert (tmp_path / "2024.05_derain" / photo.name).is_file()
    (tmp_path / "2024.05").rename(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    assert run(capsys, "restore", ".", "--task", "derain", "--model", model)[0] == 0
    assert (tmp_path / "here_derain" / photo.name).is_file()


def test_a_gif_becomes_a_png_in_the_folder_it_is_restored_to(capsys, model, photo, tmp_path):
    gif, folder = photo.with_suffix(".gif"), tmp_path / "out"
    Image.open(photo).save(gif)
    folder.mkdir()
    assert run(capsys, "restore", gif, "-o", folder, "--task", "derain", "--model", model)[0] == 0
    assert os.listdir(folder) == ["photo.png"]


def test_operating_system_errors_name_the_file(capsys, tmp_path):
    name = "x" * 300 + ".png"
    code, _, err = run(capsys, "restore", name, "--task", "derain")
    assert (code, err) == (1, f"ipt: {name}: File name too long")


def test_photographs_that_training_leaves_out_are_named_without_the_source_code(
    capsys, photographs, tmp_path
):
    (photographs / "text.png").write_text("not a picture")
    command = ("train", "--data", photographs, "--tasks", "derain", "--steps", 1, "--hold-out", 99)
    code, _, err = run(capsys, *command, "--out", tmp_path / "run")
    assert code == 1
    assert err.splitlines()[0].startswith(f"ipt: left out {photographs / 'text.png'}: ")
    assert ".py" not in err


@pytest.mark.slow
def test_ctrl_c_stops_a_folder_between_whole_pictures(tmp_path):
    """What was restored is there, and nothing else."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i in range(20):
        Image.fromarray(np.full((300, 300, 3), i, np.uint8)).save(source / f"{i:02}.png")
    command = [
        sys.executable,
        "-m",
        "ipt_tf.cli",
        "restore",
        str(source),
        "-o",
        str(target),
        "--task",
        "derain",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (target / "00.png").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1].endswith("ipt: stopped")
    written = sorted(os.listdir(target))
    assert 1 <= len(written) < 20
    for name in written:
        assert images.read(target / name).pixels.shape == (300, 300, 3)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Two small sets, in a current folder that is empty."""
    rng = np.random.default_rng(0)
    for name in ("Set/HR/a.png", "Set/HR/b.png", "Rain100L/rain/1.png", "Rain100L/norain/1.png"):
        (tmp_path / "bench" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (41, 47, 3), np.uint8)).save(tmp_path / "bench" / name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "bench"


def test_evaluate_prints_and_writes_the_scores(capsys, model, bench):
    code, out, _ = run(
        capsys, "evaluate", "--data", bench, "--model", model, "--json", "a.json", "--csv", "a.csv"
    )
    assert code == 0
    with open("a.json") as file:
        scores = json.load(file)
    assert [(s["set"], s["task"], s["n"]) for s in scores] == [
        ("Rain100L", "derain", 1),
        ("Set", "sr_x2", 2),
        ("Set", "denoise_50", 2),
    ]
    assert list(scores[0]) == ["set", "task", "psnr_y", "psnr_rgb", "ssim_y", "n"]
    assert 14 < scores[2]["psnr_rgb"] < 16  # what clamped noise of sigma 50 leaves of uniform noise
    assert "| Set | denoise_50 |" in out
    assert "border" in out.split("###")[0]
    assert sorted(os.listdir()) == ["a.csv", "a.json"]


def test_evaluate_measures_each_task_by_its_best_weights(capsys, model, bench, tmp_path):
    shutil.copytree(model, tmp_path / "mine")
    IPT.from_pretrained(model).for_task("derain").save_pretrained(
        tmp_path / "mine" / "derain", dtype="float16"
    )
    code, out, _ = run(capsys, "evaluate", "--data", bench, "--model", tmp_path / "mine", "--csv", "a.csv")
    assert code == 0
    with open("a.csv") as file:
        measured = {
            row["task"]: row for row in csv.DictReader(file) if row["method"] == str(tmp_path / "mine")
        }
    assert {task: row["model"] for task, row in measured.items()} == {
        "sr_x2": str(tmp_path / "mine"),
        "derain": str(tmp_path / "mine" / "derain"),
        "denoise_50": str(tmp_path / "mine"),
    }
    for row in measured.values():
        assert f"{row['model']}, weights' sha256 {row['sha256']}" in out
        file = checkpoints.weights_file(row["model"])
        assert row["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_evaluate_writes_figures_and_compares_with_the_paper(capsys, model, bench):
    options = ("--task", "derain", "--figures", "figures", "--expect", "paper")
    code, out, _ = run(capsys, "evaluate", "--data", bench, "--model", model, *options)
    assert code == 0
    assert "| Rain100L | derain |" in out.split("Compared with the paper")[1]
    assert sorted(os.listdir("figures")) == ["Rain100L_derain.png", "pictures", "report.html"]


def test_evaluate_refuses_outputs_that_cannot_be_written_before_it_measures(capsys, model, bench):
    for option in ("--json", "--csv"):
        code, _, err = run(capsys, "evaluate", "--data", bench, "--model", model, option, "missing/a")
        assert (code, err) == (1, "ipt: missing/a: the folder missing does not exist")
    code, _, err = run(
        capsys, "evaluate", "--data", bench, "--model", model, "--figures", bench / "Set/HR/a.png"
    )
    assert (code, err) == (1, f"ipt: {bench}/Set/HR/a.png: {bench}/Set/HR/a.png is a file, not a folder")


def test_evaluate_shows_the_layouts_where_a_folder_has_none(capsys, model, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "evaluate", "--data", tmp_path / "empty", "--model", model)
    assert code == 1
    assert err.startswith(
        f"ipt: {tmp_path}/empty holds no benchmark set; the layouts are\n  super-resolution   SET/HR"
    )


def test_train_makes_a_model_that_restore_takes_and_the_same_command_goes_on(capsys, photographs, tmp_path):
    from ipt_tf.model import presets

    command = [
        "train",
        "--data",
        photographs,
        "--tasks",
        "denoise_50",
        "--out",
        tmp_path / "run",
        "--batch-size",
        2,
    ]
    tiny = dict(presets.find("ipt_tiny").config)
    presets.find("ipt_tiny").config.update(num_features=4, num_heads=2, num_layers=1)
    try:
        code, out, _ = run(capsys, *command, "--hold-out", 2, "--steps", 2)
        again, out_again, _ = run(capsys, *command, "--hold-out", 2, "--steps", 3)
    finally:
        presets.find("ipt_tiny").config.update(tiny)
    assert (code, again) == (0, 0)
    assert "6 photographs, 0 left out" in out
    assert "step 2: validation PSNR denoise_50" in out
    assert "resumed at step 2" in out_again
    model = tmp_path / "run" / "model"
    assert run(capsys, "restore", photographs / "0.jpg", "--task", "denoise_50", "--model", model)[0] == 0


def test_restore_computes_in_the_precision_that_is_asked_for(capsys, photographs, tmp_path):
    command = ["restore", photographs / "0.jpg", "--task", "denoise_50", "-o"]
    full, mixed = tmp_path / "full.png", tmp_path / "mixed.png"
    assert run(capsys, *command, full)[0] == 0
    assert run(capsys, *command, mixed, "--precision", "mixed_bfloat16")[0] == 0
    difference = np.abs(images.read(full).pixels.astype(int) - images.read(mixed).pixels)
    assert 0 < difference.max() < 8
    for elsewhere in (("--model", "x.tflite"), ("--server", "grpc://localhost:1")):
        with pytest.raises(SystemExit):
            run(capsys, *command, full, "--precision", "mixed_bfloat16", *elsewhere)
        assert "servers and .tflite files have their own" in capsys.readouterr().err


def test_train_grows_a_network_from_heads_and_tails_alone(capsys, photographs, tmp_path):
    command = ["train", "--data", photographs, "--tasks", "denoise_50", "--batch-size", 2, "--hold-out", 2]
    ends, grown = tmp_path / "ends", tmp_path / "grown"
    assert run(capsys, *command, "--layers", 0, "--steps", 2, "--out", ends)[0] == 0
    again = "--from", ends / "model", "--layers", 0, "--steps", 1, "--out", tmp_path / "again"
    assert run(capsys, *command, *again)[0] == 0
    more = "--from", ends / "model", "--layers", 1, "--steps", 1, "--out", grown
    code, out, _ = run(capsys, *command, *more)
    assert code == 0
    before = (ends / "history.csv").read_text().splitlines()[-1].split(",")
    assert f"step 0: validation PSNR denoise_50 {float(before[-1]):.2f}" in out
    assert IPT.from_pretrained(grown / "model").num_layers == 1
    code, _, err = run(
        capsys, *command, "--from", grown / "model", "--layers", -1, "--steps", 1, "--out", ends
    )
    assert code == 1
    assert "1 layers already, and -1 are fewer" in err
    back = "--from", grown / "model", "--layers", 0, "--steps", 1, "--out", tmp_path / "back"
    assert run(capsys, *command, *back)[0] == 0
    assert IPT.from_pretrained(tmp_path / "back" / "model").num_layers == 0


def test_convert_turns_an_official_file_into_a_folder(capsys, tmp_path):
    official = os.path.join(os.path.dirname(__file__), "fixtures", "micro", "sr4_single.pt")
    code, *_ = run(capsys, "convert", official, tmp_path / "sr4", "--num-heads", 2)
    assert code == 0
    assert IPT.from_pretrained(tmp_path / "sr4").task_names == ["sr_x4"]


def test_help_and_import_are_light():
    script = (
        "import sys, ipt_tf; from ipt_tf.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"set -o pipefail; {sys.executable} -m ipt_tf recipes | head -n 1"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert run.stdout == "ours\n"
    assert run.stderr == ""


def test_export_writes_versions_for_servers_and_files_for_phones(capsys, model, photo, tmp_path):
    command = ("export", "--model", model, "--tasks", "derain", "--out", tmp_path / "out")
    code, out, err = run(capsys, *command, "--format", "saved_model", "--version", 3)
    assert (code, out, err) == (0, str(tmp_path / "out/ipt_derain/3"), "")
    assert (tmp_path / "out/ipt_derain/3/saved_model.pb").is_file()
    code, out, err = run(capsys, *command, "--format", "tflite", "--variants", "float16")
    phone = tmp_path / "out/ipt_derain_float16.tflite"
    assert (code, out, err) == (0, str(phone), "")
    assert run(capsys, "restore", photo, "--model", phone)[0] == 0
    restored = images.read(photo.with_name("photo_derain.png")).pixels
    np.testing.assert_allclose(restored.astype(int), images.read(photo).pixels, atol=1)
    code, _, err = run(capsys, "restore", photo, "--model", phone, "--task", "sr_x2")
    assert (code, err) == (2, f"ipt: {phone} restores derain, not sr_x2")


def test_export_takes_for_each_task_the_weights_that_are_best_for_it(capsys, model, tmp_path):
    weights = tmp_path / "weights"
    IPT.from_pretrained(model).save_pretrained(weights)
    IPT(["derain"], num_features=8, patch_size=24, num_heads=2, num_layers=1).save_pretrained(
        weights / "derain"
    )
    for tasks in (("all",), ("denoise_50", "derain")):
        out = tmp_path / tasks[0]
        code, *_ = run(
            capsys, "export", "--model", weights, "--format", "saved_model", "--out", out, "--tasks", *tasks
        )
        assert code == 0
        origins = {
            path.name: json.loads((path / "1/assets.extra/ipt_tf.json").read_text()) for path in out.iterdir()
        }
        assert len(origins) == (3 if tasks == ("all",) else 2)
        for name, origin in origins.items():
            source = weights / "derain" if name == "ipt_derain" else weights
            sha256 = json.loads((source / "config.json").read_text())["sha256"]
            assert (origin["source"], origin["sha256"]) == (str(source), sha256)


def test_export_refuses_what_it_cannot_write_or_does_not_know(capsys, model, photo, tmp_path):
    (tmp_path / "ipt_derain/2").mkdir(parents=True)
    saved_model = ("--format", "saved_model")
    for code, message, arguments in (
        (1, f"{photo}: {photo} is a file, not a folder", (*saved_model, "--out", photo)),
        (1, f"{tmp_path}/ipt_derain/2 exists already", (*saved_model, "--out", tmp_path, "--version", 2)),
        (
            2,
            "it has sr_x2, derain, denoise_50",
            (*saved_model, "--out", tmp_path, "--tasks", "derain", "dehaze"),
        ),
        (2, "--variants and --calibrate are for", (*saved_model, "--out", tmp_path, "--variants", "int8")),
        (2, "--version is for", ("--format", "tflite", "--out", tmp_path, "--version", 2)),
        (1, "nowhere does not exist", ("--format", "tflite", "--out", tmp_path, "--calibrate", "nowhere")),
    ):
        found, out, err = run(capsys, "export", "--model", model, *arguments)
        assert (found, out) == (code, "")
        assert message in err
        assert "\n" not in err
    assert sorted(os.listdir(tmp_path)) == ["ipt_derain", "photo.png"]
