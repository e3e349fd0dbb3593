"""The server's work in Python, in the usual way: Flask on gunicorn, boto3 behind, and Pillow to look at the image.

gunicorn serves `app`. It takes the same settings as ours, and answers the same to an upload.
"""

import io
import os
import sys
import time
import uuid

import boto3
from botocore.config import Config
from flask import Flask, abort, request
from PIL import Image

MAX_IMAGE_BYTES = 1024 * 1024
MAX_PIXELS = 40_000_000

# Pillow's name of a format: the original's extension, its content type, the thumbnails' extension.
FORMATS = {
    "JPEG": ("jpg", "image/jpeg", "jpg"),
    "PNG": ("png", "image/png", "png"),
    "GIF": ("gif", "image/gif", "png"),
    "WEBP": ("webp", "image/webp", "png"),
}

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = MAX_IMAGE_BYTES + 64 * 1024  # room for the multipart's framing
# A connection to each for each thread of gunicorn's.
config = Config(max_pool_connections=16)
s3 = boto3.client("s3", config=config)
sqs = boto3.client("sqs", config=config)


@app.get("/healthz")
def healthz():
    return ""


@app.post("/")
def upload():
    image = request.files["image"].read()
    if len(image) > MAX_IMAGE_BYTES:
        abort(413)
    extension, content_type, thumbnails = check(image)
    id = uuid.uuid4().hex
    key = f"{id}/original.{extension}"
    s3.put_object(
        Bucket=os.environ["IMAGES_BUCKET"],
        Key=key,
        Body=image,
        ContentType=content_type,
        CacheControl="public, max-age=31536000, immutable",
        IfNoneMatch="*",
    )
    job = {
        "version": 1,
        "id": id,
        "original": key,
        "thumbnails": thumbnails,
        "uploaded_at_ms": time.time_ns() // 1_000_000,
    }
    sqs.send_message(QueueUrl=os.environ["JOBS_QUEUE_URL"], MessageBody=app.json.dumps(job))
    print(f"upload id={id} status=202 bytes={len(image)}", file=sys.stderr)
    url = f"{os.environ['PUBLIC_URL']}/{id}"
    urls = {"original": f"{url}/original.{extension}"}
    urls.update({name: f"{url}/{name}.{thumbnails}" for name in ("small", "medium", "large")})
    return urls, 202


def check(image):
    try:
        picture = Image.open(io.BytesIO(image), formats=list(FORMATS))
        picture.verify()
    except Exception:  # Pillow raises whatever its parsers raise
        abort(400)
    if picture.width * picture.height > MAX_PIXELS:
        abort(400)
    return FORMATS[picture.format]
