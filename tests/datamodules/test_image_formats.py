"""Every kind of image is decoded to the right values or refused by name. References: the formats' own definitions."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import DataError
from datamodules.imagefolder import _read_image, imagefolder

Write = Callable[..., Path]

RAMP = np.arange(30, dtype=np.uint16).reshape(5, 6)
DEEP = (RAMP * 2184 + 77).astype(np.uint16)  # 16 bits whose upper byte takes 30 values
COLORS = np.stack([RAMP * 8, 255 - RAMP * 8, RAMP * 3 + 100]).astype(np.uint8)  # (3, 5, 6)


@pytest.fixture
def folder(tmp_path: Path, write_folder: Write) -> Path:
    return write_folder(tmp_path / "data", count=1, mode="L")


def decoded(folder: Path, name: str, content: bytes) -> np.ndarray:
    """The pixels of a file among the images, (C, H, W)."""
    (folder / "train" / "dog" / name).write_bytes(content)
    return imagefolder(folder, None).train_x[-1]


def refusal(folder: Path, name: str, content: bytes) -> str:
    with pytest.raises(DataError) as error:
        decoded(folder, name, content)
    said = str(error.value)
    assert said.startswith(f"cannot read image {folder / 'train' / 'dog' / name}: ")
    assert said.isprintable()
    return said


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def color_image() -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(COLORS.transpose(1, 2, 0)))


def tiff(data: bytes, bits: int, photometric: int, sample_format: int = 1) -> bytes:
    """A gray TIFF 6.0 of 6x5 pixels, little-endian, one strip."""
    short, long = 3, 4
    tags = [
        (256, short, 6),  # width
        (257, short, 5),  # height
        (258, short, bits),
        (259, short, 1),  # no compression
        (262, short, photometric),  # 0: white is zero, 1: black is zero
        (273, long, 8),  # where the strip is
        (277, short, 1),  # samples a pixel
        (278, short, 5),  # rows a strip
        (279, long, len(data)),
        (339, short, sample_format),  # 1: unsigned, 2: signed
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def twelve_bits(values: np.ndarray) -> bytes:
    bits = "".join(f"{int(v):012b}" for v in values.flat)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def fits(values: np.ndarray) -> bytes:
    """A FITS image of signed 16 bits, whose zero and unit are anybody's."""
    cards = ["SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 6", "NAXIS2  = 5", "END"]
    return "".join(card.ljust(80) for card in cards).ljust(2880).encode() + values.astype(">i2").tobytes().ljust(2880)


