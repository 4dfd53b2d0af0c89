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
        (["--models", ".", "--tls", "cert.pem", "key.pem"], "cert.pem: No such file"),
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


@pytest.mark.parametrize("options", [["--port", "99999"], ["--rest-port", "-1"]])
def test_what_is_no_port_is_a_mistake_of_use(capsys, options):
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--models", ".", *options])
    assert caught.value.code == 2
    assert f"{options[1]} is not a number from 0 to 65535" in capsys.readouterr().err


def test_certificates_of_clients_are_asked_for_with_tls_only(capsys):
    assert main(["serve", "--models", ".", "--client-ca", "ca.pem"]) == 2
    assert "--client-ca is for --tls" in capsys.readouterr().err
