"""What an operator deploys, parsed as TF-Serving and Kubernetes would."""

from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from ipt_tf.tasks import OFFICIAL_TASKS

SERVING = Path(__file__).resolve().parents[1] / "serving"
MODELS = [f"ipt_{task.name}" for task in OFFICIAL_TASKS]


def message(name: str, **messages: dict[str, str]):
    """An empty message of TF-Serving that tensorflow-serving-api leaves out: by message, field -> type."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", package="tensorflow.serving", syntax="proto3")
    for title, fields in messages.items():
        made = file.message_type.add(name=title)
        for number, (key, kind) in enumerate(fields.items(), start=1):
            one = made.field.add(name=key, number=number, label=field.LABEL_OPTIONAL)
            if kind in messages:
                one.type, one.type_name = field.TYPE_MESSAGE, f".tensorflow.serving.{kind}"
            else:
                one.type = {"bool": field.TYPE_BOOL, "string": field.TYPE_STRING}[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))()


def test_every_task_has_a_model_with_a_stable_version():
    model_server_config_pb2 = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    text = (SERVING / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    models = config.model_config_list.config
    assert [model.name for model in models] == MODELS
    for model in models:
        assert model.base_path == f"/models/{model.name}"
        assert model.model_platform == "tensorflow"
        assert model.version_labels == {"stable": 1}


def test_batching_is_what_the_server_takes():
    from ipt_tf.serving import configs

    read = configs.read_batching(SERVING / "batching_parameters.txt")
    assert read.max_batch_size >= 16  # the batches that the client sends


def test_large_pictures_leave_threads_to_other_requests():
    """A picture holds a batch thread, and one that runs operations, for as long as it takes."""
    from ipt_tf.serving import configs

    batch_threads = configs.read_batching(SERVING / "batching_parameters.txt").num_batch_threads
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    flags = dict(argument.removeprefix("--").split("=") for argument in container["args"])
    assert int(flags["tensorflow_inter_op_parallelism"]) > batch_threads > 1


def test_prometheus_is_enabled():
    config = message(
        "MonitoringConfig",
        MonitoringConfig={"prometheus_config": "PrometheusConfig"},
        PrometheusConfig={"enable": "bool", "path": "string"},
    )
    text_format.Parse((SERVING / "monitoring.config").read_text(), config)
    assert config.prometheus_config.enable
    annotations = deployment()["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == config.prometheus_config.path


def test_the_tls_example_of_the_readme_is_an_ssl_config():
    fields = {"server_key": "string", "server_cert": "string", "custom_ca": "string", "client_verify": "bool"}
    example = (SERVING / "README.md").read_text().partition("```textproto\n")[2].partition("```")[0]
    config = text_format.Parse(example, message("SSLConfig", SSLConfig=fields))
    assert config.server_key.startswith("-----BEGIN PRIVATE KEY-----\n")


def manifests():
    return list(yaml.safe_load_all((SERVING / "kubernetes.yaml").read_text()))


def deployment():
    return manifests()[0]


def test_the_manifests_fit_their_schema():
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for manifest in manifests():
        validate.validate(manifest, "1.30", strict=True)


def test_the_service_finds_the_pods_and_the_pods_their_files():
    pods, service = manifests()
    labels = pods["spec"]["template"]["metadata"]["labels"]
    assert pods["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    made = yaml.safe_load((SERVING / "kustomization.yaml").read_text())["configMapGenerator"][0]
    assert made["name"] == pods["spec"]["template"]["spec"]["volumes"][1]["configMap"]["name"]
    assert_files_are_there(container["args"], made["files"])
    for name in made["files"]:
        assert (SERVING / name).is_file()
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["exec"]["command"] == ["bash", "/config/healthy.sh", *MODELS]


def assert_files_are_there(arguments, names):
    for argument in arguments:
        if "=/config/" in argument:
            assert argument.rpartition("/")[2] in names


def test_compose_mounts_what_it_uses():
    (service,) = yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"].values()
    mounted = [volume.split(":") for volume in service["volumes"]]
    for source, target, mode in mounted:
        assert mode == "ro"
        if target.startswith("/config/"):
            assert (SERVING / source).is_file()
    assert_files_are_there(service["command"], [source.removeprefix("./") for source, *_ in mounted])
    assert service["healthcheck"]["test"] == ["CMD", "bash", "/config/healthy.sh", *MODELS]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_compose_and_kubernetes_start_the_same_server():
    (service,) = yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"].values()
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    assert service["image"] == container["image"]
    assert set(container["args"]) < set(service["command"])
