"""`ipt serve`: both faces over the same models in one process, for laptops and tests."""

import asyncio
import functools
import logging
import math
import os
import signal
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from aiohttp import web

from ipt_tf.addresses import bracketed
from ipt_tf.serving import certificates, grpc_face, rest_face, servable
from ipt_tf.serving.configs import Batching, Served
from ipt_tf.serving.scheduler import Scheduler
from ipt_tf.serving.store import Store

_log = logging.getLogger(__name__)

_SPARE = 5.0  # seconds after the grace in which requests that are given up have to end


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Args:
        host: address to listen at; by default only programs on this machine reach it.
        port: of gRPC; 0 takes a free one.
        rest_port: of REST; 0 takes a free one.
        batching: how tiles are batched.
        models: by name, what is served of them; all versions of all folders by default.
        max_requests: requests for tiles, for pictures and for large pictures, that are computed or wait.
        max_bytes: of a request or an answer.
        max_pixels: of the pictures in a request.
        rest_timeout: seconds until a REST request is answered with 504.
        grace: seconds that requests have to finish after SIGTERM; those that have not are given up.
        patience: seconds in which the head of the first request has to come over a REST connection.
        poll: seconds between looks at the folder of models.
        certificate: files of a certificate and its key (PEM), for TLS; None serves in the clear.
        client_ca: file of the certificates (PEM) that have signed those of clients; None asks clients for none.
    """

    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int = 8501
    batching: Batching = field(default_factory=Batching)
    models: Mapping[str, Served] | None = None
    max_requests: int = 64
    max_bytes: int = 64 * 2**20
    max_pixels: int = 16_000_000
    rest_timeout: float = 120.0
    grace: float = 60.0
    patience: float = 30.0
    poll: float = 1.0
    certificate: tuple[Path, Path] | None = None
    client_ca: Path | None = None


Started = Callable[[int, int, list[str]], object]
"""Called with the ports of gRPC and REST and the names of the models, when they are answered."""


def run(folder: str | os.PathLike, settings: Settings, started: Started) -> None:
    """Serves the models in a folder until SIGTERM or Ctrl-C; see `serve`. For the main thread of a process.

    A second signal ends the process at once, and so does work that nothing can stop, when its time is over.
    """

    async def until_signalled() -> None:
        stopped = asyncio.Event()

        def stop() -> None:
            if stopped.is_set():
                os._exit(1)
            stopped.set()
            limit = threading.Timer(settings.grace + _SPARE, os._exit, args=(1,))
            limit.daemon = True
            limit.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        await serve(folder, settings, started, stopped)

    asyncio.run(until_signalled())


async def serve(
    folder: str | os.PathLike, settings: Settings, started: Started, stopped: asyncio.Event
) -> None:
    """Serves the models in a folder, and finishes what was begun when it is stopped.

    Args:
        folder: see `ipt_tf.serving.store.Store`.
        settings: how.
        started: told where to ask.
        stopped: set to stop. No new requests are taken then; those at hand have `settings.grace` seconds.

    Raises:
        ValueError: the folder holds no models that can be loaded.
        OSError: a port is taken, or a certificate cannot be read.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_in_a_line())
    tls = _Tls.read(*settings.certificate, settings.client_ca) if settings.certificate else None
    store = await _filled(Path(folder), settings)
    scheduler = Scheduler(settings.max_requests)

    server, healthy, port = await _start_grpc(store, scheduler, settings, tls)
    try:
        runner, rest_port = await _start_rest(store, scheduler, settings, tls)
    except OSError:
        await server.stop(None)
        raise
    watch = store.watch(settings.poll)
    await grpc_face.say_serving(healthy)
    started(port, rest_port, store.names())

    await stopped.wait()
    await healthy.enter_graceful_shutdown()
    store.close()
    await asyncio.gather(server.stop(settings.grace), runner.cleanup())
    await loop.run_in_executor(None, scheduler.close)
    await loop.run_in_executor(None, watch.join)