def png(depth: int, color: int, samples: np.ndarray, size: tuple[int, int] = (6, 5)) -> bytes:
    """A PNG by its specification: no filter, one IDAT; of that size, as it says."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else np.uint8).tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


LOSSLESS = {
    "a.png": {"format": "PNG"},
    "a.apng": {"format": "PNG"},
    "a.bmp": {"format": "BMP"},
    "a.dib": {"format": "DIB"},
    "a.tif": {"format": "TIFF"},
    "a.tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    "a.webp": {"format": "WEBP", "lossless": True},
    "a.ppm": {"format": "PPM"},
    "a.pnm": {"format": "PPM"},
    "a.tga": {"format": "TGA"},
    "a.pcx": {"format": "PCX"},
    "a.sgi": {"format": "SGI"},
    "a.jp2": {"format": "JPEG2000", "irreversible": False},
    "a.qoi": {"format": "QOI"},
    "a.dds": {"format": "DDS"},
    "no extension": {"format": "PNG"},
    "named as another.jpg": {"format": "PNG"},
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_what_pillow_decodes_is_an_image(name: str, folder: Path) -> None:
    assert np.array_equal(decoded(folder, name, saved(color_image(), **LOSSLESS[name])), COLORS)


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.jpg", "a.JPEG", "a.avif"])
def test_lossy_images(name: str, folder: Path) -> None:
    smooth = Image.fromarray(np.full((5, 6, 3), (200, 60, 30), np.uint8))
    format = "AVIF" if name.endswith("avif") else "JPEG"
    pixels = decoded(folder, name, saved(smooth, format, quality=95)).astype(int)
    assert np.abs(pixels - np.array([200, 60, 30])[:, None, None]).max() <= 4


UPPER = (DEEP >> 8).astype(np.uint8)
TWELVE = (RAMP * 141).astype(np.uint16)

DEEP_GRAY = {
    "a.png": (png(16, 0, DEEP), UPPER),
    "little.tif": (tiff(DEEP.astype("<u2").tobytes(), 16, 1), UPPER),
    "big.tif": (saved(Image.fromarray(DEEP.astype(">u2")), "TIFF"), UPPER),
    "white is zero.tif": (tiff(DEEP.astype("<u2").tobytes(), 16, 0), ((65535 - DEEP) >> 8).astype(np.uint8)),
    "twelve.tif": (tiff(twelve_bits(TWELVE), 12, 1), (TWELVE >> 4).astype(np.uint8)),
    "a.pgm": (b"P5 6 5 65535\n" + DEEP.astype(">u2").tobytes(), UPPER),
    "plain.pgm": (b"P2 6 5 65535\n" + " ".join(map(str, DEEP.flat)).encode(), UPPER),
    "a.jp2": (saved(Image.fromarray(DEEP), "JPEG2000", irreversible=False), UPPER),
}


@pytest.mark.parametrize("name", DEEP_GRAY)
def test_sixteen_bits_keep_the_upper_eight(name: str, folder: Path) -> None:
    content, expected = DEEP_GRAY[name]
    assert len(np.unique(expected)) == 30
    assert np.array_equal(decoded(folder, name, content), expected[None])


def test_other_maximal_values_of_a_pgm_are_scaled(folder: Path) -> None:
    values = RAMP.astype(float) * 35
    pixels = decoded(folder, "a.pgm", b"P5 6 5 1023\n" + values.astype(">u2").tobytes())
    assert np.abs(pixels[0] - values * 255 / 1023).max() <= 1


@pytest.mark.parametrize("color", [2, 6], ids=["rgb", "rgba"])
def test_sixteen_bits_of_color(color: int, folder: Path) -> None:
    channels = 3 if color == 2 else 4
    samples = np.stack([np.roll(DEEP, i) for i in range(channels)], axis=-1)
    pixels = decoded(folder, "a.png", png(16, color, samples.reshape(5, -1)))
    assert np.array_equal(pixels, (samples[..., :3] >> 8).transpose(2, 0, 1))


def test_sixteen_bits_of_gray_with_alpha(folder: Path) -> None:
    samples = np.stack([DEEP, np.full_like(DEEP, 65535)], axis=-1)
    pixels = decoded(folder, "a.png", png(16, 4, samples.reshape(5, -1)))
    assert np.array_equal(pixels, np.broadcast_to(UPPER, (3, 5, 6)))


def test_few_bits_of_gray_span_the_range(folder: Path) -> None:
    for depth, top in ((1, 1), (2, 3), (4, 15)):
        values = RAMP % (top + 1)
        rows = np.stack(
            [np.packbits([(int(v) >> b) & 1 for v in row for b in reversed(range(depth))]) for row in values]
        )
        assert np.array_equal(decoded(folder, "a.png", png(depth, 0, rows))[0], values * (255 // top)), depth


INKS = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (100, 50, 200, 60)]


@pytest.mark.parametrize(("name", "options", "tolerance"), [("TIFF", {}, 1), ("JPEG", {"quality": 100}, 6)])
def test_four_inks_become_rgb(name: str, options: dict[str, object], tolerance: int, tmp_path: Path) -> None:
    """R = 255 (1 - C) (1 - K), without a color profile: no ink is white, in Adobe's inverted JPEGs too."""
    image = Image.fromarray(np.array([INKS] * 5, np.uint8), "CMYK").resize((48, 40), Image.Resampling.NEAREST)
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "i").write_bytes(saved(image, name, **options))
    pixels = imagefolder(tmp_path, None).train_x[0, :, 4::8, 4::8].astype(float)
    expected = np.array([[255 * (1 - ink / 255) * (1 - black / 255) for ink in inks] for *inks, black in INKS])
    assert np.abs(pixels - expected.T[:, None, :]).max() <= tolerance


def test_palettes_and_their_transparent_colors(folder: Path) -> None:
    image = Image.fromarray((RAMP % 3).astype(np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 200, 0, 10, 20, 30])
    colors = np.array([[255, 0, 0], [0, 200, 0], [10, 20, 30]], np.uint8)
    expected = colors[RAMP % 3].transpose(2, 0, 1)
    for options in ({}, {"transparency": 1}, {"transparency": bytes([255, 0, 128])}):
        assert np.array_equal(decoded(folder, "a.png", saved(image, "PNG", **options)), expected), options
    assert np.array_equal(decoded(folder, "a.gif", saved(image, "GIF")), expected)


def test_other_color_spaces_become_rgb(folder: Path) -> None:
    """L* of 100 % is white, of 0 % black; a* and b* are signed in files."""
    image = Image.fromarray(np.array([[(255, 0, 0), *[(0, 0, 0)] * 5]] * 5, np.uint8), "LAB")
    pixels = decoded(folder, "a.tif", saved(image, "TIFF"))[:, 0].astype(int)
    assert np.abs(pixels[:, 0] - 255).max() <= 1
    assert np.abs(pixels[:, 1]).max() <= 1
    image = Image.new("HSV", (6, 5), (0, 255, 200)).convert("RGB").convert("YCbCr")
    pixels = decoded(folder, "a.tif", saved(image, "TIFF", compression="tiff_lzw")).astype(int)
    assert np.abs(pixels - np.array([200, 0, 0])[:, None, None]).max() <= 2


