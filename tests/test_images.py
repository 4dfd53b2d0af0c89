"""What a picture's file holds comes back, and what is no picture is refused in one line."""

import io
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from ipt_tf import images
from ipt_tf.images import ImageError, Photograph

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 30, 3), np.uint8)
RGB16 = RNG.integers(0, 65536, (20, 30, 3), np.uint16)
ALPHA = RNG.integers(0, 256, (20, 30), np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation=None):
    block = Image.Exif()
    block[0x0110] = "Camera"
    block[0x8769] = {0x829A: 0.01}
    if orientation:
        block[0x0112] = orientation
    return block.tobytes()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"])
def test_lossless_formats_return_the_pixels(tmp_path, suffix):
    images.write(Photograph(RGB), tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(images.read(tmp_path / f"a{suffix}").pixels, RGB)


@pytest.mark.parametrize("pixels", [RGB, RGB16], ids=["8", "16"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_profile_and_exif_survive(tmp_path, suffix, pixels):
    images.write(Photograph(pixels, icc=ICC, exif=exif()), tmp_path / f"a{suffix}")
    back = images.read(tmp_path / f"a{suffix}")
    assert back.icc == ICC
    block = Image.Exif()
    block.load(back.exif)
    assert block[0x0110] == "Camera"
    assert float(block.get_ifd(0x8769)[0x829A]) == pytest.approx(0.01)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_16_bits_survive_with_grey_alpha_and_profile(tmp_path, suffix, grey, with_alpha):
    pixels = RGB16[..., :1].repeat(3, axis=-1) if grey else RGB16
    alpha = RGB16[..., 1] if with_alpha else None
    images.write(Photograph(pixels, alpha, grey, icc=ICC), tmp_path / f"a{suffix}")
    back = images.read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(back.pixels, pixels)
    assert back.grey == grey
    assert back.icc == ICC
    if with_alpha:
        np.testing.assert_array_equal(back.alpha, alpha)


def test_a_16_bit_png_carries_its_exif_and_other_programs_read_it(tmp_path):
    images.write(Photograph(RGB16, icc=ICC, exif=exif()), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.getexif()[0x0110] == "Camera"
        assert image.info["icc_profile"] == ICC


def test_the_shape_that_tifffile_notes_is_not_carried_to_a_picture_of_another(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB16, photometric="rgb")
    images.write(replace(images.read(tmp_path / "a.tif"), pixels=RGB16[:10]), tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert "shape" not in file.pages.first.description


def test_a_large_png_is_written_without_a_copy_of_its_pixels_or_of_the_file(tmp_path):
    """16000 x 12000, which 4000 x 3000 becomes at x4, has 576 MB, and in Pillow 768 MB more."""
    script = (
        "import resource, sys, numpy as np; from ipt_tf import images\n"
        "pixels = np.random.default_rng(0).integers(0, 16, (3000, 4000, 3), np.uint8)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "images.write(images.Photograph(pixels[:9, :9]), sys.argv[1] + '/small.png')\n"
        "before = peak(); images.write(images.Photograph(pixels), sys.argv[1] + '/large.png')\n"
        "assert peak() < 1.6 * before, (before, peak())"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


def test_other_programs_read_our_16_bit_tiff(tmp_path):
    images.write(Photograph(RGB16, RGB16[..., 0], icc=ICC, exif=exif()), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages.first
        np.testing.assert_array_equal(page.asarray(), np.dstack([RGB16, RGB16[..., :1]]))
        assert page.photometric == tifffile.PHOTOMETRIC.RGB
        assert page.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
        assert page.tags.valueof(0x0110) == "Camera"


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"compression": "zlib", "predictor": True},
        {"planarconfig": "separate"},
    ],
    ids=str,
)
def test_16_bit_tiff_of_every_layout_is_read(tmp_path, layout):
    planes = np.moveaxis(RGB16, -1, 0) if "planarconfig" in layout else RGB16
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", **layout)
    np.testing.assert_array_equal(images.read(tmp_path / "a.tif").pixels, RGB16)


def test_a_16_bit_tiff_is_turned_upright(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", RGB16, photometric="rgb", extratags=[(0x0112, "H", 1, 6, True)], metadata=None
    )
    np.testing.assert_array_equal(images.read(tmp_path / "a.tif").pixels, np.rot90(RGB16, -1))


def test_a_16_bit_tiff_where_white_is_zero_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB16[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(images.read(tmp_path / "a.tif").pixels[..., 0], 65535 - RGB16[..., 0])


def test_a_cmyk_profile_is_not_kept_for_the_rgb_that_is_read(tmp_path):
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=b"a profile of inks")
    assert images.read(tmp_path / "a.jpg").icc is None


def test_damaged_exif_does_not_cost_the_picture(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\0\0\0")
    np.testing.assert_array_equal(images.read(tmp_path / "a.png").pixels, RGB)


def test_a_dark_16_bit_picture_is_not_taken_for_8_bits(tmp_path):
    dark = np.full((8, 8, 3), 200, np.uint16)
    (tmp_path / "dark.png").write_bytes(imagecodecs.png_encode(dark))
    tifffile.imwrite(tmp_path / "dark.tif", dark, photometric="rgb", compression="lzw")
    for name in ("dark.png", "dark.tif"):
        back = images.read(tmp_path / name)
        assert back.pixels.dtype == np.uint16
        np.testing.assert_array_equal(back.pixels, dark)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_alpha_survives(tmp_path, mode, suffix):
    grey = mode == "LA"
    pixels = RGB[..., :1].repeat(3, axis=-1) if grey else RGB
    images.write(Photograph(pixels, ALPHA | 1, grey), tmp_path / f"a{suffix}")
    back = images.read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(back.alpha, ALPHA | 1)


def test_palettes_one_bit_cmyk_and_transparent_grey_are_read(tmp_path):
    Image.fromarray(RGB).quantize(16).save(tmp_path / "palette.png")
    Image.fromarray(RGB).convert("1").save(tmp_path / "bits.png")
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(RGB[..., 0]).save(tmp_path / "clear.png", transparency=int(RGB[0, 0, 0]))
    Image.fromarray(RGB).save(
        tmp_path / "frames.gif", save_all=True, append_images=[Image.fromarray(RGB[::-1])]
    )
    assert not images.read(tmp_path / "palette.png").grey
    assert images.read(tmp_path / "bits.png").grey
    assert images.read(tmp_path / "cmyk.jpg").pixels.shape == (20, 30, 3)
    assert images.read(tmp_path / "clear.png").alpha[0, 0] == 0
    assert images.read(tmp_path / "frames.gif").pixels.shape == (20, 30, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_orientation_is_applied_as_pillow_applies_it_and_not_kept(tmp_path, orientation, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(RGB).save(path, exif=exif(orientation))
    back = images.read(path)
    with Image.open(path) as image:
        np.testing.assert_array_equal(back.pixels, np.asarray(ImageOps.exif_transpose(image)))
    block = Image.Exif()
    block.load(back.exif)
    assert 0x0112 not in block


def test_16_bits_are_rounded_for_formats_of_8(tmp_path):
    images.write(Photograph(RGB16), tmp_path / "a.bmp")
    np.testing.assert_array_equal(images.read(tmp_path / "a.bmp").pixels, np.rint(RGB16 / 257))


def test_nothing_is_overwritten_unless_asked(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")
    with pytest.raises(ImageError, match=r"a\.png exists already"):
        images.write(Photograph(RGB), target)
    assert target.read_bytes() == b"precious"
    images.write(Photograph(RGB), target, overwrite=True)
    np.testing.assert_array_equal(images.read(target).pixels, RGB)
    assert os.listdir(tmp_path) == ["a.png"]


def test_transparency_is_never_dropped(tmp_path):
    with pytest.raises(ImageError, match=r"cannot hold the transparency.*choose \.png"):
        images.write(Photograph(RGB, ALPHA), tmp_path / "a.jpg")
    assert os.listdir(tmp_path) == []


def test_targets_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"cannot write \.xyz; choose \.png"):
        images.check_target(tmp_path / "a.xyz")
    with pytest.raises(ImageError, match="does not exist"):
        images.check_target(tmp_path / "missing" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        images.check_target(tmp_path / "folder.png")


def test_a_side_that_the_format_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"WEBP holds at most 16383 pixels.*choose \.png"):
        images.write(Photograph(np.zeros((1, 16384, 3), np.uint8)), tmp_path / "a.webp")


def test_a_read_only_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write everywhere
    with pytest.raises(ImageError, match="is read-only"):
        images.write(Photograph(RGB), tmp_path / "a.png")


def test_a_disk_that_fills_up_costs_no_file_and_leaves_none(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "a.png").write_bytes(b"precious")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ImageError, match=r"a\.png cannot be written: No space left"):
        images.write(Photograph(RGB), tmp_path / "a.png", overwrite=True)
    assert os.listdir(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"precious"


def png_header(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 100) + b"IDAT"


def whole_png():
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.png is empty"),
        (b"hello, this is text", r"a\.png is not a picture"),
        (png_header(100_000, 100_000), r"a\.png claims more than 200 megapixels"),
        (png_header(14_143, 14_143), r"a\.png claims more than 200 megapixels"),
        (whole_png()[:-200], r"a\.png is damaged"),
        (bytes(imagecodecs.png_encode(RGB16))[:-200], r"a\.png is damaged"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        images.read(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"none\.png does not exist"):
        images.read(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder"):
        images.read(tmp_path)


def test_float_pictures_are_refused_with_what_would_do(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.float32), photometric="rgb")
    with pytest.raises(ImageError, match=r"a\.tif is a TIFF of 3 x float32 RGB; .* 8 or 16 bits is needed"):
        images.read(tmp_path / "a.tif")


def test_find_says_where_there_is_no_folder(tmp_path):
    with pytest.raises(ImageError, match="missing does not exist"):
        images.find(tmp_path / "missing")


def test_find_follows_no_links_to_folders_which_may_form_a_circle(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").touch()
    (tmp_path / "a" / "circle").symlink_to(tmp_path)
    assert images.find(tmp_path) == [tmp_path / "a" / "b.png"]


def test_find_lists_pictures_in_nested_folders_but_not_hidden_ones(tmp_path):
    for name in ("b.PNG", "sub/a.jpg", "notes.txt", ".hidden/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in images.find(tmp_path)] == ["b.PNG", "sub/a.jpg"]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_size_of_any_16_bit_tiff_that_is_read_is_known_beforehand(channels):
    buffer = io.BytesIO()
    settings = {"photometric": "minisblack" if channels < 3 else "rgb"}
    if channels > 1:
        settings["planarconfig"] = "contig"
    extra = {"extrasamples": [2]} if channels in (2, 4) else {}
    tifffile.imwrite(buffer, RGB16[..., :1].repeat(channels, axis=-1), **settings, **extra)
    assert images.claimed_size(buffer.getvalue()) == (20, 30)
    assert images.decode(buffer.getvalue(), "a.tif").pixels.shape == (20, 30, 3)


def test_a_picture_is_encoded_and_decoded_in_memory():
    whole = Photograph(RGB16, ALPHA.astype(np.uint16), icc=ICC)
    back = images.decode(images.png(whole), "it")
    np.testing.assert_array_equal(back.pixels, RGB16)
    np.testing.assert_array_equal(back.alpha, whole.alpha)
    assert back.icc == ICC
    with pytest.raises(ImageError, match="it is not a picture"):
        images.decode(b"text", "it")
