"""Files <-> arrays. What a picture carries beside its pixels survives the round trip.

8 and 16 bit, grey, alpha, palettes, CMYK (as RGB), EXIF (orientation is applied to the pixels), ICC profiles.
"""

import io
import os
import secrets
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

_WRITERS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
_WRITERS |= {".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM", ".pgm": "PPM"}
_QUALITY: dict[str, dict] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
}
_HOLD_ALPHA = ("PNG", "WEBP", "TIFF")
_LARGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
_READERS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF")

_BIG_TIFF_SIGNATURES = (b"II+\0", b"MM\0+")
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", *_BIG_TIFF_SIGNATURES)

WRITTEN_SUFFIXES = tuple(_WRITERS)
"""Suffixes of the files that can be written."""

SUFFIXES = (*WRITTEN_SUFFIXES, ".gif")
"""Suffixes of the files that can be read."""

MAX_PIXELS = 200_000_000
"""Pixels of the largest picture that is read."""

# Pillow warns at this number, and refuses at twice of it before it allocates. Its own, 89 megapixels, is one that
# photographs of today reach.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_ORIENTATION = 0x0112
_ICC = 0x8773
# Description, make, model, software, date, artist, copyright, and the EXIF and GPS directories.
_DESCRIPTIVE_TAGS = (
    0x010E,
    0x010F,
    0x0110,
    0x0131,
    0x0132,
    0x013B,
    0x8298,
    0x8769,
    0x8825,
)
_TIFFFILE_DESCRIPTION = '{"shape"'  # tifffile's own, of the pixels as they were


class ImageError(ValueError):
    """A picture that cannot be read or written; the message names the file and says why."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """The pixels of a picture, upright, and what its file carries beside them.

    Args:
        pixels: (H, W, 3), RGB, uint8 or uint16. Three equal channels where `grey`.
        alpha: (H, W) of the same dtype, or None.
        grey: whether the file has one colour channel, and is written back with one.
        icc: ICC profile.
        exif: EXIF block, as JPEG stores it, without the orientation, which is applied already.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None


def find(
    folder: str | os.PathLike, *, unreadable: Callable[[ImageError], object] | None = None
) -> list[Path]:
    """Returns the image files in a folder and the folders inside it, by suffix, sorted; hidden ones left out.

    Links to folders are not followed.

    Args:
        folder: where to look.
        unreadable: called with an error for each folder that may not be read; by default that error is raised.

    Raises:
        ImageError: there is no such folder, or one inside it may not be read.
    """

    def report(error: OSError) -> None:
        problem = ImageError(f"the folder {error.filename} cannot be read: {error.strerror}")
        if unreadable is None:
            raise problem
        unreadable(problem)

    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"{folder} {'is a file, not a folder' if folder.exists() else 'does not exist'}")
    found = []
    for parent, folders, names in os.walk(folder, onerror=report):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(parent, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(found)


def read(path: str | os.PathLike) -> Photograph:
    """Reads a picture of any kind as upright RGB.

    Args:
        path: PNG, JPEG, WebP, TIFF, BMP, GIF (the first frame) or PPM.

    Returns:
        The photograph; 16 bit where a PNG or TIFF declares 16 bits per channel.

    Raises:
        ImageError: the file is missing, is no picture, is damaged, is larger than `MAX_PIXELS`, or holds
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
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Photograph:
    """Decodes the content of a picture's file; see `read`.

    Args:
        data: the content.
        name: of the picture, for messages.

    Raises:
        ImageError: as `read` does.

    Example:
        >>> decode(Path("photo.jpg").read_bytes(), "your photo").pixels.shape
        (3000, 4000, 3)
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)")
    try:
        return _decode(data)
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not a picture in a format that is known here") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} {_TOO_LARGE}") from None
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise ImageError(f"{name} is damaged: {' '.join(str(error).split())}") from error