@dataclass(frozen=True)
class _Tls:
    """A certificate and its key, for both faces."""

    credentials: grpc.ServerCredentials
    context: ssl.SSLContext

    @classmethod
    def read(cls, certificate: Path, key: Path, client_ca: Path | None) -> "_Tls":
        context = certificates.context_of(certificate, key, ssl.Purpose.CLIENT_AUTH)
        trusted = None
        if client_ca:
            trusted = client_ca.read_bytes()
            try:
                context.load_verify_locations(client_ca)
            except ssl.SSLError:
                raise ValueError(f"{client_ca} holds no certificates (PEM)") from None
            context.verify_mode = ssl.CERT_REQUIRED
        pair = (key.read_bytes(), certificate.read_bytes())
        return cls(grpc.ssl_server_credentials([pair], trusted, client_ca is not None), context)


async def _filled(folder: Path, settings: Settings) -> Store:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of models")
    load = functools.partial(servable.load, settings=settings.batching, max_pixels=settings.max_pixels)
    store = Store(folder, load, settings.models)
    for wait in (settings.poll, 0):  # two looks, as what changes between them is not whole yet
        await asyncio.get_running_loop().run_in_executor(None, store.look)
        await asyncio.sleep(wait)
    if not store.names():
        raise ValueError(
            f"{folder} holds no model that can be loaded; NAME/VERSION/saved_model.pb is expected in it, as "
            "`ipt export` writes it"
        )
    return store


async def _start_grpc(store: Store, scheduler: Scheduler, settings: Settings, tls: _Tls | None):
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", settings.max_bytes),
            ("grpc.max_send_message_length", -1),
            (
                "grpc.so_reuseport",
                0,
            ),  # a second server on the same port is a mistake, not half of the requests
        ]
    )
    healthy = grpc_face.add_services(server, store, scheduler)
    address = f"{bracketed(settings.host)}:{settings.port}"
    try:
        port = server.add_secure_port(address, tls.credentials) if tls else server.add_insecure_port(address)
    except RuntimeError:
        await server.stop(None)  # its thread would wait for ever in whatever collects it as garbage
        raise _taken(settings.port, settings) from None
    await server.start()
    return server, healthy, port


async def _start_rest(store: Store, scheduler: Scheduler, settings: Settings, tls: _Tls | None):
    app = rest_face.application(
        store, scheduler, most_bytes=settings.max_bytes, timeout=settings.rest_timeout
    )
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=settings.grace,
        handler_cancellation=True,  # when a client hangs up
    )
    await runner.setup()
    _hang_up_on_silence(runner.server, app, settings.patience)
    site = web.TCPSite(runner, settings.host, settings.rest_port, ssl_context=tls.context if tls else None)
    try:
        await site.start()
    except OSError:
        raise _taken(settings.rest_port, settings) from None
    return runner, runner.addresses[0][1]


def _hang_up_on_silence(server, app: web.Application, seconds: float) -> None:
    """Closes connections over which no request has come in some seconds, for which aiohttp waits for ever."""
    accept = server.connection_made

    def connection_made(handler, transport) -> None:
        accept(handler, transport)

        def look() -> None:
            if transport not in app[rest_face.HEARD]:
                transport.abort()

        asyncio.get_running_loop().call_later(seconds, look)

    server.connection_made = connection_made


def _log_in_a_line():
    """Returns an exception handler for a loop: a line for each kind of error in ten seconds."""
    last: dict[str, float] = {}

    def handle(loop: asyncio.AbstractEventLoop, context: dict) -> None:
        line = f"{context['message']}: {context.get('exception')!r}"
        if loop.time() - last.get(line, -math.inf) > 10:
            last[line] = loop.time()
            _log.error("%s", line)

    return handle


def _taken(port: int, settings: Settings) -> OSError:
    return OSError(f"cannot listen at {bracketed(settings.host)}:{port}: is the port taken?")
