"""Files <-> arrays. What a picture carries beside its pixels survives the round trip.

8 and 16 bit, grey, alpha, palettes, CMYK (as RGB), EXIF (orientation is applied to the pixels), ICC profiles.
"""

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

_WRITERS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
_WRITERS |= {".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM", ".pgm": "PPM"}
_QUALITY: dict[str, dict] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
_HOLD_ALPHA = ("PNG", "WEBP", "TIFF")
_HOLD_16_BITS = ("PNG", "TIFF")

SUFFIXES = (*_WRITERS, ".gif")
"""Suffixes of the files that can be read; all but .gif can be written."""

_ORIENTATION = 0x0112
_DESCRIPTIVE_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_SUB_DIRECTORIES = (0x8769, 0x8825)  # EXIF and GPS

# Pillow warns from 89 megapixels on, which photographs of today reach; what it refuses, above 179, stays refused.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageError(ValueError):
    """A picture that cannot be read or written; the message names the file and says why."""


@dataclass(frozen=True)
class Photograph:
    """The pixels of a picture, upright, and what its file carries beside them.

    Args:
        pixels: (H, W, 3), RGB, uint8 or uint16. Three equal channels where `grey`.
        alpha: (H, W) of the same dtype, or None.
        grey: whether the file has one colour channel, and is written back with one.
        icc: ICC profile.
        exif: EXIF block, without the orientation, which is applied already.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None


def find(folder: str | Path) -> list[Path]:
    """Returns the image files in a folder and the folders inside it, by suffix, sorted; hidden ones left out."""
    folder = Path(folder)
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read(path: str | Path) -> Photograph:
    """Reads a picture of any kind as upright RGB.

    Args:
        path: PNG, JPEG, WebP, TIFF, BMP, GIF (the first frame) or PPM.

    Returns:
        The photograph; 16 bit where the file declares 16 bits per channel. EXIF is not read from 16-bit TIFF.

    Raises:
        ImageError: the file is missing, is no picture, is damaged, is larger than 178 megapixels, or holds
            pixels that are not whole numbers of 8 or 16 bits.

    Example:
        >>> read("photo.jpg").pixels.shape
        (3000, 4000, 3)
    """
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not a picture")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from None
    if not data:
        raise ImageError(f"{path} is empty (0 bytes)")
    try:
        return _decode(data)
    except ImageError as error:
        raise ImageError(f"{path} {error}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not a picture in a format that is known here") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path} claims more than 178 megapixels; cut it into parts first") from None
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise ImageError(f"{path} is damaged: {error}") from error


def _decode(data: bytes) -> Photograph:
    if (tiff := _decode_tiff_16(data)) is not None:
        return tiff
    with Image.open(io.BytesIO(data)) as image:
        is_png_16 = image.format == "PNG" and data[24] == 16
        planes = _decode_png_16(data) if is_png_16 else _decode_8(image)
        exif = image.getexif()
        planes = _upright(planes, exif.get(_ORIENTATION, 1))
        return _photograph(planes, image.info.get("icc_profile"), _descriptive(exif))


def _photograph(planes: np.ndarray, icc: bytes | None, exif: bytes | None) -> Photograph:
    """Splits (H, W, 1 to 4) planes into colour and alpha."""
    channels = planes.shape[-1]
    grey = channels < 3
    alpha = np.ascontiguousarray(planes[..., -1]) if channels in (2, 4) else None
    pixels = planes[..., :1].repeat(3, axis=-1) if grey else np.ascontiguousarray(planes[..., :3])
    return Photograph(pixels, alpha, grey, icc, exif)


def _decode_8(image: Image.Image) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise ImageError(
            f"has pixels of mode {image.mode}; 8 or 16 bits per channel are needed: save it as a 16-bit PNG"
        )
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = "A" in image.getbands() or "transparency" in image.info
    mode = {(True, False): "L", (True, True): "LA", (False, False): "RGB", (False, True): "RGBA"}[grey, alpha]
    if mode == "LA" and image.mode == "L":  # Pillow knows no way from L with a transparent grey to LA
        return np.asarray(image.convert("RGBA"))[..., [0, 3]]
    planes = np.asarray(image.convert(mode))
    return planes[..., None] if planes.ndim == 2 else planes


def _decode_png_16(data: bytes) -> np.ndarray:
    import imagecodecs

    planes = imagecodecs.png_decode(data)
    return planes[..., None] if planes.ndim == 2 else planes


def _decode_tiff_16(data: bytes) -> Photograph | None:
    """Decodes a 16-bit TIFF, which Pillow cannot in colour; None for any other file."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.bitspersample != 16:
            return None
        if page.imagewidth * page.imagelength > 2 * (Image.MAX_IMAGE_PIXELS or 0):
            raise Image.DecompressionBombError
        planes, name = page.asarray(), tifffile.PHOTOMETRIC(page.photometric).name
        separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        orientation = page.tags.valueof(_ORIENTATION, default=1)
        icc = page.tags.valueof("InterColorProfile")
    if planes.dtype != np.uint16 or name not in ("MINISBLACK", "MINISWHITE", "RGB"):
        raise ImageError(f"is a TIFF of {planes.dtype} {name} pixels; RGB or grey, 8 or 16 bits, are needed")
    if planes.ndim == 2:
        planes = planes[..., None]
    elif separate:
        planes = np.moveaxis(planes, 0, -1)
    planes = 65535 - planes if name == "MINISWHITE" else planes
    return _photograph(_upright(planes, int(orientation)), icc, exif=None)


