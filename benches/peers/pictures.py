"""Makes the pictures that are timed, as people upload them: each of at most 1 MiB, which is what the service takes.

They are photographs from Debian's wallpaper packages, cropped to the shape of their class and scaled down to its size. Only
the two of 24 Mpx are enlarged, by 1.2 and 1.4, because no photograph there is that large. Little is lost with that: a file
of 1 MiB has no room for such fine detail. A photograph is written as a baseline and as a progressive JPEG.

JPEG and lossy WebP are of the best quality that fits into 1 MiB. The lossless formats are as large as fits. Both are found by
trying, so the pictures take a minute or two, once.
"""

import io
import json
import pathlib
import sys

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

MAX_BYTES = 1024 * 1024
BEST_QUALITY = 95  # above it the files only grow
ORIENTATION = 274  # the tag in Exif, where 6 says: turn me to the right by a quarter

# Classes of JPEGs, and in each the photographs and the size they are stored in. "friends" lies on its side, as a telephone
# stores what it takes upright. 1632x1224 is halved to 612 by a decoder that scales, which is the hardest case for quality.
JPEGS = {
    "2 Mpx": [("picosdeeuropa", 1632, 1224), ("life", 1600, 1200)],
    "6 Mpx": [("aitzgorri", 3000, 2000), ("friends", 3000, 2000)],
    "12 Mpx": [("Dragonfly", 4000, 3000), ("Kleiber", 4000, 3000)],
    "24 Mpx": [("Kleiber", 6000, 4000), ("sunset", 6000, 4000)],
}
ON_ITS_SIDE = "friends"
LOSSY_WEBPS = ["2 Mpx", "12 Mpx"]
LARGEST_LOSSLESS = (1500, 1000)


def photograph(name, width, height):
    """That part about its centre which has the shape, scaled to the size."""
    [path] = pathlib.Path(sys.argv[1]).glob(f"usr/share/backgrounds/{name}_by_*.jpg")
    picture = Image.open(path).convert("RGB")
    if name == ON_ITS_SIDE:
        picture = picture.transpose(Image.Transpose.ROTATE_90)
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)


def encode(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def best_quality(picture, kind, **options):
    """Halves the range of qualities until one is left: the highest whose file is small enough."""
    low, high = 1, BEST_QUALITY + 1
    while high - low > 1:
        middle = (low + high) // 2
        small_enough = len(encode(picture, kind, quality=middle, **options)) <= MAX_BYTES
        low, high = (middle, high) if small_enough else (low, middle)
    return encode(picture, kind, quality=low, **options)


def largest(picture, kind, prepare=lambda picture: picture, **options):
    """Scales the picture down by a tenth until its file is small enough."""
    while True:
        file = encode(prepare(picture), kind, **options)
        if len(file) <= MAX_BYTES:
            return file
        picture = picture.resize((picture.width * 9 // 10, picture.height * 9 // 10), Image.Resampling.LANCZOS)


def vignette(picture):
    """Cut out softly: opaque in the middle, transparent at the edges, where the colours are still there but hidden."""
    mask = Image.new("L", picture.size, 0)
    inset = (picture.width // 8, picture.height // 8, picture.width * 7 // 8, picture.height * 7 // 8)
    ImageDraw.Draw(mask).ellipse(inset, fill=255)
    picture.putalpha(mask.filter(ImageFilter.GaussianBlur(picture.width // 40)))
    return picture


def screenshot():
    """A window with text and a picture: large even areas, and hard edges of one pixel."""
    picture = Image.new("RGB", (1440, 900), "#f4f4f2")
    draw = ImageDraw.Draw(picture)
    font, heading = ImageFont.load_default(15), ImageFont.load_default(34)
    draw.rectangle((0, 0, 1440, 48), fill="#2d4f6c")
    draw.rectangle((0, 48, 260, 900), fill="#e2e4e6", outline="#b8bcc0")
    draw.text((20, 4), "My Little Image Sharer", fill="white", font=heading)
    for row in range(24):
        draw.text((20, 70 + 34 * row), f"Album number {row + 1}", fill="#333333", font=font)
        draw.line((10, 96 + 34 * row, 250, 96 + 34 * row), fill="#c8ccd0")
    for row, line in enumerate(__doc__.splitlines() * 3):
        draw.text((290, 70 + 22 * row), line, fill="black", font=font)
    picture.paste(photograph("free", 320, 240), (1090, 640))
    draw.rectangle((1089, 639, 1410, 880), outline="black")
    return picture


def jpegs():
    for name, photographs in JPEGS.items():
        for progressive in (False, True):
            for source, width, height in photographs:
                picture = photograph(source, width, height)
                exif = Image.Exif()
                if source == ON_ITS_SIDE:
                    exif[ORIENTATION] = 6
                options = {"subsampling": "4:2:0", "progressive": progressive, "exif": exif}
                label = f"JPEG {name}" + (", progressive" if progressive else "")
                yield label, source, "jpg", "jpg", best_quality(picture, "JPEG", **options)


def others():
    """Those for which PNG thumbnails are made are the ones that can be transparent, as the server decides it."""
    for source in ("sunset", "Wine"):
        yield "PNG", source, "png", "jpg", largest(photograph(source, *LARGEST_LOSSLESS), "PNG")
    yield "PNG", "screenshot", "png", "jpg", encode(screenshot(), "PNG")
    for source in ("Picture_0B", "seeding"):
        picture = vignette(photograph(source, *LARGEST_LOSSLESS))
        yield "PNG, transparent", source, "png", "png", largest(picture, "PNG")
    for name in LOSSY_WEBPS:
        for source, width, height in JPEGS[name]:
            yield f"WebP {name}", source, "webp", "jpg", best_quality(photograph(source, width, height), "WEBP")
    picture = photograph("greentock", *LARGEST_LOSSLESS)
    yield "WebP, lossless", "greentock", "webp", "jpg", largest(picture, "WEBP", lossless=True)
    yield "WebP, lossless", "screenshot", "webp", "jpg", encode(screenshot(), "WEBP", lossless=True)
    for source in ("aitzgorri", "free"):
        picture = photograph(source, *LARGEST_LOSSLESS)
        yield "GIF", source, "gif", "jpg", largest(picture, "GIF", prepare=lambda picture: picture.quantize(256))


def main():
    """Arguments: where the photographs are, and where the pictures go, with a list of them in pictures.json."""
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(exist_ok=True)
    pictures = []
    for label, source, extension, thumbnails, file in (picture for kind in (jpegs(), others()) for picture in kind):
        assert len(file) <= MAX_BYTES, f"{label}: {source} has {len(file)} bytes"
        path = directory / f"{label}-{source}.{extension}".replace(",", "").replace(" ", "-").lower()
        path.write_bytes(file)
        pictures.append({"class": label, "path": str(path), "thumbnails": thumbnails})
    (directory / "pictures.json").write_text(json.dumps(pictures, indent=1))


main()
