"""A small model with the signatures of an exported one, and servers of it in this process."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

TILE, SCALE = 48, 2


def save_model(folder: Path, brighter: float = 0.0) -> Path:
    """Writes a SavedModel that enlarges twofold, by repeating pixels, and adds a number of grey levels."""
    import tensorflow as tf

    class Enlarge(tf.Module):
        def __init__(self):
            super().__init__()
            self.brighter = tf.Variable(tf.fill((1000,), float(brighter)))

        def enlarged(self, images):
            return tf.repeat(tf.repeat(images, SCALE, axis=1), SCALE, axis=2) + self.brighter[0]

        @tf.function(input_signature=[tf.TensorSpec((None, TILE, TILE, 3), tf.float32, name="images")])
        def tiles(self, images):
            return {"restored": self.enlarged(images)}

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
        def images(self, images):
            return {"restored": tf.clip_by_value(self.enlarged(images), 0, 255)}

        @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.float32, name="image")])
        def image(self, image):  # what `restore` was in exports of before
            return {"restored": tf.clip_by_value(self.enlarged(image[None])[0], 0, 255)}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
        def files(self, image_bytes):
            def restored(data):
                pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
                pixels = tf.cast(tf.ensure_shape(pixels, (None, None, 3)), tf.float32)
                return tf.io.encode_png(
                    tf.cast(tf.clip_by_value(self.enlarged(pixels[None])[0], 0, 255), tf.uint8)
                )

            return {"restored_bytes": tf.map_fn(restored, image_bytes, fn_output_signature=tf.string)}

        @tf.function(input_signature=[tf.TensorSpec((None, 1), tf.float32, name="values")])
        def batch_size(self, values):
            return {"values": values, "size": tf.repeat(tf.shape(values)[0], tf.shape(values)[0])}

    model = Enlarge()
    signatures = {
        "serving_default": model.tiles,
        "restore": model.images,
        "restore_one": model.image,
        "restore_bytes": model.files,
        "batch_size": model.batch_size,
    }
    tf.saved_model.save(model, str(folder), signatures)
    return folder


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory):
    """A SavedModel to copy."""
    return save_model(tmp_path_factory.mktemp("saved") / "1")


@pytest.fixture(scope="session")
def brighter_model(tmp_path_factory):
    """One that adds 10 grey levels."""
    return save_model(tmp_path_factory.mktemp("brighter") / "1", brighter=10)


class Running:
    """A server in a thread."""

    def __init__(self, folder, settings):
        from ipt_tf.serving import server

        self.started: Future = Future()

        async def serve():
            self.loop, self.stopped = asyncio.get_running_loop(), asyncio.Event()
            await server.serve(folder, settings, lambda *ports: self.started.set_result(ports), self.stopped)

        def run():
            try:
                asyncio.run(serve())
            except BaseException as error:
                self.started.set_exception(error)

        self.thread = threading.Thread(target=run)
        self.thread.start()
        port, rest_port, self.names = self.started.result(timeout=60)
        secure = "s" if settings.certificate else ""
        self.grpc = f"grpc{secure}://localhost:{port}"
        self.rest = f"http{secure}://localhost:{rest_port}"

    def stop(self):
        with contextlib.suppress(RuntimeError):  # the test has stopped it already, and its loop is closed
            self.loop.call_soon_threadsafe(self.stopped.set)


@pytest.fixture(scope="session")
def serving():
    """Context manager of a folder and settings: a server of it, at free ports."""
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    from ipt_tf.serving.server import Settings

    @contextlib.contextmanager
    def running(folder, **settings):
        server = Running(folder, replace(Settings(port=0, rest_port=0, poll=0.05), **settings))
        try:
            yield server
        finally:
            server.stop()
            server.thread.join(timeout=60)
            assert not server.thread.is_alive()

    return running
