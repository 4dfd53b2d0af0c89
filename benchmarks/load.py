"""Clients that ask a server for as much as it can do: is it as fast as the model itself, right, and steady?

    python -m benchmarks.load --models MODELS --data PHOTOGRAPHS [--minutes 10] [--kill]

starts `ipt serve`, and 8 clients that each wait for an answer before they ask again: photographs of many sizes, cut
into tiles by the client, over gRPC; and files over REST. Every answer is compared with what the model gives in this
process. Before and after, the same calls are made in this process, one after the other, with the same batches: the
throughput to compare with. The clients' own work (cutting, blending, comparing) is done on the same cores.

`--kill` kills the server (kill -9) in the middle and starts it again 5 seconds later.
"""

import argparse
import functools
import io
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.ports import free_ports
from ipt_tf import images
from ipt_tf.restoration.restore import restore
from ipt_tf.serving import Client, ServingError

CLIENTS = 8
BATCH = 16
SIZES = ((48, 48), (96, 64), (160, 200), (300, 450), (17, 33), (240, 240))
MOST_GREY_LEVELS = 1  # batches of other sizes round differently


@dataclass(frozen=True)
class Job:
    """One request of a user: a photograph, a task, and how it is sent.

    Args:
        task: name.
        pixels: (H, W, 3), uint8.
        data: the same as a PNG, or None where the client cuts tiles.
        expected: what the model in this process makes of it.
        tiles: tiles that the model computes for it.
    """

    task: str
    pixels: np.ndarray
    data: bytes | None
    expected: np.ndarray
    tiles: int


@dataclass
class Tally:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    tiles: int = 0
    wrong: int = 0
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batching-parameters-file", type=Path)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()

    models = Models(options.models)
    jobs = make_jobs(models, options.data)
    print(
        f"{len(jobs)} different requests, {sum(job.tiles for job in jobs) / len(jobs):.1f} tiles each",
        flush=True,
    )
    seconds = 60 * options.minutes
    before = in_process_rate(models, jobs, seconds / 10)
    with Server(options.models, options.batching_parameters_file) as server:
        tally = load(server, jobs, seconds, options.kill)
    after = in_process_rate(models, jobs, seconds / 10)
    report(tally, server, seconds, (before, after))


class Models:
    """The exported models, called in this process."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self.constant = tf.constant
        self._loaded = {
            path.name.removeprefix("ipt_"): tf.saved_model.load(str(max(path.iterdir(), key=_number)))
            for path in sorted(folder.glob("ipt_*"))
        }
        self.tasks = list(self._loaded)

    def network(self, task: str) -> Callable[[np.ndarray], np.ndarray]:
        signature = self._loaded[task].signatures["serving_default"]
        return lambda tiles: signature(images=self.constant(tiles))["restored"].numpy()

    def restore_bytes(self, task: str, data: bytes) -> bytes:
        signature = self._loaded[task].signatures["restore_bytes"]
        return signature(image_bytes=self.constant([data]))["restored_bytes"].numpy()[0]

    def scale(self, task: str) -> int:
        return self._loaded[task].signatures["serving_default"].structured_outputs["restored"].shape[1] // 48


def _number(path: Path) -> int:
    return int(path.name) if path.name.isdecimal() else -1


def make_jobs(models: Models, folder: Path) -> list[Job]:
    """Every task with every size; a third of them as files."""
    photographs = [images.read(path).pixels for path in images.find(folder)[: len(SIZES)]]
    jobs = []
    for index, (task, (height, width)) in enumerate(itertools.product(models.tasks, SIZES)):
        pixels = photographs[index % len(photographs)][:height, :width].astype(np.uint8)
        as_file = (index + index // len(SIZES)) % 3 == 0
        expected, tiles = _expected(models, task, pixels)
        data = _png(pixels) if as_file else None
        jobs.append(Job(task, pixels, data, expected, tiles))
    return jobs


def _expected(models: Models, task: str, pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """The restored pixels, and how many tiles they took."""
    network, done = models.network(task), []
    options = {"batch_size": BATCH, "progress": lambda _, total: done.append(total)}
    return restore(pixels, network, models.scale(task), **options), done[-1]


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def in_process_rate(models: Models, jobs: list[Job], seconds: float) -> float:
    """Tiles per second of the model alone: for a photograph in tiles, only the calls with its batches."""
    calls: list[tuple[Callable[[], object], int]] = []
    for job in jobs:
        if job.data is None:
            network, batches = models.network(job.task), -(-job.tiles // BATCH)
            tiles = np.zeros((job.tiles // batches, 48, 48, 3), np.float32) + 100
            calls.append((functools.partial(_repeat, network, tiles, batches), job.tiles))
        else:
            calls.append((functools.partial(models.restore_bytes, job.task, job.data), job.tiles))
    for call, _ in calls:
        call()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for call, tiles in calls:
            call()
            done += tiles
    return done / (time.perf_counter() - start)


def _repeat(network: Callable, tiles: np.ndarray, times: int) -> None:
    for _ in range(times):
        network(tiles)


class Server:
    """`ipt serve` in a process of its own, at free ports that it keeps when it is started again."""

    def __init__(self, models: Path, batching: Path | None) -> None:
        self.port, self.rest_port = free_ports(2)
        command = [sys.executable, "-m", "ipt_tf.cli", "serve", "--models", str(models)]
        command += ["--port", str(self.port), "--rest-port", str(self.rest_port)]
        command += ["--batching-parameters-file", str(batching)] if batching else []
        self._command = command
        self.memory: list[tuple[float, float]] = []  # (seconds since the beginning, MB)
        self.away = (0.0, 0.0)

    def __enter__(self) -> "Server":
        self.start()
        return self

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        print("server:", self._process.stdout.readline().strip(), flush=True)

    def resident(self) -> float:
        """Memory in use, MB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __exit__(self, *_) -> None:
        self._process.send_signal(signal.SIGTERM)
        print(f"server: exit code {self._process.wait(timeout=90)} after SIGTERM")


