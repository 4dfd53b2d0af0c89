"""What the page asks for over HTTP: its own files, the samples, and restorations.

A restoration is answered by a stream of messages: a line of JSON each, followed by as many bytes as its "bytes" says.
`ipt_tf.demo.job.run` lists them; before them come {"ahead": n} while others are restored, and {"error": text} ends a
stream that failed.
"""

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import PurePath

from aiohttp import web

from ipt_tf import samples, tasks
from ipt_tf.demo import job
from ipt_tf.demo.job import TooLargeError, Upload
from ipt_tf.images import ImageError
from ipt_tf.model.ipt import IPT
from ipt_tf.tasks import Task, UnknownTaskError

_MOST_UPLOADS = 5
_SECONDS_TO_ARRIVE = 120
_LONGEST_NAME = 100
_SECONDS_BETWEEN_LOOKS = 0.5
_BYTES_PER_PIXEL = 8  # of 16-bit RGBA that does not shrink
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def application(models: Mapping[str, IPT], name: str, most_pixels: int) -> web.Application:
    """Returns the HTTP application. Its runner has to cancel the requests of who goes away.

    Args:
        models: what restores, by the names of the tasks.
        name: of the weights, for the page.
        most_pixels: of a result.
    """
    page = _Page(models, name, most_pixels)
    app = web.Application(middlewares=[_answer_errors], client_max_size=page.most_bytes)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(page.stop)
    for file in resources.files("ipt_tf.demo").joinpath("page").iterdir():
        path = "/" if file.name == "index.html" else f"/{file.name}"
        app.router.add_get(path, _file(file.read_bytes(), _KINDS[PurePath(file.name).suffix]))
    app.router.add_get("/about", page.about)
    app.router.add_get("/samples/{name}", page.sample)
    app.router.add_post("/inspect", page.inspect)
    app.router.add_post("/restore", page.restore)
    return app


def _file(content: bytes, kind: str):
    async def get(request: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8")

    return get


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


@web.middleware
async def _answer_errors(request: web.Request, handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except TooLargeError as error:
        return _error(413, str(error))
    except ImageError as error:
        return _error(415, str(error))
    except UnknownTaskError as error:
        return _error(400, f"{error}.")
    except web.HTTPException as error:
        return _error(error.status, error.text or error.reason)


def _error(code: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=code)


class _Page:
    def __init__(self, models: Mapping[str, IPT], name: str, most_pixels: int) -> None:
        self._models = models
        self._tasks = [model.task(task) for task, model in models.items()]
        self._name = name
        self._most_pixels = most_pixels
        self.most_bytes = most_pixels * _BYTES_PER_PIXEL + 2**20
        self._uploads = 0
        self._line: list[object] = []  # who is restored, and who waits for it
        self._worker = ThreadPoolExecutor(1)
        self._stopping = threading.Event()

    async def stop(self, app: web.Application) -> None:
        """Ends the restoration at hand after its next tiles, and those that wait."""
        self._stopping.set()

    async def about(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "model": self._name,
                "tasks": [_described(task) for task in self._tasks],
                "samples": samples.names(),
                "most_bytes": self.most_bytes,
            }
        )

    async def sample(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in samples.names():
            raise web.HTTPNotFound
        return web.FileResponse(samples.path(name))

    async def inspect(self, request: web.Request) -> web.Response:
        """Says how large an upload is, or refuses it, before the browser shows it."""
        with self._place():
            height, width = (await self._received(request)).check(self._most_pixels)
        return web.json_response({"width": width, "height": height})

    async def restore(self, request: web.Request) -> web.StreamResponse:
        task = tasks.pick(request.query.get("task", ""), self._tasks)
        degrade = request.query.get("degrade") == "true"
        with self._place():
            upload = await self._received(request)
            upload.check(self._most_pixels, scale=1 if degrade else task.scale)
            stream = _Stream(request)
            await stream.open()
            with contextlib.suppress(ConnectionResetError):  # gone away while a message was written
                async with self._turn(stream):
                    await self._run(upload, task, degrade, stream)
        return stream.response

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """A place for an upload. There are few: that bounds the memory."""
        if self._uploads >= _MOST_UPLOADS:
            raise web.HTTPServiceUnavailable(
                text=f"{self._uploads} pictures are being restored or wait for it. Try again in a minute."
            )
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    async def _received(self, request: web.Request) -> Upload:
        page = f"http://{request.host}"
        if request.headers.get("Origin", page) != page:
            raise web.HTTPForbidden(text="Only this page itself may ask for that.")
        try:
            data = await asyncio.wait_for(request.read(), _SECONDS_TO_ARRIVE)
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="The picture did not arrive in time.") from None
        except web.HTTPRequestEntityTooLarge:
            raise TooLargeError(f"The file is larger than {self.most_bytes / 1e6:.0f} MB.") from None
        return Upload(data, request.query.get("name", "The picture")[:_LONGEST_NAME])

    @contextlib.asynccontextmanager
    async def _turn(self, stream: "_Stream") -> AsyncIterator[None]:
        """One restoration at a time, in the order in which they came."""
        ticket = object()
        self._line.append(ticket)
        try:
            while ahead := self._line.index(ticket):
                await stream.send({"ahead": ahead})
                await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            yield
        finally:
            self._line.remove(ticket)

    async def _run(self, upload: Upload, task: Task, degrade: bool, stream: "_Stream") -> None:
        """Restores in the worker's thread, and passes its messages on."""
        loop = asyncio.get_running_loop()
        messages: asyncio.Queue = asyncio.Queue()
        gone = threading.Event()

        def send(body: bytes = b"", **message) -> None:
            if gone.is_set() or self._stopping.is_set():
                raise _Stopped
            loop.call_soon_threadsafe(messages.put_nowait, (message, body))

        def work() -> None:
            error = _error_of(lambda: job.run(upload, task, degrade, self._models[task.name], send))
            loop.call_soon_threadsafe(messages.put_nowait, ({"error": error} if error else None, b""))

        done = loop.run_in_executor(self._worker, work)
        try:
            while (message := await messages.get())[0] is not None:
                await stream.send(*message)
                if "error" in message[0]:
                    break
        finally:
            gone.set()
            # The next in the line starts when this one has ended, however often its request is cancelled.
            while not done.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([done])


class _Stopped(Exception):
    """Nobody waits for the result any more."""


def _error_of(work) -> str | None:
    """Returns what went wrong in some work, as a sentence, or None."""
    try:
        work()
    except _Stopped:
        return "The server was stopped."
    except ValueError as error:
        return f"{error}."
    except MemoryError:
        return "The memory of this machine does not suffice for this picture: make it smaller first."
    except Exception:
        logging.getLogger(__name__).exception("a restoration failed")
        return "The restoration failed; the terminal says why."
    return None


class _Stream:
    """The answer to a request for a restoration."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})

    async def open(self) -> None:
        await self.response.prepare(self._request)

    async def send(self, message: dict, body: bytes = b"") -> None:
        line = json.dumps({**message, "bytes": len(body)} if body else message)
        await self.response.write(line.encode() + b"\n")
        if body:
            await self.response.write(body)


def _described(task: Task) -> dict:
    return {
        "name": task.name,
        "scale": task.scale,
        "sigma": task.sigma,
        "degradable": task.degrade is not None,
    }