def test_alpha_is_dropped_and_the_colors_below_it_stay(folder: Path) -> None:
    alpha = Image.fromarray((RAMP * 8).astype(np.uint8))
    color = color_image()
    color.putalpha(alpha)
    assert np.array_equal(decoded(folder, "a.png", saved(color, "PNG")), COLORS)
    gray = Image.fromarray(COLORS[0])
    gray.putalpha(alpha)
    (folder / "train" / "dog" / "a.png").unlink()
    assert np.array_equal(decoded(folder, "a.png", saved(gray, "PNG")), COLORS[:1])


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif", "a.avif"])
def test_several_frames_are_refused_and_one_is_read(name: str, folder: Path) -> None:
    frames = [Image.fromarray(np.full((5, 6, 3), v, np.uint8)) for v in (10, 200)]
    format = Image.registered_extensions()[Path(name).suffix]
    content = saved(frames[0], format, save_all=True, append_images=frames[1:])
    assert "it has several frames" in refusal(folder, name, content)
    pixels = decoded(folder, name, saved(frames[0], format, save_all=True))
    assert np.abs(pixels.astype(int) - 10).max() <= 3


def test_the_preview_in_a_photograph_is_no_second_frame(folder: Path) -> None:
    main, preview = (Image.fromarray(np.full((5, 6, 3), v, np.uint8)) for v in (10, 200))
    content = saved(main, "MPO", save_all=True, append_images=[preview])
    assert Image.open(BytesIO(content)).n_frames == 2
    assert np.abs(decoded(folder, "phone.jpg", content).astype(int) - 10).max() <= 2


DRAWING = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.png", b"", "in no format that Pillow knows; move it elsewhere, or put a dot before its name"),
        ("a.txt", b"notes", "damaged, or in no format that Pillow knows"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "damaged, or in no format that Pillow knows"),
        ("float.tif", saved(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), "32-bit pixels (mode F)"),
        ("int.tif", saved(Image.fromarray(RAMP.astype(np.int32)), "TIFF"), "32-bit pixels (mode I)"),
        ("signed.tif", tiff(DEEP.astype("<i2").tobytes(), 16, 1, sample_format=2), "32-bit pixels (mode I)"),
        ("a.fits", fits(DEEP), "16-bit pixels have no known range in FITS; convert the image to 8 bits"),
        ("a.eps", DRAWING, "a drawing"),
        ("bomb.png", png(8, 0, RAMP, (50_000, 50_000)), "decompression bomb"),
        ("bomb.pgm", b"P5 50000 50000 255\n", "decompression bomb"),
    ],
)
def test_what_cannot_be_decoded_is_named(name: str, content: bytes, words: str, folder: Path) -> None:
    assert words in refusal(folder, name, content)


def test_nothing_is_run_to_draw_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen.__init__", fail)
    said = refusal(
        folder, "a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n%%EndComments\nshowpage\n%%EOF\n"
    )
    assert "convert it to PNG" in said


TRUNCATED = LOSSLESS | {
    "a.gif": {"format": "GIF"},
    "a.jpg": {"format": "JPEG"},
    "progressive.jpg": {"format": "JPEG", "progressive": True},
    "a.avif": {"format": "AVIF"},
    "tiles.jp2": {"format": "JPEG2000", "tile_size": (4, 4)},
    "bare.j2k": {"format": "JPEG2000", "no_jp2": True},
}


@pytest.mark.parametrize("name", TRUNCATED)
def test_an_image_cut_anywhere_is_named_or_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    whole = saved(color_image(), **TRUNCATED[name])
    path.write_bytes(whole)
    expected = _read_image(tmp_path, None, name)
    refused = []
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        try:
            assert np.array_equal(_read_image(tmp_path, None, name), expected), end
        except DataError as error:
            refused.append(str(error))
    assert all(said.startswith(f"cannot read image {path}: ") for said in refused)
    assert len(refused) > 0.6 * len(whole)  # the last bytes of some formats hold no pixels


def test_any_changed_bit_of_a_png_is_noticed(folder: Path) -> None:
    whole = saved(color_image(), "PNG")
    pixels = len(whole) - 12  # the last chunk says that the file ends
    rng = np.random.default_rng(0)
    for _ in range(200):
        changed = bytearray(whole)
        place = int(rng.integers(pixels))
        changed[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(DataError) as error:
            decoded(folder, "a.png", bytes(changed))
        assert "a.png" in str(error.value)


def test_libraries_below_pillow_are_silent(
    folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray(saved(color_image(), "TIFF", compression="tiff_adobe_deflate"))
    start = content.index(b"\x78\x9c") + 2
    content[start : start + 20] = bytes(20)
    refusal(folder, "a.tif", bytes(content))
    assert capfd.readouterr() == ("", "")


def test_threads_know_every_format_from_the_start(folder: Path) -> None:
    """The first file of a format that Pillow loads late is met by several threads at once."""
    content = saved(color_image(), "JPEG2000", irreversible=False)
    for i in range(200):
        (folder / "train" / "dog" / f"{i}.jp2").write_bytes(content)
    script = (
        "import sys; from pathlib import Path; from datamodules.imagefolder import imagefolder;"
        "assert len(imagefolder(Path(sys.argv[1]), None).train_x) == 202"
    )
    run_python(script, str(folder))


def run_python(script: str, *argv: str) -> None:
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script, *argv], cwd=root, check=True, timeout=250)
