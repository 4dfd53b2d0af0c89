"""What an operator runs on several hosts: the shell script on this one, the Kubernetes manifest by its schema."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ipt_tf import IPT

CLUSTER = Path(__file__).resolve().parents[1] / "cluster"
SCRIPT = CLUSTER / "train.sh"
IPT_COMMAND = Path(sys.executable).with_name("ipt")


def run(*arguments, **environment):
    variables = {
        key: value for key, value in os.environ.items() if key not in ("HOSTS", "INDEX", "TF_CONFIG")
    }
    return subprocess.run(
        [SCRIPT, *map(str, arguments)], capture_output=True, text=True, env={**variables, **environment}
    )


def test_the_script_tells_a_worker_who_it_is(tmp_path):
    hostname = subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()
    show = tmp_path / "show"
    show.write_text('#!/bin/sh\necho "$TF_CONFIG"\n')
    show.chmod(0o755)
    shown = run(IPT=str(show), HOSTS=f"elsewhere:5000 {hostname}:5001")
    assert json.loads(shown.stdout) == {
        "cluster": {"worker": ["elsewhere:5000", f"{hostname}:5001"]},
        "task": {"type": "worker", "index": 1},
    }


def test_the_script_says_what_it_misses():
    assert "HOSTS is not set" in run().stderr
    unknown = run(HOSTS="alpha.invalid:5000 beta.invalid:5000")
    assert unknown.returncode != 0
    assert "set INDEX to 0 .. 1" in unknown.stderr


@pytest.mark.slow
def test_two_hosts_train_together(photographs, tmp_path, free_ports):
    hosts = " ".join(f"localhost:{port}" for port in free_ports(2))
    out = tmp_path / "run"
    command = [SCRIPT, "--data", photographs, "--tasks", "denoise_30", "--steps", "2", "--out", out]
    command += ["--batch-size", "2", "--hold-out", "2"]
    environment = {**os.environ, "HOSTS": hosts, "IPT": str(IPT_COMMAND)}
    workers = [
        subprocess.Popen(
            list(map(str, command)),
            env={**environment, "INDEX": str(index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in (0, 1)
    ]
    for worker in workers:
        output, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, output
    assert IPT.from_pretrained(out / "model").task_names == ["denoise_30"]


def manifests():
    return list(yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text()))


def test_the_manifest_fits_the_schema():
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for manifest in manifests():
        validate.validate(manifest, "1.30", strict=True)


def test_the_workers_of_the_manifest_find_each_other():
    service, job = manifests()
    pod = job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    (script,) = pod["containers"][0]["args"]
    addresses = re.findall(r"[a-z0-9.-]+:\d+", script)
    name, port = job["metadata"]["name"], service["spec"]["ports"][0]["port"]
    assert addresses == [f"{name}-{i}.{pod['subdomain']}:{port}" for i in range(job["spec"]["completions"])]