def load(server: Server, jobs: list[Job], seconds: float, kill: bool) -> Tally:
    """Runs the clients, and the mishap."""
    tally = Tally()
    _warm_up(server, jobs)
    begin = time.perf_counter()
    threads = [
        threading.Thread(target=ask, args=(server, jobs[first:] + jobs[:first], begin, seconds, tally))
        for first in range(0, len(jobs), -(-len(jobs) // CLIENTS))
    ][:CLIENTS]
    for thread in threads:
        thread.start()
    next_look = 0.0
    while (now := time.perf_counter() - begin) < seconds:
        if kill and now > seconds / 2:
            kill = False
            server.kill()
            print(f"killed after {now:.0f} s", flush=True)
            time.sleep(5)
            server.start()
            server.away = (now, time.perf_counter() - begin)
        if now >= next_look:
            server.memory.append((now, server.resident()))
            next_look += seconds / 20
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    server.memory.append((time.perf_counter() - begin, server.resident()))
    return tally


def _warm_up(server: Server, jobs: list[Job]) -> None:
    """Asks for every signature once: TensorFlow prepares a graph at its first call."""
    for task, as_file in {(job.task, job.data is not None) for job in jobs}:
        job = next(each for each in jobs if each.task == task and (each.data is not None) == as_file)
        with _client(server, "http" if as_file else "grpc", task) as client:
            _restored(client, job)


def _client(server: Server, protocol: str, task: str) -> Client:
    port = server.port if protocol == "grpc" else server.rest_port
    return Client(f"{protocol}://127.0.0.1:{port}", task, deadline=120)


def ask(server: Server, jobs: list[Job], begin: float, seconds: float, tally: Tally) -> None:
    """One client: asks, waits for the answer, looks at it, and asks again."""
    clients: dict[tuple[str, str], Client] = {}
    for job in _until(itertools.cycle(jobs), begin + seconds):
        key = ("grpc" if job.data is None else "http", job.task)
        start = time.perf_counter()
        try:
            if key not in clients:
                clients[key] = _client(server, *key)
            result = _restored(clients[key], job)
        except ServingError as error:
            with tally.lock:
                tally.errors.append(f"{error.code}: {error}")
            continue
        end = time.perf_counter()
        difference = np.abs(result.astype(int) - job.expected).max()
        with tally.lock:
            tally.seconds.append(end - start)
            tally.ends.append(end - begin)
            tally.tiles += job.tiles
            tally.wrong += difference > MOST_GREY_LEVELS
    for client in clients.values():
        client.close()


def _until(jobs: Iterator[Job], end: float) -> Iterator[Job]:
    return itertools.takewhile(lambda _: time.perf_counter() < end, jobs)


def _restored(client: Client, job: Job) -> np.ndarray:
    if job.data is None:
        return client.restore(job.pixels, batch_size=BATCH)
    return np.asarray(Image.open(io.BytesIO(client.restore_bytes(job.data))))


def report(tally: Tally, server: Server, seconds: float, in_process: tuple[float, float]) -> None:
    """Prints what came out."""
    took = max(tally.ends) - (server.away[1] - server.away[0])
    rate, alone = tally.tiles / took, sum(in_process) / 2
    half, most = np.percentile(tally.seconds, (50, 99))
    print(f"requests: {len(tally.seconds)} in {took:.0f} s, {tally.tiles} tiles")
    print(
        f"throughput: {rate:.1f} tiles/s; in process {in_process[0]:.1f} before, {in_process[1]:.1f} after",
        end="",
    )
    print(f"; ratio {rate / alone:.3f}")
    print(f"latency: p50 {half:.2f} s, p99 {most:.2f} s, longest {max(tally.seconds):.2f} s")
    print(f"errors: {len(tally.errors)}; wrong answers: {tally.wrong}")
    for line, count in zip(*np.unique(tally.errors, return_counts=True), strict=True):
        print(f"  {count} x {line}")
    print(
        "resident memory of the server (s: MB):", ", ".join(f"{at:.0f}: {mb:.0f}" for at, mb in server.memory)
    )
    if server.away[1]:
        after = [end for end in tally.ends if end > server.away[1]]
        print(
            f"away from {server.away[0]:.0f} to {server.away[1]:.0f} s; answers since: {len(after)}, ", end=""
        )
        print(f"the first after {min(after) - server.away[1]:.1f} s")


if __name__ == "__main__":
    main()
