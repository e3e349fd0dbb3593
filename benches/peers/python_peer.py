"""Pillow and libvips' own binding, the usual choices in Python: "python_peer.py pillow-draft", "pillow" or "pyvips".

Pillow's draft mode decodes a JPEG at the smallest scale that is large enough, as ours and sharp do. Both ways with Pillow
make each thumbnail of the one before it. pyvips makes each of the original, as its documentation does.
"""

import io
import os
import sys
import time

SIZES = [600, 300, 100]
JPEG_QUALITY = 82


def pillow(original, extension, draft):
    from PIL import Image, ImageOps

    picture = Image.open(io.BytesIO(original))
    if draft:
        picture.draft("RGB", (SIZES[0], SIZES[0]))
    picture = picture.convert("RGB" if extension == "jpg" else "RGBA")
    files = []
    for size in SIZES:
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
        picture = ImageOps.exif_transpose(picture)
        file = io.BytesIO()
        if extension == "jpg":
            picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
        else:
            picture.save(file, "PNG")
        files.append(file.getvalue())
    return files


def vips(original, extension):
    import pyvips

    files = []
    for size in SIZES:
        picture = pyvips.Image.thumbnail_buffer(original, size, height=size, crop="centre")
        if extension == "jpg":
            files.append(picture.jpegsave_buffer(Q=JPEG_QUALITY, keep="none"))
        else:
            files.append(picture.pngsave_buffer(keep="none"))
    return files


def answer(line, make):
    command, extension, path, argument = line.split()
    with open(path, "rb") as file:
        original = file.read()
    if command == "write":
        files = make(original, extension)
        for size, file in zip(SIZES, files, strict=True):
            with open(f"{argument}.{size}.{extension}", "wb") as output:
                output.write(file)
        return sum(map(len, files))
    before = time.process_time_ns()
    for _ in range(int(argument)):
        make(original, extension)
    return (time.process_time_ns() - before) // 1000


def main():
    make = {
        "pillow": lambda *job: pillow(*job, draft=False),
        "pillow-draft": lambda *job: pillow(*job, draft=True),
        "pyvips": vips,
    }[sys.argv[1]]
    if make is vips:
        os.environ["VIPS_CONCURRENCY"] = "1"  # libvips reads it when it is first loaded
        import pyvips

        pyvips.cache_set_max(0)
    for line in sys.stdin:
        print(answer(line, make), flush=True)


if __name__ == "__main__":
    main()