def claimed_size(data: bytes, formats: tuple[str, ...] = _READERS) -> tuple[int, int]:
    """Returns the height and width that the header of a picture's file claims, and decodes nothing.

    Args:
        data: the content of the file.
        formats: the kinds that are taken, by Pillow's names, such as "PNG". Default: all that `read` reads.

    Raises:
        ImageError: a picture of none of these kinds, or one larger than `MAX_PIXELS`.

    Example:
        >>> claimed_size(Path("photo.jpg").read_bytes(), ("PNG", "JPEG"))
        (3000, 4000)
    """
    try:
        width, height = _claimed(data, formats)
    except UnidentifiedImageError:
        raise ImageError(f"is not a picture of the kinds that are taken: {', '.join(formats)}") from None
    except Image.DecompressionBombError:
        raise ImageError(_TOO_LARGE) from None
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise ImageError(f"is damaged: {' '.join(str(error).split())}") from None
    _check_size(width, height)
    return height, width


def _claimed(data: bytes, formats: tuple[str, ...]) -> tuple[int, int]:
    if "TIFF" in formats and data[:4] in _TIFF_SIGNATURES:  # Pillow does not know all that tifffile reads
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return file.pages.first.imagewidth, file.pages.first.imagelength
    with Image.open(io.BytesIO(data), formats=formats) as image:
        return image.size


_TOO_LARGE = f"claims more than {MAX_PIXELS // 1_000_000} megapixels; cut it into parts first"


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(_TOO_LARGE)


def _decode(data: bytes) -> Photograph:
    if data[:4] in _TIFF_SIGNATURES and (tiff := _decode_tiff_16(data)) is not None:
        return tiff
    with Image.open(io.BytesIO(data), formats=_READERS) as image:
        _check_size(*image.size)
        is_png_16 = (
            image.format == "PNG" and data[24] == 16
        )  # the depth in the header: Pillow would cut to 8 bits
        planes = _decode_png_16(data) if is_png_16 else _decode_8(image)
        # A CMYK profile says nothing about the RGB that the pixels are now.
        icc = None if image.mode == "CMYK" else image.info.get("icc_profile")
        return _photograph(planes, icc, image.getexif(), is_tiff=image.format == "TIFF")


def _photograph(planes: np.ndarray, icc: bytes | None, exif: Image.Exif, is_tiff: bool) -> Photograph:
    """Splits (H, W, 1 to 4) planes, or (H, W), into colour and alpha, upright."""
    planes = _upright(planes if planes.ndim == 3 else planes[..., None], exif.get(_ORIENTATION, 1))
    channels = planes.shape[-1]
    alpha = np.ascontiguousarray(planes[..., -1]) if channels in (2, 4) else None
    pixels = planes[..., :1].repeat(3, axis=-1) if channels < 3 else np.ascontiguousarray(planes[..., :3])
    return Photograph(pixels, alpha, channels < 3, icc, _kept(exif, is_tiff))


def _decode_8(image: Image.Image) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise ImageError(
            f"has pixels of mode {image.mode}; 8 or 16 bits per channel are needed: save it as a 16-bit PNG"
        )
    if image.mode == "CMYK":
        return np.asarray(_from_cmyk(image))
    alpha = image.mode.endswith(("A", "a")) or "transparency" in image.info
    if image.mode not in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("RGBA" if alpha else "RGB"))
    if image.mode == "L" and alpha:  # Pillow knows no way from L with a transparent grey to LA
        return np.asarray(image.convert("RGBA"))[..., [0, 3]]
    return np.asarray(image.convert("LA" if alpha else "L"))


