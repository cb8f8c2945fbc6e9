#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_fixtures.py DIR: small pictures of every kind, with what Pillow makes of them beside each as NAME.npy (u8
[H, W, 3]); and resize_*.npy, what Pillow's bilinear resize makes of one of them. Pillow 9.4 with libjpeg-turbo 2.1.5
(Debian 12: python3-pil) made the files in data/. Running the tests needs none of it."""
import io
import pathlib
import struct
import sys
import zlib

import numpy
from PIL import Image, ImageOps

WIDTH, HEIGHT = 23, 17
SIZES = [(9, 7), (23, 17), (40, 31), (5, 40), (1, 1), (11, 17), (23, 8), (100, 3)]  # width, height


def picture(channels):
    """Slopes, an edge and some noise: chroma and luma differ, and no side is like another."""
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    noise = numpy.random.default_rng(1).integers(0, 30, (HEIGHT, WIDTH, channels))
    planes = [x * 9, y * 13, (x + y) * 5 + 60 * (x > y), 250 - x * 7][:channels]
    return numpy.clip(numpy.stack(planes, axis=-1) + noise, 0, 255).astype(numpy.uint8)


def as_pillow(data):
    return numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpegs():
    rgb = Image.fromarray(picture(3))
    yield "rgb_420.jpg", encoded(rgb, "JPEG", quality=90)
    yield "rgb_422.jpg", encoded(rgb, "JPEG", quality=85, subsampling="4:2:2")
    yield "rgb_444.jpg", encoded(rgb, "JPEG", quality=95, subsampling="4:4:4")
    yield "progressive.jpg", encoded(rgb, "JPEG", quality=90, progressive=True)
    yield "grey.jpg", encoded(Image.fromarray(picture(1)[:, :, 0]), "JPEG", quality=90)
    yield "cmyk.jpg", encoded(Image.frombytes("CMYK", (WIDTH, HEIGHT), picture(4).tobytes()), "JPEG", quality=95)


def orientations():
    rgb = Image.fromarray(picture(3))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation_{orientation}.jpg", encoded(rgb, "JPEG", quality=80, exif=exif)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def written_png(colour, depth, rows, interlaced=0, extra=b""):
    """`rows`: bytes of each row, one list per pass."""
    body = b"".join(b"\0" + row for group in rows for row in group)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(body)) +
            chunk(b"IEND", b""))


def adam7(pixels):
    for y, x, down, across in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
                               (1, 0, 2, 1)):
        part = pixels[y::down, x::across]
        yield [row.tobytes() for row in part] if part.size else []


def pngs():
    rgb, rgba = Image.fromarray(picture(3)), picture(4)
    grey = Image.fromarray(picture(1)[:, :, 0])
    yield "rgb.png", encoded(rgb, "PNG")
    yield "rgba.png", encoded(Image.fromarray(rgba), "PNG")
    yield "grey.png", encoded(grey, "PNG")
    yield "grey_alpha.png", encoded(Image.fromarray(picture(2), "LA"), "PNG")
    yield "grey_1bit.png", encoded(grey.convert("1"), "PNG")
    yield "palette.png", encoded(rgb.quantize(200), "PNG")
    yield "palette_4bit.png", encoded(rgb.quantize(13), "PNG", bits=4)
    yield "palette_clear.png", encoded(rgb.quantize(20), "PNG", transparency=3)
    yield "rgb_clear.png", encoded(rgb, "PNG", transparency=tuple(int(v) for v in picture(3)[0, 0]))
    yield "interlaced.png", written_png(2, 8, adam7(picture(3)), interlaced=1)
    deep = (picture(3).astype(int) * 256 + 77).astype(">u2")
    yield "rgb_16bit.png", written_png(2, 16, [[row.tobytes() for row in deep]])
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "orientation_6.png", encoded(rgb, "PNG", exif=exif)


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(exist_ok=True)
    for name, data in [*jpegs(), *pngs()]:
        (out / name).write_bytes(data)
        shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        numpy.save(out / f"{name}.npy", numpy.asarray(shown))
    for name, data in orientations():
        (out / name).write_bytes(data)
        numpy.save(out / f"{name}.npy", numpy.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))
    # What Pillow clips (16-bit grey) is cut to its upper byte here.
    deep = (picture(1)[:, :, 0].astype(int) * 256 + 200).astype(">u2")
    (out / "grey_16bit.png").write_bytes(written_png(0, 16, [[row.tobytes() for row in deep]]))
    numpy.save(out / "grey_16bit.png.npy", numpy.repeat(picture(1), 3, axis=2))
    image = Image.fromarray(as_pillow((out / "rgb.png").read_bytes()))
    for width, height in SIZES:
        numpy.save(out / f"resize_{height}x{width}.npy", numpy.asarray(image.resize((width, height), Image.BILINEAR)))


if __name__ == "__main__":
    main()
