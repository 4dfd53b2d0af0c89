"""Methods on pictures -> scores, with the next pictures read and the last ones measured in other threads."""

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ipt_tf.data import sets
from ipt_tf.data.sets import Pair, Picture
from ipt_tf.evaluation import metrics, published
from ipt_tf.evaluation.baselines import Method
from ipt_tf.evaluation.kept import Kept
from ipt_tf.tasks import Task
from ipt_tf.threads import ahead


@dataclass(frozen=True)
class Job:
    """One set to measure on one task."""

    set: str
    task: Task
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class PictureScore:
    """How well one method restored one picture.

    Args:
        set: name of the set's folder.
        task: name of the task.
        method: name of the method.
        picture: file name of the clean picture.
        psnr_y: dB.
        psnr_rgb: dB.
        ssim_y: at most 1.
        seconds: that the restoration took, while other pictures were read and measured beside it.
        megapixels: of the restored picture.
    """

    set: str
    task: str
    method: str
    picture: str
    psnr_y: float
    psnr_rgb: float
    ssim_y: float
    seconds: float
    megapixels: float


def plan(data: Path, tasks: Sequence[Task]) -> list[Job]:
    """Returns what to measure at a place.

    A set that is the place itself is measured on every task that it suits. In a folder of sets, those of the paper
    are measured on its tasks as the paper does.

    Raises:
        ValueError: no set, or none that suits any of the tasks; the message shows the layouts.
    """
    folders = sets.find(data)
    names = {folder: os.path.basename(os.path.abspath(folder)) for folder in folders}
    jobs = [
        Job(name, task, tuple(pictures))
        for folder, name in names.items()
        for task in tasks
        if folder == data or published.is_wanted(name, task.name)
        if (pictures := sets.pictures(folder, task))
    ]
    if not jobs:
        wanted = ", ".join(task.name for task in tasks)
        raise ValueError(
            f"{data} has {', '.join(names.values())}, but no pictures for {wanted}; the layouts are\n{sets.LAYOUTS}"
        )
    return jobs


def measure(
    jobs: Sequence[Job], methods: Sequence[Method], kept: Kept | None = None
) -> Iterator[PictureScore]:
    """Yields the scores of every method on every picture of every set.

    The first method is called in this thread, and is on all cores where it is a network; other threads read the next
    pictures meanwhile, run the other methods and measure. A few pictures are in memory at a time.

    Args:
        jobs: sets and tasks.
        methods: each runs on the tasks it suits.
        kept: scores that are there already are taken from it, new ones added to it.
    """
    total = sum(len(job.pictures) for job in jobs)
    workers = min(4, os.cpu_count() or 1)
    with (
        tqdm(total=total, unit="picture", leave=False) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        for job in jobs:
            bar.set_description(f"{job.set} {job.task.name}", refresh=False)
            keys = {picture: _key(job, picture) for picture in job.pictures} if kept else {}
            known = {
                picture: kept.scores[key] for picture, key in keys.items() if kept and key in kept.scores
            }
            for rows in known.values():
                bar.update()
                yield from (PictureScore(**row) for row in rows)
            missing = [picture for picture in job.pictures if picture not in known]
            for picture, scores in _measure_set(job, missing, methods, pool):
                if kept:
                    kept.add(keys[picture], [dataclasses.asdict(score) for score in scores])
                bar.update()
                yield from scores


def _key(job: Job, picture: Picture) -> str:
    restorer = f" by {job.task.level_of}" if job.task.level_of else ""
    return f"{job.set} {job.task.name}{restorer} {picture.name} {picture.digest()}"


def _measure_set(
    job: Job, pictures: Sequence[Picture], methods: Sequence[Method], pool: ThreadPoolExecutor
) -> Iterator[tuple[Picture, list[PictureScore]]]:
    first, *others = [method for method in methods if method.suits(job.task)]

    def read(picture: Picture) -> tuple[Picture, Pair]:
        return picture, sets.read(picture, job.task)

    def judge(item: tuple[Picture, Pair, np.ndarray, float]) -> tuple[Picture, list[PictureScore]]:
        picture, pair, image, seconds = item
        scores = [_score(job, picture, first, pair, image, seconds)]
        for method in others:
            scores.append(_score(job, picture, method, pair, *_timed(method, pair, job.task)))
        return picture, scores

    pairs = ahead(read, pictures, pool)
    restored = ((picture, pair, *_timed(first, pair, job.task)) for picture, pair in pairs)
    return ahead(judge, restored, pool)


def _timed(method: Method, pair: Pair, task: Task) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    image = method.restore(pair.degraded, task)
    return image, time.perf_counter() - start


def _score(
    job: Job, picture: Picture, method: Method, pair: Pair, image: np.ndarray, seconds: float
) -> PictureScore:
    border = job.task.border
    return PictureScore(
        job.set,
        job.task.name,
        method.name,
        picture.name,
        psnr_y=metrics.psnr(image, pair.clean, channel="y", border=border),
        psnr_rgb=metrics.psnr(image, pair.clean, channel="rgb", border=border),
        ssim_y=metrics.ssim(image, pair.clean, channel="y", border=border),
        seconds=seconds,
        megapixels=pair.clean.shape[0] * pair.clean.shape[1] / 1e6,
    )