def _from_cmyk(image: Image.Image) -> Image.Image:
    """Converts by the picture's own profile, whose inks look duller than those of the plain formula."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (KeyError, OSError, ImageCms.PyCMSError):
        converted = None
    return converted or image.convert("RGB")


def _decode_png_16(data: bytes) -> np.ndarray:
    import imagecodecs

    return imagecodecs.png_decode(data)


def _decode_tiff_16(data: bytes) -> Photograph | None:
    """Decodes a 16-bit TIFF, whose colours Pillow cuts to 8 bits; None for up to 8 bits."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.bitspersample not in (16, 32, 64):
            return None
        _check_size(page.imagewidth, page.imagelength)
        name, channels = (
            tifffile.PHOTOMETRIC(page.photometric).name,
            page.samplesperpixel,
        )
        if page.dtype != np.uint16 or name not in ("MINISBLACK", "MINISWHITE", "RGB") or channels > 4:
            raise ImageError(
                f"is a TIFF of {channels} x {page.dtype} {name}; RGB or grey of 8 or 16 bits is needed"
            )
        planes, icc = page.asarray(), page.tags.valueof(_ICC)
        separate = channels > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    if separate:
        planes = np.moveaxis(planes, 0, -1)
    if name == "MINISWHITE":
        planes = 65535 - planes
    exif = Image.Exif()
    if data[:4] not in _BIG_TIFF_SIGNATURES:
        exif.load_from_fp(io.BytesIO(data))  # an EXIF block is a TIFF without pixels
    return _photograph(planes, icc, exif, is_tiff=True)


