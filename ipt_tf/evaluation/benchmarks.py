"""A model and a folder of benchmark sets -> scores, by the protocol of the paper's code.

Restored pictures are clipped and rounded to 8 bits; PSNR on Y and on RGB, SSIM on Y; a border of `scale` pixels is
left out for super-resolution, none else; HR is cropped to a multiple of the scale; noise is seeded per picture, and
clamped to 0..255 but not rounded.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ipt_tf._version import __version__
from ipt_tf.degradations import gaussian_noise
from ipt_tf.evaluation import baselines
from ipt_tf.evaluation.baselines import Method
from ipt_tf.evaluation.kept import Kept
from ipt_tf.evaluation.measure import Job, PictureScore, measure, plan
from ipt_tf.model import checkpoints
from ipt_tf.model.ipt import IPT
from ipt_tf.model.joined import JoinedIPT
from ipt_tf.restoration.official import official_restore
from ipt_tf.tasks import Task


@dataclass(frozen=True)
class Score:
    """Means over the pictures of one set.

    Args:
        set: name of the set's folder.
        task: name of the task.
        method: name of the method.
        psnr_y: dB.
        psnr_rgb: dB.
        ssim_y: at most 1.
        n: how many pictures.
        seconds_per_megapixel: of the restored pictures; the median, so that the start-up in the first one and
            other work on the machine count little.
    """

    set: str
    task: str
    method: str
    psnr_y: float
    psnr_rgb: float
    ssim_y: float
    n: int
    seconds_per_megapixel: float


@dataclass(frozen=True)
class Weights:
    """A network, and the tasks that it was measured on.

    Args:
        model: the preset, folder or file that it is from.
        sha256: of its weights.
        network: its size.
        tasks: their names.
    """

    model: str
    sha256: str
    network: str
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Conditions:
    """All that scores depend on beside the pictures, in words.

    Args:
        model: the preset, folder or file, as it was given.
        weights: those that it has, each task in one of them.
        tiling: how pictures were cut into tiles and put together.
        noise: what became of noisy values outside 0..255.
        baselines: names of the methods that were measured beside it.
        ipt_tf: version of this package.
    """

    model: str
    weights: tuple[Weights, ...]
    tiling: str
    noise: str
    baselines: str
    ipt_tf: str = __version__


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and how.

    Args:
        conditions: how.
        data: the folder of sets.
        tasks: what was scored: the model's, those of varying strength as their levels.
        methods: the network first, then the baselines.
        jobs: the sets and tasks.
        pictures: the scores of single pictures, in the order of the jobs.
        kept: where these are on disk, too.
    """

    conditions: Conditions
    data: Path
    tasks: tuple[Task, ...]
    methods: tuple[Method, ...]
    jobs: tuple[Job, ...]
    pictures: tuple[PictureScore, ...]
    kept: Kept | None = None

    @property
    def network(self) -> Method:
        """The method that was evaluated."""
        return self.methods[0]

    def weights(self, task: str) -> Weights:
        """Returns the weights that restored a task that was scored."""
        (restorer,) = {scored.restorer for scored in self.tasks if scored.name == task}
        return next(weights for weights in self.conditions.weights if restorer in weights.tasks)

    def scores(self) -> list[Score]:
        """Returns the means per set, task and method, the baselines' too."""
        groups: dict[tuple[str, str, str], list[PictureScore]] = {}
        for score in self.pictures:
            groups.setdefault((score.set, score.task, score.method), []).append(score)
        return [_mean(*key, group) for key, group in groups.items()]

    def network_scores(self) -> list[Score]:
        """Returns those of the network alone."""
        return [score for score in self.scores() if score.method == self.network.name]

    def forget(self) -> None:
        """Deletes what is kept on disk for the case of a stop, once everything that was wanted is written."""
        if self.kept:
            self.kept.remove()


def _mean(set_name: str, task: str, method: str, scores: Sequence[PictureScore]) -> Score:
    psnr_y, psnr_rgb, ssim_y = np.mean([(s.psnr_y, s.psnr_rgb, s.ssim_y) for s in scores], axis=0).tolist()
    pace = float(np.median([score.seconds / score.megapixels for score in scores]))
    return Score(set_name, task, method, psnr_y, psnr_rgb, ssim_y, len(scores), pace)


