"""The rules by which TensorFlow Serving loads and batches a model, read off its sources: it cannot be run here.

Followed are `saved_model_bundle_factory.cc`, `bundle_factory_util.h`, `saved_model_warmup.cc`, `predict_util.cc`,
`batching_session.cc` and TensorFlow's `shared_batch_scheduler.h`, with their messages. Not stood in for: the two
protocols, time limits, and what the batching file may ask for beyond `ipt_tf.serving.configs.Batching`.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from ipt_tf.serving.configs import Batching, read_batching

Arrays = dict[str, np.ndarray]


class ServerError(Exception):
    """A status that is not OK."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code


class ModelServer:
    """`tensorflow_model_server --model_config_file=... --enable_batching --batching_parameters_file=...`.

    Args:
        config: file of a ModelServerConfig.
        batching: file of BatchingParameters.
        models: what the configuration calls /models.

    Raises:
        ServerError: it would not start.
    """

    def __init__(self, config: Path, batching: Path, models: Path):
        parameters = read_batching(batching)
        self._threads = _BatchThreads(parameters.num_batch_threads)
        self._versions: dict[str, dict[int, _Bundle]] = {}
        parsed = text_format.Parse(config.read_text(), model_server_config_pb2.ModelServerConfig())
        for model in parsed.model_config_list.config:
            folder = models / Path(model.base_path).relative_to("/models")
            found = {int(path.name): path for path in folder.glob("*") if path.name.isdecimal()}
            if not found:
                raise ServerError("NOT_FOUND", f"No versions of servable {model.name} found under {folder}")
            latest = model.model_version_policy.latest.num_versions or 1
            self._versions[model.name] = {
                number: _Bundle(found[number], parameters, self._threads)
                for number in sorted(found)[-latest:]
            }

    def close(self) -> None:
        """Ends the threads."""
        self._threads.close()

    def predict(self, request: predict_pb2.PredictRequest) -> Arrays:
        """Answers with the largest version; blocks."""
        versions = self._versions[request.model_spec.name]
        return versions[max(versions)].run_predict(request)


class _Bundle:
    """A loaded version, all of whose signatures are batched, and which was warmed up."""

    def __init__(self, folder: Path, parameters: Batching, threads: "_BatchThreads"):
        self._owner = tf.saved_model.load(str(folder))
        self._queues = {
            name: _Queue(self._session_of(function), parameters, threads)
            for name, function in self._owner.signatures.items()
        }
        warm_up = folder / "assets.extra" / "tf_serving_warmup_requests"
        if warm_up.exists():
            records = [record.numpy() for record in tf.data.TFRecordDataset(str(warm_up))]
            if len(records) > 1000:
                raise ServerError("INVALID_ARGUMENT", "Number of warmup records exceeds the maximum (1000)")
            for record in records:
                self.run_predict(prediction_log_pb2.PredictionLog.FromString(record).predict_log.request)

    def _session_of(self, function) -> Callable[[Arrays], Arrays]:
        def run(inputs):
            try:
                outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
            except tf.errors.OpError as error:
                raise ServerError(type(error).__name__, error.message) from None
            return {name: value.numpy() for name, value in outputs.items()}

        return run

    def run_predict(self, request: predict_pb2.PredictRequest) -> Arrays:
        name = request.model_spec.signature_name or "serving_default"
        if name not in self._queues:
            raise ServerError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        wanted = set(self._owner.signatures[name].structured_input_signature[1])
        if set(request.inputs) != wanted:
            raise ServerError("INVALID_ARGUMENT", f"input size does not match signature: {wanted}")
        return self._queues[name].run({key: tf.make_ndarray(value) for key, value in request.inputs.items()})


@dataclass
class _Task:
    """One call of a session."""

    inputs: Arrays
    size: int
    done: threading.Event = field(default_factory=threading.Event)
    outputs: Arrays = field(default_factory=dict)
    error: ServerError | None = None


