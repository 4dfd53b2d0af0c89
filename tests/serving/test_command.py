"""`ipt serve` as a user types it wrongly."""

import pytest

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

from ipt_tf.cli import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models", "nowhere"], "nowhere is not a folder of models"),
        (["--models", "."], "holds no model that can be loaded; NAME/VERSION/saved_model.pb is expected"),
        (["--models", ".", "--batching-parameters-file", "none.txt"], "none.txt: No such file"),
        (["--models", ".", "--tls", "cert.pem", "key.pem"], "key.pem: No such file"),
    ],
)
def test_mistakes_get_one_line(capsys, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ipt_tf.console._import_silently", lambda _: None)
    assert main(["serve", *options]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("ipt: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
