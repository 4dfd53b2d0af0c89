"""`ipt demo`: the page's server, from the port to Ctrl-C."""

import asyncio
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable

from aiohttp import web

from ipt_tf.addresses import bracketed

_GRACE = 2.0
_LOOPBACK = ("127.", "::1")


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens; before a network is loaded, as a port that is taken is told at once then.

    Args:
        host: name or address of this machine.
        port: 0 takes a free one.

    Raises:
        OSError: one line that says where it cannot listen, and why.
    """
    try:
        family, *_, (address, *_) = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        return socket.create_server((address, port), family=family)
    except socket.gaierror as error:
        reason = error.strerror
    except OSError as error:
        reason = os.strerror(error.errno or 0)  # without what Python adds to it
    except OverflowError as error:
        reason = str(error)
    raise OSError(f"cannot listen at {host}:{port}: {reason}; --host and --port choose another")


def is_public(listener: socket.socket) -> bool:
    """Whether other machines reach a socket."""
    return not listener.getsockname()[0].startswith(_LOOPBACK)


def address(listener: socket.socket) -> str:
    """Returns where a browser on this machine finds a socket: host:port."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"{bracketed(host)}:{port}"


def runner(app: web.Application) -> web.AppRunner:
    """Returns what serves an application: who goes away ends what they asked for."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE, handler_cancellation=True)


def run(listener: socket.socket, app: web.Application, started: Callable[[], object]) -> None:
    """Answers at a socket until Ctrl-C or SIGTERM. For the main thread of a process.

    Args:
        listener: from `listen`.
        app: what answers.
        started: called when it does.
    """

    async def until_signalled() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        serving = runner(app)
        await serving.setup()
        await web.SockSite(serving, listener).start()
        await asyncio.to_thread(started)  # a browser can take seconds to open, and wants its answer meanwhile
        await stopped.wait()
        await serving.cleanup()

    asyncio.run(until_signalled())


def open_browser(url: str) -> None:
    """Shows a page in the user's browser, where there is a screen: not in the terminal, by a browser for text."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)
