"""How good the thumbnails are: decodes them and the pictures they were made of, for the judge in score/.

The reference is what arithmetic without shortcuts gives: the whole picture decoded, turned upright, cropped about the
centre, and scaled to each size at once by Lanczos3 in floating point. Like all the peers it scales the gamma-encoded values.
A transparent picture is multiplied by its opacity first, and judged on grey.

Arguments: the judge's program, and a directory to work in. Each line of standard input is a JSON object of the picture's path
and the prefix of its thumbnails' paths for each peer; each line of the answer has the scores, by peer and size.
"""

import json
import pathlib
import subprocess
import sys

import numpy
from PIL import Image, ImageOps

SIZES = [600, 300, 100]
GREY = 128.0


def opened(path):
    """The picture, upright, with opacity only if it has any."""
    picture = ImageOps.exif_transpose(Image.open(path))
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def planes(picture):
    """Red, green, blue and opacity (or 1 for all), each a Pillow image of floats; colours multiplied by opacity."""
    values = numpy.asarray(picture, dtype=numpy.float32)
    opacity = values[..., 3] / 255 if values.shape[2] == 4 else numpy.ones(values.shape[:2], numpy.float32)
    return [Image.fromarray(values[..., channel] * opacity) for channel in range(3)] + [Image.fromarray(opacity)]


def on_grey(planes):
    *colours, opacity = [numpy.asarray(plane) for plane in planes]
    shown = numpy.stack([colour + GREY * (1 - opacity) for colour in colours], axis=-1)
    return (shown.clip(0, 255) / 255).astype("<f4")


def references(path):
    """The reference at each size."""
    whole = planes(opened(path))
    scaled = {}
    for size in SIZES:
        scaled[size] = on_grey([ImageOps.fit(plane, (size, size), Image.Resampling.LANCZOS) for plane in whole])
    return scaled


def main():
    judge = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    directory = pathlib.Path(sys.argv[2])
    for line in sys.stdin:
        job = json.loads(line)
        scores = {peer: {} for peer in job["peers"]}
        for size, reference in references(job["path"]).items():
            reference.tofile(directory / "reference.f32")
            for peer, prefix in job["peers"].items():
                [path] = pathlib.Path(prefix).parent.glob(f"{pathlib.Path(prefix).name}.{size}.*")
                thumbnail = opened(path)
                assert thumbnail.size == (size, size), f"{path}: {thumbnail.size}"
                on_grey(planes(thumbnail)).tofile(directory / "thumbnail.f32")
                judge.stdin.write(f"{directory / 'reference.f32'} {directory / 'thumbnail.f32'}\n")
                judge.stdin.flush()
                scores[peer][size] = float(judge.stdout.readline())
        print(json.dumps(scores), flush=True)


main()
