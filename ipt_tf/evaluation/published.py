"""The paper's tables, and the figures that others published, as data with their protocol and source.

A figure stands here only if it is known where it was printed. Denoising figures on Y and on RGB differ by 1.5 to
2 dB, so no column holds both: those of IPT are Y, those of nearly everyone else RGB.
"""

from dataclasses import dataclass, field

Figures = dict[str, float]
"""dB (or SSIM) by set."""


@dataclass(frozen=True)
class Table:
    """A table of the paper: which sets it measures which tasks on, and the columns per set.

    Args:
        title: as a heading.
        tasks: in the order of its rows.
        sets: in the order of its columns.
        measures: columns of each set, attributes of `ipt_tf.evaluation.benchmarks.Score`.
        note: what a reader has to know to compare its figures.
    """

    title: str
    tasks: tuple[str, ...]
    sets: tuple[str, ...]
    measures: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Published:
    """Figures of one method on one task.

    Args:
        method: who.
        task: on what.
        source: where they were printed.
        y: PSNR on Y, by set.
        rgb: PSNR on RGB, by set.
        remark: what else is known of the protocol.
    """

    method: str
    task: str
    source: str
    y: Figures = field(default_factory=dict)
    rgb: Figures = field(default_factory=dict)
    remark: str = ""

    @property
    def protocol(self) -> str:
        """The channels, and what else is known."""
        channels = [name for name, figures in (("Y", self.y), ("RGB", self.rgb)) if figures]
        return ", ".join([" and ".join(channels), *([self.remark] if self.remark else [])])


_SR_SETS = ("Set5", "Set14", "B100", "Urban100")
_NOISE_SETS = ("CBSD68", "Urban100")

_DENOISING_NOTE = (
    "The paper's figures for IPT are PSNR on Y; those of the CNNs that it prints beside them are PSNR on RGB, which is"
    " lower by 1.5 to 2 dB for the same pictures. RGB figures of IPT are from others."
)

TABLES = (
    Table("Table 1. Super-resolution", ("sr_x2", "sr_x3", "sr_x4"), _SR_SETS, ("psnr_y",)),
    Table(
        "Table 2. Colour denoising",
        ("denoise_30", "denoise_50"),
        _NOISE_SETS,
        ("psnr_y", "psnr_rgb"),
        _DENOISING_NOTE,
    ),
    Table(
        "Table 3. Deraining",
        ("derain",),
        ("Rain100L",),
        ("psnr_y", "psnr_rgb", "ssim_y"),
        "Published figures of systems that were not trained on Rain100L's own training set are left out.",
    ),
    Table(
        "Table 4. Denoising at levels that the paper's pre-training did not include",
        ("denoise_10", "denoise_70"),
        _NOISE_SETS,
        ("psnr_y", "psnr_rgb"),
        _DENOISING_NOTE,
    ),
)

_ALIASES = {"bsd100": "B100", "bsds100": "B100", "bsd68": "CBSD68", "cbsd68": "CBSD68"}
_ALIASES |= {name.lower(): name for table in TABLES for name in table.sets}


def canonical(name: str) -> str:
    """Returns the name that the tables have for a set: BSD100 is B100, BSD68 is CBSD68; others stay."""
    return _ALIASES.get(name.lower(), name)


def is_wanted(set_name: str, task: str) -> bool:
    """Whether a set is measured on a task: the paper's sets on the paper's tasks only where the paper does so."""
    known_set = any(canonical(set_name) in table.sets for table in TABLES)
    tables = [table for table in TABLES if task in table.tasks]
    return not (known_set and tables) or any(canonical(set_name) in table.sets for table in tables)


def of_paper(set_name: str, task: str) -> float | None:
    """Returns the PSNR-Y that the paper prints for IPT on a set, or None."""
    rows = [row for row in PUBLISHED if row.task == task and row.source == PAPER]
    return next((row.y[canonical(set_name)] for row in rows if canonical(set_name) in row.y), None)


def _on(sets: tuple[str, ...], *figures: float | None) -> Figures:
    return {name: figure for name, figure in zip(sets, figures, strict=True) if figure is not None}


def _sr(scale: int, method: str, source: str, *figures: float | None, remark: str = "") -> Published:
    return Published(method, f"sr_x{scale}", source, y=_on(_SR_SETS, *figures), remark=remark)


def _noise_y(sigma: int, source: str, *figures: float | None) -> Published:
    return Published(
        "IPT", f"denoise_{sigma}", source, y=_on(_NOISE_SETS, *figures), remark="noise clamped to 0..255"
    )


PAPER = "the paper"
_MINDSPORE = "readme of the authors' MindSpore code"
_MAIR = "MaIR, CVPR 2025, as quoted in a reading note"
_HAT = "HAT's readme"
_DPIR = "DPIR's readme"
_CODES = "paperswithcode page of EDT"
_RERUN = "a user's run of the released weights"
_EDSR = "EDSR, CVPRW 2017, table 3"
_QUOTED = "quoted in the paper"

_MORE_DATA = "pre-trained on ImageNet"

