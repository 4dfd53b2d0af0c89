"""The page's server in this process, over a network that repeats pixels and can be held up."""

import asyncio
import http.client
import json
import threading
from concurrent.futures import Future

import numpy as np
import pytest

from ipt_tf import tasks


class Enlarger:
    """What the page needs of a model; while `open` is cleared, its network waits."""

    patch_size = 24
    threads = 1

    def __init__(self):
        self.tasks = (*(tasks.find(name) for name in ("sr_x2", "denoise_50")), tasks.Task("descratch"))
        self.calls = 0
        self.began = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def task(self, name):
        return tasks.pick(name, self.tasks)

    def network(self, name):
        scale = self.task(name).scale

        def enlarge(tiles: np.ndarray) -> np.ndarray:
            self.calls += 1
            self.began.set()
            assert self.open.wait(60)
            return tiles.repeat(scale, axis=1).repeat(scale, axis=2)

        return enlarge


class Page:
    """A running server, and requests to it."""

    def __init__(self, app):
        from aiohttp import web

        from ipt_tf.demo import server

        self.started: Future = Future()

        async def serve():
            self.loop, self.stopped = asyncio.get_running_loop(), asyncio.Event()
            runner = server.runner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.started.set_result(runner.addresses[0][1])
            await self.stopped.wait()
            await runner.cleanup()

        self.thread = threading.Thread(target=lambda: asyncio.run(serve()))
        self.thread.start()
        self.port = self.started.result(timeout=60)
        self.url = f"http://127.0.0.1:{self.port}/"

    def request(self, method, path, body=None, headers=None):
        """Returns the response, whose body is not read yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        response.connection = connection
        return response

    def get(self, path):
        return self.request("GET", path)

    def restore(self, data, task="denoise_50", degrade="false", name="photo.png"):
        return self.request("POST", f"/restore?task={task}&degrade={degrade}&name={name}", data)

    @staticmethod
    def messages(response):
        """Yields the messages of a stream, each with its body."""
        while line := response.readline():
            message = json.loads(line)
            yield message | {"body": response.read(message.get("bytes", 0))}

    def stop(self):
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()


@pytest.fixture
def model():
    return Enlarger()


@pytest.fixture
def page(model):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    from ipt_tf.demo.application import application

    running = Page(application({task.name: model for task in model.tasks}, "enlarger", most_pixels=100_000))
    yield running
    model.open.set()
    running.stop()