def _upright(planes: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors pixels (H, W, C) as an EXIF orientation from 1 to 8 asks for."""
    if orientation in (5, 6, 7, 8):
        planes = planes.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        planes = planes[::-1]
    if orientation in (2, 3, 6, 7):
        planes = planes[:, ::-1]
    return planes


def _descriptive(exif: Image.Exif) -> bytes | None:
    """Returns what describes the picture; tags about how its file was laid out do not belong in another file."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for tag in _SUB_DIRECTORIES:
        if entries := exif.get_ifd(tag):
            kept[tag] = dict(entries)
    return kept.tobytes() if len(kept) else None


def check_target(path: str | Path, *, overwrite: bool = False) -> None:
    """Raises ImageError where a picture cannot be written, before any work is done for it."""
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise ImageError(
            f"{path}: cannot write {path.suffix or 'without a suffix'}; choose {', '.join(_WRITERS)}"
        )
    if path.is_dir():
        raise ImageError(f"{path} is a folder")
    if path.exists() and not overwrite:
        raise ImageError(f"{path} exists already; --overwrite replaces it")
    if not path.parent.is_dir():
        raise ImageError(f"{path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise ImageError(f"{path}: the folder {path.parent} is read-only")


def holds_alpha(path: str | Path) -> bool:
    """Returns whether the format that a suffix chooses can hold transparency."""
    return _WRITERS.get(Path(path).suffix.lower()) in _HOLD_ALPHA


def write(photograph: Photograph, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a picture beside its place and renames it, so that a file is whole or not there.

    What the format cannot hold in full is reduced: 16 bits to 8 in all but PNG and TIFF; EXIF is left out of
    BMP, PPM and 16-bit TIFF. Alpha is never dropped. JPEG has quality 95 without chroma subsampling, WebP is lossless.

    Args:
        photograph: what to write.
        path: the suffix chooses the format.
        overwrite: replace a file that is there already.

    Raises:
        ImageError: an unknown suffix, a file that is there already, alpha in a format without, or a folder
            that is missing or read-only. Nothing is changed then.
    """
    path = Path(path)
    check_target(path, overwrite=overwrite)
    format_ = _WRITERS[path.suffix.lower()]
    if photograph.alpha is not None and not holds_alpha(path):
        raise ImageError(f"{path}: {format_} cannot hold the transparency of this picture; choose .png")
    data = _encode(photograph, format_)
    _place(path, lambda file: file.write(data), overwrite)


def _encode(photograph: Photograph, format_: str) -> bytes:
    colour = photograph.pixels[..., :1] if photograph.grey else photograph.pixels
    planes = colour if photograph.alpha is None else np.dstack([colour, photograph.alpha])
    if planes.dtype == np.uint16 and format_ in _HOLD_16_BITS:
        encode = _encode_png_16 if format_ == "PNG" else _encode_tiff_16
        return encode(np.ascontiguousarray(planes), photograph)
    if planes.dtype == np.uint16:
        planes = np.rint(planes / 257).astype(np.uint8)
    image = Image.fromarray(planes[..., 0] if planes.shape[-1] == 1 else planes)
    settings: dict = dict(_QUALITY.get(format_, {}))
    if photograph.icc:
        settings["icc_profile"] = photograph.icc
    if photograph.exif and format_ not in ("BMP", "PPM"):
        settings["exif"] = photograph.exif
    buffer = io.BytesIO()
    image.save(buffer, format_, **settings)
    return buffer.getvalue()


def _encode_png_16(planes: np.ndarray, photograph: Photograph) -> bytes:
    import imagecodecs

    data = bytes(imagecodecs.png_encode(planes[..., 0] if planes.shape[-1] == 1 else planes))
    after_header = 8 + 25  # the signature and IHDR
    chunks = b""
    if photograph.icc:
        chunks += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(photograph.icc))
    if photograph.exif:
        chunks += _png_chunk(b"eXIf", photograph.exif.removeprefix(b"Exif\0\0"))
    return data[:after_header] + chunks + data[after_header:]


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _encode_tiff_16(planes: np.ndarray, photograph: Photograph) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        planes[..., 0] if planes.shape[-1] == 1 else planes,
        photometric="minisblack" if photograph.grey else "rgb",
        extrasamples=None if photograph.alpha is None else ["unassalpha"],
        planarconfig=None if planes.shape[-1] == 1 else "contig",
        compression="zlib",
        iccprofile=photograph.icc,
        metadata=None,
    )
    return buffer.getvalue()


def _place(path: Path, fill: Callable[[io.BufferedWriter], object], overwrite: bool) -> None:
    """Fills a file beside `path` and moves it there; where it must not overwrite, never over another file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("xb") as file:
            fill(file)
        if overwrite:
            os.replace(beside, path)
        else:
            os.link(beside, path)
    except FileExistsError:
        raise ImageError(f"{path} exists already; --overwrite replaces it") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)