PUBLISHED = (
    _sr(2, "IPT", PAPER, 38.37, 34.43, 32.48, 33.76, remark="border 2"),
    _sr(2, "IPT", _MINDSPORE, 38.33, 34.49, 32.46, 33.74),
    _sr(2, "IPT", f"{_RERUN}, Pretrained-IPT issue 28", 38.391, None, None, None),
    _sr(2, "SRCNN", _EDSR, 36.66, 32.42, 31.36, 29.50),
    _sr(2, "VDSR", _EDSR, 37.53, 33.03, 31.90, 30.76),
    _sr(2, "EDSR", _EDSR, 38.11, 33.92, 32.32, 32.93),
    _sr(2, "SwinIR", _MAIR, 38.42, 34.46, None, 33.81),
    _sr(2, "SRFormer", _MAIR, 38.51, 34.44, None, 34.09),
    _sr(2, "MambaIR", _MAIR, 38.57, 34.67, None, 34.15),
    _sr(2, "MaIR+", _MAIR, 38.62, 34.82, None, 34.38),
    _sr(2, "EDT-B", _CODES, 38.63, 34.80, None, 34.27, remark=_MORE_DATA),
    _sr(3, "IPT", PAPER, 34.81, 30.85, 29.38, 29.49, remark="border 3"),
    _sr(3, "IPT", _MINDSPORE, 34.86, 30.85, 29.38, 29.50),
    _sr(3, "SRCNN", _EDSR, 32.75, 29.28, 28.41, 26.24),
    _sr(3, "VDSR", _EDSR, 33.66, 29.77, 28.82, 27.14),
    _sr(3, "EDSR", _EDSR, 34.65, 30.52, 29.25, 28.80),
    _sr(3, "EDT-B", _CODES, 35.13, None, None, None),
    _sr(4, "IPT", PAPER, 32.64, 29.01, 27.82, 27.26, remark="border 4"),
    _sr(4, "IPT", _MINDSPORE, 32.71, 29.03, 27.84, 27.24),
    _sr(4, "SRCNN", _EDSR, 30.48, 27.49, 26.90, 24.52),
    _sr(4, "VDSR", _EDSR, 31.35, 28.01, 27.29, 25.18),
    _sr(4, "EDSR", _EDSR, 32.46, 28.80, 27.71, 26.64),
    _sr(4, "SwinIR", _HAT, 32.92, 29.09, 27.92, 27.45),
    _sr(4, "HAT-S", _HAT, 32.92, 29.15, 27.97, 27.87),
    _sr(4, "HAT", _HAT, 33.04, 29.23, 28.00, 27.97),
    _sr(4, "DAT", "DAT's readme", None, None, None, 27.87),
    _sr(4, "HAT-L", "DRCT's readme", 33.30, 29.47, 28.09, 28.60),
    _sr(4, "DRCT-L", "DRCT's readme", 33.37, 29.54, 28.16, 28.70),
    _sr(4, "HMA", "HMA's readme", 33.38, 29.51, 28.13, 28.69),
    _noise_y(30, PAPER, 32.32, 33.75),
    _noise_y(30, _MINDSPORE, 32.35, 33.99),
    Published(
        "IPT",
        "denoise_30",
        f"{_RERUN}, Pretrained-IPT issue 48",
        y={"CBSD68": 32.415},
        rgb={"CBSD68": 30.748},
    ),
    Published("CBM3D", "denoise_30", _QUOTED, rgb={"CBSD68": 29.73}),
    Published("DnCNN", "denoise_30", _QUOTED, rgb={"CBSD68": 30.40}),
    Published("DRUNet", "denoise_30", _DPIR, y={"CBSD68": 32.44, "Urban100": 33.93}, rgb={"CBSD68": 30.81}),
    _noise_y(50, PAPER, 29.88, 31.12),
    _noise_y(50, _MINDSPORE, 29.93, 31.49),
    Published("IPT", "denoise_50", "SwinIR's table 6, quoted in its issue 1", rgb={"CBSD68": 28.39}),
    Published("CBM3D", "denoise_50", _QUOTED, rgb={"CBSD68": 27.38}),
    Published("DnCNN", "denoise_50", _QUOTED, rgb={"CBSD68": 28.01}),
    Published(
        "DRUNet",
        "denoise_50",
        _DPIR,
        y=_on(_NOISE_SETS, 30.09, 31.57),
        rgb=_on(_NOISE_SETS, 28.51, 29.61),
    ),
    Published(
        "Restormer",
        "denoise_50",
        "a user's run, Restormer issue 78",
        rgb=_on(_NOISE_SETS, 28.59, 29.89),
    ),
    Published("Xformer", "denoise_50", "Xformer's readme", rgb={"Urban100": 30.36}),
    Published("IPT", "derain", PAPER, y={"Rain100L": 41.62}),
    Published("IPT", "derain", _MINDSPORE, y={"Rain100L": 42.08}),
    Published("DDN", "derain", _QUOTED, y={"Rain100L": 32.38}),
    _noise_y(10, PAPER, 38.30, 39.07),
    _noise_y(70, PAPER, 28.21, 28.80),
)