def evaluate(
    model: IPT | Mapping[str | Path, IPT],
    data: str | Path,
    *,
    source: str | Path | None = None,
    overlap: int = 10,
    batch_size: int = 16,
    self_ensemble: bool = False,
    official_tiling: bool = False,
    clamp_noise: bool = True,
    non_local_means: bool = False,
    keep: bool = False,
    log: Callable[[str], object] = print,
) -> Evaluation:
    """Measures a model, and baselines beside it, on every set in a folder.

    Args:
        model: what to measure, on all its tasks; or several, by the sources of their weights, each on tasks of its
            own. A task of varying strength is scored at its levels (`denoise` at sigma 10, 30, 50 and 70), but for
            those that are tasks of a model too.
        data: one set, which is measured on every task that it suits; or a folder of sets, where those of the
            paper are measured on its tasks as the paper does (Set5, Set14, B100, Urban100: super-resolution; CBSD68,
            Urban100: denoising; Rain100L: deraining); other sets on every task, and other tasks on every set.
        source: where the weights are from, as `IPT.from_pretrained` takes it; the tables then name it and, of a
            single model, have its sha256, else that of the weights in memory.
        overlap: pixels shared by neighbouring tiles.
        batch_size: most tiles at a time.
        self_ensemble: average over 8 flips and turns.
        official_tiling: the tiles of the authors' evaluation in place of blended ones: about 8 times slower.
        clamp_noise: clip noisy inputs to 0..255, as the paper does.
        non_local_means: one more baseline, for denoising; needs scikit-image.
        keep: keep the scores of single pictures in a file in the current folder, so that the same call goes on
            where it was stopped; `forget()` of the result deletes it.
        log: called with a line where it goes on or stops, and where nothing can be kept.

    Raises:
        ValueError: a folder without sets, or without any for the model's tasks; or a damaged picture.

    Example:
        >>> evaluation = evaluate(IPT.from_pretrained(), "bench/Set5", source="ipt_tiny")
        >>> evaluation.network_scores()[0].psnr_y
    """
    networks = list(model.items()) if isinstance(model, Mapping) else _networks(model, source)
    scored = _scored([task for _, one in networks for task in one.tasks])
    tasks = tuple(scored if clamp_noise else map(_unclamped, scored))
    jobs = plan(Path(data), tasks)
    options = {"batch_size": batch_size, "self_ensemble": self_ensemble}
    by_task = {task: one for _, one in networks for task in one.task_names}
    network = (
        _official(by_task, **options) if official_tiling else _blended(by_task, overlap=overlap, **options)
    )
    sides = " or ".join(str(side) for side in sorted({one.patch_size for _, one in networks}))
    tiles = "of the authors' evaluation" if official_tiling else f"with an overlap of {overlap}, blended"
    others = [baselines.BICUBIC, baselines.INPUT]
    if non_local_means:
        baselines.check_non_local_means()
        others.append(baselines.NON_LOCAL_MEANS)
    conditions = Conditions(
        model=_name(source),
        weights=tuple(_weights(*each) for each in networks),
        tiling=f"tiles of {sides} {tiles}{', self-ensemble of 8' if self_ensemble else ''}",
        noise="clamped to 0..255" if clamp_noise else "not clamped",
        baselines=", ".join(method.name for method in others),
    )
    methods = (Method(conditions.model, network), *others)
    kept = Kept(conditions, log) if keep else None
    scores = _measure_all(jobs, methods, kept, log)
    return Evaluation(conditions, Path(data), tasks, methods, tuple(jobs), scores, kept)


def _networks(model: IPT, source: str | Path | None) -> list[tuple[str | Path | None, IPT]]:
    """Returns the networks in a model, each with the source of its weights."""
    if not isinstance(model, JoinedIPT):
        return [(source, model)]
    if source is None:
        return [(None, part) for part in model.parts]
    return [(checkpoints.with_task(source, part.task_names[0]), part) for part in model.parts]


def _scored(tasks: Sequence[Task]) -> list[Task]:
    names = {task.name for task in tasks}
    levels = [level for task in tasks for level in task.levels or (task,)]
    return [task for task in levels if task.level_of is None or task.name not in names]


def _unclamped(task: Task) -> Task:
    if task.sigma is None:
        return task
    return dataclasses.replace(task, degrade=gaussian_noise(task.sigma, clamp=False))


def _blended(by_task: Mapping[str, IPT], **options) -> Callable[[np.ndarray, Task], np.ndarray]:
    return lambda image, task: by_task[task.restorer].restore(image, task=task.restorer, **options)


def _official(by_task: Mapping[str, IPT], **options) -> Callable[[np.ndarray, Task], np.ndarray]:
    def restore(image: np.ndarray, task: Task) -> np.ndarray:
        model = by_task[task.restorer]
        settings = {"tile": model.patch_size, "threads": model.threads, **options}
        return official_restore(image, model.network(task.restorer), task.scale, **settings)

    return restore


def _weights(source: str | Path | None, model: IPT) -> Weights:
    return Weights(_name(source), checkpoints.digest(model, source), _size(model), tuple(model.task_names))


def _name(source: str | Path | None) -> str:
    return "model in memory" if source is None else str(source)


def _size(model: IPT) -> str:
    """What no checkpoint tells is in it too: the number of heads, and where positions are added."""
    layers = f"{model.num_layers} + {model.num_layers} layers, {model.num_heads} heads"
    positions = ", positions in every layer" if model.pos_every else ""
    policy = model.dtype_policy.name
    precision = "" if policy == "float32" else f", {policy}"
    return (
        f"{model.num_features} features, {layers}{positions}, {model.count_params():,} parameters{precision}"
    )


def _measure_all(
    jobs: Sequence[Job], methods: Sequence[Method], kept: Kept | None, log: Callable[[str], object]
) -> tuple[PictureScore, ...]:
    """Returns the scores in the order of the jobs and their pictures, however often it was stopped before."""
    try:
        scores = list(measure(jobs, methods, kept))
    except (KeyboardInterrupt, ValueError, OSError):
        if kept and kept.path.exists():
            log(f"what was measured is kept in {kept.path}; the same command goes on from there")
        raise
    places = [(job.set, job.task.name, picture.name) for job in jobs for picture in job.pictures]
    order = {place: i for i, place in enumerate(places)}
    return tuple(sorted(scores, key=lambda score: order[score.set, score.task, score.picture]))