def _upright(planes: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors pixels (H, W, C) as an EXIF orientation from 1 to 8 asks for."""
    if orientation in (5, 6, 7, 8):
        planes = planes.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        planes = planes[::-1]
    if orientation in (2, 3, 6, 7):
        planes = planes[:, ::-1]
    return planes


def _kept(exif: Image.Exif, is_tiff: bool) -> bytes | None:
    """Returns EXIF without the orientation, nor what a TIFF's own tags say about the layout of its file."""
    for tag, value in list(exif.items()):
        of_the_layout = tag not in _DESCRIPTIVE_TAGS or str(value).startswith(_TIFFFILE_DESCRIPTION)
        if tag == _ORIENTATION or (is_tiff and of_the_layout):
            del exif[tag]
    try:
        return exif.tobytes() if len(exif) else None
    except Exception:  # entries so damaged that they cannot be written are no reason to refuse the pixels
        return None


def check_target(path: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Raises ImageError where no picture can be written, before any work is done for it."""
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise ImageError(
            f"{path}: cannot write {path.suffix or 'without a suffix'}; choose {', '.join(_WRITERS)}"
        )
    if path.is_dir():
        raise ImageError(f"{path} is a folder")
    if path.exists() and not overwrite:
        raise ImageError(f"{path} exists already; --overwrite replaces it (overwrite=True in Python)")
    if not path.parent.is_dir():
        raise ImageError(f"{path}: the folder {path.parent} does not exist")
    check_folder(path.parent)


def check_folder(folder: str | os.PathLike) -> None:
    """Raises ImageError where no file can be made in a folder."""
    if not os.access(folder, os.W_OK):
        raise ImageError(f"the folder {folder} is read-only")


def check_holds(path: str | os.PathLike, height: int, width: int, *, alpha: bool) -> None:
    """Raises ImageError where the format that a suffix chooses cannot hold a picture of this kind."""
    format_ = _WRITERS[Path(path).suffix.lower()]
    if alpha and format_ not in _HOLD_ALPHA:
        raise ImageError(f"{path}: {format_} cannot hold the transparency of this picture; choose .png")
    if max(height, width) > _LARGEST_SIDE.get(format_, max(height, width)):
        raise ImageError(
            f"{path}: {format_} holds at most {_LARGEST_SIDE[format_]} pixels per side, not {height} x {width}; "
            "choose .png"
        )


def write(photograph: Photograph, path: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Writes a picture beside its place and renames it, so that a file is whole or not there.

    What the format cannot hold in full is reduced: 16 bits to 8 in all but PNG and TIFF; EXIF and the profile
    are left out of PPM, EXIF also of BMP. Alpha is never dropped. JPEG has quality 95 without chroma
    subsampling, WebP is lossless.

    Args:
        photograph: what to write.
        path: the suffix chooses the format.
        overwrite: replace a file that is there already.

    Raises:
        ImageError: an unknown suffix, a file that is there already, alpha or a size that the format cannot
            hold, or a folder that is missing or read-only. Nothing is changed then.
    """
    path = Path(path)
    check_target(path, overwrite=overwrite)
    check_holds(path, *photograph.pixels.shape[:2], alpha=photograph.alpha is not None)
    _place(path, _encode(photograph, _WRITERS[path.suffix.lower()]), overwrite)


def png(photograph: Photograph) -> bytes:
    """Returns a photograph as the content of a PNG file; nothing of it is lost."""
    return b"".join(_encode(photograph, "PNG"))


def _encode(photograph: Photograph, format_: str) -> list[bytes | memoryview]:
    """Returns the parts of a file; joining them would take as much memory again."""
    colour = photograph.pixels[..., :1] if photograph.grey else photograph.pixels
    planes = colour if photograph.alpha is None else np.dstack([colour, photograph.alpha])
    if format_ == "PNG":
        return _encode_png(np.ascontiguousarray(planes), photograph)
    if format_ == "TIFF" and planes.dtype == np.uint16:
        return [_encode_tiff_16(planes, photograph)]
    if planes.dtype == np.uint16:
        planes = _TO_8_BITS[planes]
    image = Image.fromarray(planes[..., 0] if planes.shape[-1] == 1 else planes)
    settings: dict = dict(_QUALITY.get(format_, {}))
    if photograph.icc:
        settings["icc_profile"] = photograph.icc
    if photograph.exif and not (format_ == "JPEG" and len(photograph.exif) > _LONGEST_JPEG_EXIF):
        settings["exif"] = photograph.exif
    buffer = io.BytesIO()
    image.save(buffer, format_, **settings)
    return [buffer.getbuffer()]


_TO_8_BITS = np.rint(np.arange(65536) / 257).astype(np.uint8)
_LONGEST_JPEG_EXIF = 65_533


def _encode_png(planes: np.ndarray, photograph: Photograph) -> list[bytes | memoryview]:
    """Encodes 8 or 16 bits. Pillow knows no 16 bits, and with 8 it holds a copy, of 4 bytes per pixel."""
    import imagecodecs

    # Room for pixels that do not shrink, a filter per row and the frames of chunks. Given no room, imagecodecs copies
    # the result out of its own; a bytearray would be filled, where NumPy takes no memory for what is not used.
    room: Any = np.empty(planes.nbytes * 101 // 100 + planes.shape[0] + 10_000, np.uint8)
    data = memoryview(imagecodecs.png_encode(planes[..., 0] if planes.shape[-1] == 1 else planes, out=room))
    after_header = 8 + 25  # the signature and IHDR
    chunks = b""
    if photograph.icc:
        chunks += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(photograph.icc))
    if photograph.exif:
        chunks += _png_chunk(b"eXIf", photograph.exif.removeprefix(b"Exif\0\0"))
    return [data[:after_header], chunks, data[after_header:]]


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _encode_tiff_16(planes: np.ndarray, photograph: Photograph) -> bytes:
    """Adds the tags of a TIFF's layout to the EXIF block, which is a TIFF without pixels, and appends the pixels."""
    height, width, channels = planes.shape
    tags = Image.Exif()
    if photograph.exif:
        tags.load(photograph.exif)
    tags.endian = tags.endian or "<"
    strip = zlib.compress(planes.astype(f"{tags.endian}u2", copy=False).tobytes())
    tags[0x0100], tags[0x0101] = width, height
    tags[0x0102] = (16,) * channels  # bits per sample
    tags[0x0103] = 8  # deflate
    tags[0x0106] = 1 if photograph.grey else 2  # photometric: black is zero, RGB
    tags[0x0111], tags[0x0116], tags[0x0117] = (
        0,
        height,
        len(strip),
    )  # one strip: where (see below), rows, bytes
    tags[0x0115] = channels
    if photograph.alpha is not None:
        tags[0x0152] = 2  # the extra channel is alpha, not premultiplied
    if photograph.icc:
        tags[_ICC] = photograph.icc
    # Pillow takes the strip's place from the end of the tags, and writes it from the beginning of the file.
    return tags.tobytes().removeprefix(b"Exif\0\0") + strip


def _place(path: Path, parts: list[bytes | memoryview], overwrite: bool) -> None:
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            file.writelines(parts)
        check_target(path, overwrite=overwrite)  # encoding took a while
        os.replace(beside, path)
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)