class _Queue:
    """The batching session of one signature: joins calls along the first axis, and deals out what comes back."""

    def __init__(self, session: Callable[[Arrays], Arrays], parameters: Batching, threads: "_BatchThreads"):
        self._session, self._parameters, self._threads = session, parameters, threads
        self.batches: deque[list[_Task]] = deque()
        threads.add(self)

    def run(self, inputs: Arrays) -> Arrays:
        task = _Task(inputs, self._size(inputs))
        self._threads.schedule(self, task)
        task.done.wait()
        if task.error:
            raise task.error
        return task.outputs

    def _size(self, inputs: Arrays) -> int:
        if any(value.ndim == 0 for value in inputs.values()):
            raise ServerError(
                "INVALID_ARGUMENT", "Batching Run() input tensors must have at least one dimension"
            )
        sizes = {len(value) for value in inputs.values()}
        if len(sizes) != 1:
            raise ServerError(
                "INVALID_ARGUMENT", "Batching Run() input tensors must have equal 0th-dimension size"
            )
        return sizes.pop()

    def put(self, task: _Task) -> None:
        """Adds a task to the last batch, or to a new one. For `_BatchThreads`, which holds the lock."""
        most = self._parameters.max_batch_size
        if task.size > most:
            raise ServerError(
                "INVALID_ARGUMENT",
                f"Task size {task.size} is larger than maximum input batch size {most}",
            )
        if not self.batches or sum(each.size for each in self.batches[-1]) + task.size > most:
            if len(self.batches) >= self._parameters.max_enqueued_batches:
                raise ServerError(
                    "UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full"
                )
            self.batches.append([])
        self.batches[-1].append(task)

    def process(self, batch: list[_Task]) -> None:
        """Runs a batch: all of its tasks are answered, or all of them fail."""
        try:
            size = sum(task.size for task in batch)
            padding = min((s for s in self._parameters.allowed_batch_sizes if s >= size), default=size) - size
            outputs = self._session(self._merged(batch, padding))
            self._split(batch, size + padding, outputs)
        except ServerError as error:
            for task in batch:
                task.error = error
        finally:
            for task in batch:
                task.done.set()

    def _merged(self, batch: list[_Task], padding: int) -> Arrays:
        merged = {}
        for name in batch[0].inputs:
            parts = [task.inputs[name] for task in batch]
            if len({part.shape[1:] for part in parts}) > 1:
                raise ServerError(
                    "FAILED_PRECONDITION",
                    f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off.",
                )
            merged[name] = np.concatenate([*parts, *[parts[-1][:1]] * padding])
        return merged

    def _split(self, batch: list[_Task], size: int, outputs: Arrays) -> None:
        for name, output in outputs.items():
            if output.ndim == 0:
                raise ServerError("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions")
            if len(output) != size:
                raise ServerError(
                    "FAILED_PRECONDITION",
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the"
                    " input tensors",
                )
            first = 0
            for task in batch:
                task.outputs[name] = output[first : first + task.size]
                first += task.size


class _BatchThreads:
    """The threads of the batch scheduler, which all signatures of all models share."""

    def __init__(self, count: int):
        self._queues: deque[_Queue] = deque()
        self._changed = threading.Condition()
        self._closed = False
        for _ in range(count):
            threading.Thread(target=self._work, daemon=True).start()

    def add(self, queue: _Queue) -> None:
        with self._changed:
            self._queues.append(queue)

    def schedule(self, queue: _Queue, task: _Task) -> None:
        with self._changed:
            queue.put(task)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (found := self._next()):
                    if self._closed:
                        return
                    self._changed.wait()
            queue, batch = found
            queue.process(batch)

    def _next(self) -> tuple[_Queue, list[_Task]] | None:
        """The oldest batch of the next queue, in turn, that has one."""
        for _ in range(len(self._queues)):
            self._queues.rotate(-1)
            if self._queues[-1].batches:
                return self._queues[-1], self._queues[-1].batches.popleft()
        return None
