"""What a run tells while it trains: a line of progress, validation PSNR, TensorBoard and curves."""

import csv
import importlib.util
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from ipt_tf import outputs
from ipt_tf.training.validation import Validated


class ProgressLine:
    """A line every half minute: loss per task (a running mean), learning rate, patches per second, time left.

    Args:
        start: step at which the run begins or goes on.
        steps: length of the run.
        batch_size: patches per step.
        log: called with each line.
    """

    def __init__(self, start: int, steps: int, batch_size: int, log: Callable[[str], None]):
        self._steps, self._batch_size, self._log = steps, batch_size, log
        self._losses: dict[str, float] = {}
        self._last_step, self._last_time = start, time.monotonic()

    def update(self, step: int, task: str, loss: float, learning_rate: float) -> None:
        """Takes note of one step, and writes a line when it is time."""
        before = self._losses.get(task, loss)
        self._losses[task] = before + 0.05 * (loss - before)
        now = time.monotonic()
        if now - self._last_time < 30 and step < self._steps:
            return
        rate = (step - self._last_step) / max(now - self._last_time, 1e-9)
        left = time.strftime("%H:%M:%S", time.gmtime((self._steps - step) / rate))
        losses_now = "  ".join(f"{name} {value:.2f}" for name, value in sorted(self._losses.items()))
        self._log(
            f"step {step}/{self._steps}  loss {losses_now}  lr {learning_rate:.2e}"
            f"  {rate * self._batch_size:.1f} patches/s  {left} left"
        )
        self._last_step, self._last_time = step, now


class History:
    """`history.csv`: one row of validation PSNR per validation, without those of steps that will be run again.

    Args:
        path: the file; made when there is a first row.
        start: step at which the run begins or goes on; later rows are dropped.
    """

    def __init__(self, path: Path, start: int):
        self._path = path
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= start]
            self._write()

    def append(self, step: int, patches: int, psnr: dict[str, float]) -> None:
        """Adds a row; one of the same step is replaced."""
        row = {"step": step, "patches": patches, **{task: f"{value:.3f}" for task, value in psnr.items()}}
        self.rows = [other for other in self.rows if int(other["step"]) != step]
        self.rows.append({name: str(value) for name, value in row.items()})
        self._write()

    def best(self) -> float:
        """Returns the highest mean over the tasks so far; -inf before the first row."""
        return max((float(np.mean(list(_psnr(row).values()))) for row in self.rows), default=-np.inf)

    def _write(self) -> None:
        if not self.rows:
            self._path.unlink(missing_ok=True)
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        outputs.write(self._path, text.getvalue())


def _psnr(row: dict[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name not in ("step", "patches")}


def draw_curves(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Writes a PNG of validation PSNR against patches seen, one curve per task.

    Args:
        rows: of `History`.
        path: file to write; replaced if it is there.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="patches seen", ylabel="validation PSNR-RGB (dB)")
    for task in _psnr(rows[0]):
        axes.plot([int(row["patches"]) for row in rows], [float(row[task]) for row in rows], ".-", label=task)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


class Board:
    """TensorBoard: loss per task, gradient norm, learning rate, validation PSNR, and image triplets.

    Args:
        folder: of the event files.
    """

    def __init__(self, folder: Path):
        import tensorflow as tf

        self._summary = tf.summary
        self._writer = tf.summary.create_file_writer(str(folder))

    def step(self, step: int, task: str, loss: float, norm: float, learning_rate: float) -> None:
        """Writes the scalars of one step."""
        with self._writer.as_default(step):
            self._summary.scalar(f"loss/{task}", loss)
            self._summary.scalar("gradient_norm", norm)
            self._summary.scalar("learning_rate", learning_rate)

    def validation(self, step: int, validated: Validated) -> None:
        """Writes PSNR, and one picture of input, output and clean crops per task."""
        with self._writer.as_default(step):
            for task, psnr in validated.psnr.items():
                self._summary.scalar(f"psnr/{task}", psnr)
                self._summary.image(f"input_output_clean/{task}", validated.triplets[task][None] / 255)
        self._writer.flush()


class Report:
    """What a run shows: the line of progress always, curves and (with TensorFlow) TensorBoard if they are installed.

    Args:
        out: folder of the run.
        start: step at which the run begins or goes on.
        steps: length of the run.
        batch_size: patches per step.
        log: called with each line.
    """

    def __init__(self, out: Path, start: int, steps: int, batch_size: int, log: Callable[[str], None]):
        self._out, self._batch_size, self._log = out, batch_size, log
        self._line = ProgressLine(start, steps, batch_size, log)
        self._history = History(out / "history.csv", start)
        self._draws_curves = importlib.util.find_spec("matplotlib") is not None
        has_board = importlib.util.find_spec("tensorboard") and keras.backend.backend() == "tensorflow"
        self._board = Board(out / "tensorboard") if has_board else None
        if not self._draws_curves:
            log(
                "no curves: pip install matplotlib adds them; with TensorFlow, 'ipt_tf[train]' adds TensorBoard too"
            )

    def step(self, step: int, task: str, loss: float, norm: float, learning_rate: float) -> None:
        """Takes note of one step done."""
        self._line.update(step, task, loss, learning_rate)
        if self._board:
            self._board.step(step, task, loss, norm, learning_rate)

    def validation(self, step: int, validated: Validated) -> bool:
        """Takes note of one validation; returns whether it was the best so far."""
        before = self._history.best()
        self._history.append(step, step * self._batch_size, validated.psnr)
        if self._board:
            self._board.validation(step, validated)
        if self._draws_curves:
            draw_curves(self._history.rows, self._out / "curves.png")
        found = ", ".join(f"{task} {psnr:.2f}" for task, psnr in validated.psnr.items())
        self._log(f"step {step}: validation PSNR {found}")
        return self._history.best() > before
