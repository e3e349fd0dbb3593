#!/usr/bin/env python3
"""Writes small pictures of every format and kind that is taken in: where the fuzzer starts from.

    python3 fuzz/seeds.py DIRECTORY        (with Pillow; `fuzz/run` sees to it)

A fuzzer that starts from nothing would have to find out by itself what a PNG is. What it is given here it mixes and changes,
and it keeps what reaches code that nothing before did. The pictures are small, since a small case is a quick one; those that
are wide are so because a JPEG is decoded at a smaller scale only if it is larger than the thumbnails need.
"""

import io
import pathlib
import random
import struct
import sys
import zlib

from PIL import Image, ImageCms

WIDTH, HEIGHT = 40, 28
EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# How many cases of each seed: the target takes the format and the fit of the thumbnails from the length of a case.
LENGTHS = 2


def picture(mode="RGB", width=WIDTH, height=HEIGHT):
    """A gradient with a little noise: something of everything, and not all of it easily compressed."""
    noise = random.Random(width)

    def pixel(x, y):
        base = [x * 255 // width, y * 255 // height, (x * y) % 256, 255 if x > width // 3 else 90]
        return tuple(min(255, value + noise.randrange(20)) for value in base)

    whole = Image.new("RGBA", (width, height))
    whole.putdata([pixel(x, y) for y in range(height) for x in range(width)])
    return whole if mode == "RGBA" else whole.convert("RGB").convert(mode)


def flat(width, height):
    return Image.new("RGB", (width, height), (200, 120, 40))


def save(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpegs():
    for name, image in [("rgb", picture()), ("grey", picture("L")), ("cmyk", picture("CMYK"))]:
        for progressive in [False, True]:
            for subsampling in [0, 1, 2] if name == "rgb" else [-1]:
                options = {"progressive": progressive, "subsampling": subsampling, "quality": 80}
                yield f"{name}-{'progressive' if progressive else 'baseline'}-{subsampling}", save(image, "JPEG", **options)
    yield "exif-icc", save(picture(), "JPEG", exif=EXIF, icc_profile=ICC)
    yield "optimised", save(picture(), "JPEG", optimize=True, quality=95)
    yield "rgb-kept", save(picture(), "JPEG", keep_rgb=True)
    yield "restart", save(picture(), "JPEG", restart_marker_blocks=1)
    yield "restart-progressive", save(picture(), "JPEG", restart_marker_rows=1, progressive=True)
    yield "one-pixel", save(picture("RGB", 1, 1), "JPEG")
    for width in [1300, 2500, 5000, 10000]:
        yield f"wide-{width}", save(flat(width, 8), "JPEG", quality=30)
        yield f"wide-progressive-{width}", save(flat(width, 8), "JPEG", quality=30, progressive=True)
    yield "large", save(flat(1210, 820), "JPEG", quality=10)


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(depth, color, interlace, chunks=()):
    """Of random samples, for the kinds that Pillow does not write. Adam7 is a sum of small pictures, each with its rows."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    passes = [(0, 0, 1, 1)]
    if interlace:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    noise = random.Random(depth * 8 + color)
    rows = b""
    for left, top, across, down in passes:
        width, height = -(-(WIDTH - left) // across), -(-(HEIGHT - top) // down)
        for _ in range(height):
            rows += bytes([noise.randrange(5)]) + noise.randbytes((width * channels * depth + 7) // 8)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color, 0, 0, interlace)
    chunks = list(chunks)
    if color == 3:
        chunks += [(b"PLTE", noise.randbytes(3 * 2**depth)), (b"tRNS", b"\0\x80")]
    chunks = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, data) for name, data in chunks)


def pngs():
    kinds = [(0, [1, 2, 4, 8, 16]), (2, [8, 16]), (3, [1, 2, 4, 8]), (4, [8, 16]), (6, [8, 16])]
    for color, depths in kinds:
        for depth in depths:
            for interlace in [0, 1]:
                yield f"{color}-{depth}-{interlace}", raw_png(depth, color, interlace)
    profile = (b"iCCP", b"a profile\0\0" + zlib.compress(ICC))
    yield "metadata", raw_png(8, 2, 0, [profile, (b"gAMA", struct.pack(">I", 45455)), (b"eXIf", EXIF[6:])])
    yield "transparent-colour", raw_png(8, 2, 0, [(b"tRNS", b"\0\1\0\2\0\3")])
    yield "animated", save(picture("RGBA"), "PNG", save_all=True, append_images=[picture("RGBA", 20, 20)])


def gifs():
    yield "plain", save(picture("P"), "GIF")
    yield "interlaced", save(picture("L"), "GIF", interlace=1)
    frames = [picture("P"), picture("L")]
    yield "animated", save(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2, transparency=3)
    yield "comment", save(picture("1"), "GIF", comment=b"a comment")
    small = save(picture("P", 12, 9), "GIF")
    descriptor = small.index(b"\x2c\0\0\0\0")
    moved = bytearray(small)
    moved[6:10] = struct.pack("<HH", 30, 20)
    moved[descriptor + 1:descriptor + 5] = struct.pack("<HH", 7, 5)
    yield "on-canvas", bytes(moved)
    moved[descriptor + 1:descriptor + 5] = struct.pack("<HH", 25, 15)
    yield "beyond-canvas", bytes(moved)


def webps():
    for mode in ["RGB", "RGBA"]:
        for lossless in [False, True]:
            for method in [0, 6]:
                name = f"{mode.lower()}-{'lossless' if lossless else 'lossy'}-{method}"
                yield name, save(picture(mode), "WEBP", lossless=lossless, method=method, quality=70)
        yield f"{mode.lower()}-poor", save(picture(mode), "WEBP", quality=1, alpha_quality=1)
        yield f"{mode.lower()}-odd", save(picture(mode, 17, 33), "WEBP", quality=90, method=4)
    yield "palette", save(picture("P").quantize(6).convert("RGB"), "WEBP", lossless=True)
    yield "two-colours", save(picture("1").convert("RGB"), "WEBP", lossless=True)
    yield "metadata", save(picture(), "WEBP", exif=EXIF, icc_profile=ICC)
    yield "large", save(flat(1210, 820), "WEBP", quality=10)
    for lossless in [False, True]:
        frames = {"save_all": True, "append_images": [picture("RGBA", WIDTH, HEIGHT).rotate(90)], "lossless": lossless}
        yield f"animated-{lossless}".lower(), save(picture("RGBA"), "WEBP", **frames)


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    count = 0
    for kind, seeds in [("jpeg", jpegs()), ("png", pngs()), ("gif", gifs()), ("webp", webps())]:
        for name, file in seeds:
            # What follows a picture's end is ignored by everyone, and changes the length.
            for padding in range(LENGTHS):
                (directory / f"seed-{kind}-{name}-{padding}").write_bytes(file + bytes(padding))
                count += 1
    print(f"{count} seeds in {directory}")


main()
