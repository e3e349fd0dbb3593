"""Measures and reports: see run.py, which starts this in an environment that has boto3 and Pillow."""

import argparse
import functools
import io
import json
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict

import boto3
from PIL import Image

import report
from programs import BUCKET, CORES, PROGRAMS, QUEUE, REGION, SERVERS, SETTINGS, WORK, WORKERS, Engine, PeakMemory, Server, Worker

CONNECTIONS = [1, 16, 64, 256]
STORE_MS = [0, 20, 100]
ROUNDS = 3
UPLOAD_SECONDS, WARM_UP_SECONDS = 2.5, 1
JOBS, WARM_UP_JOBS = 120 * CORES, 12 * CORES
IDLE_SECONDS = 2  # until a worker that has started has nothing more to do than to wait
JOBS_TIMEOUT_SECONDS = 300
UPLOAD_BYTES = 200_000
SIZES = {"small": 100, "medium": 300, "large": 600}

# What people send: photographs of 2 to 12 megapixels in a file of about 1 MB, three in four of them baseline JPEGs.
WORKER_CLASSES = ["JPEG 2 Mpx", "JPEG 2 Mpx, progressive", "JPEG 6 Mpx", "JPEG 12 Mpx"]
UPLOAD_CLASS = "JPEG 2 Mpx"

HEADERS = ["Content-Type: multipart/form-data; boundary=b", "Accept: application/json"]


@functools.cache
def client(service, engine):
    keys = SETTINGS["AWS_ACCESS_KEY_ID"], SETTINGS["AWS_SECRET_ACCESS_KEY"]
    return boto3.client(service, REGION, endpoint_url=engine.url, aws_access_key_id=keys[0], aws_secret_access_key=keys[1])


def start_engine(store_ms=0, real=False):
    engine = Engine(store_ms, real)
    if real:
        client("s3", engine).create_bucket(Bucket=BUCKET)
        engine.queue_url = client("sqs", engine).create_queue(QueueName=QUEUE)["QueueUrl"]
        engine.environment["JOBS_QUEUE_URL"] = engine.queue_url
    return engine


def load(address, method, path, status, body, connections, seconds, headers):
    command = [PROGRAMS / "service-load", address, method, path, str(status), body, str(connections), str(seconds), *headers]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{command} failed")
    return json.loads(done.stdout)


# The server


def upload_of(pictures):
    """A file with the body of an upload, and the image in it."""
    path = next(picture["path"] for picture in pictures if picture["class"] == UPLOAD_CLASS)
    for quality in range(95, 0, -1):
        file = io.BytesIO()
        Image.open(path).save(file, "JPEG", quality=quality)
        if file.tell() <= UPLOAD_BYTES:
            break
    image = file.getvalue()
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = WORK / "upload.bin"
    body.write_bytes(head + image + b"\r\n--b--\r\n")
    return body, image


def check_server(server, engine, body, image):
    """That an upload is answered with four URLs, stored, and queued."""
    headers = dict(header.split(": ") for header in HEADERS)
    request = urllib.request.Request(f"http://{server.address}/", body.read_bytes(), headers)
    with urllib.request.urlopen(request) as answer:
        urls = json.loads(answer.read())
        if answer.status != 202 or sorted(urls) != ["large", "medium", "original", "small"]:
            server.fail(f"answered {answer.status} {urls}")
    key = urls["original"].removeprefix(f"{engine.url}/")
    if client("s3", engine).get_object(Bucket=BUCKET, Key=key)["Body"].read() != image:
        server.fail("stored something else")
    [message] = client("sqs", engine).receive_message(QueueUrl=engine.queue_url, WaitTimeSeconds=1)["Messages"]
    if json.loads(message["Body"])["original"] != key:
        server.fail(f"queued {message}")


def measure_server(name, engine, body, image, connections, seconds):
    """What it takes to start and idle, and by number of connections what the uploads take."""
    server = Server(name, engine)
    time.sleep(1)
    result = {"start_ms": server.start_ms, "idle_mib": server.memory_mib()}
    check_server(server, engine, body, image)
    post = lambda count, seconds: load(server.address, "POST", "/", 202, body, count, seconds, HEADERS)
    post(16, WARM_UP_SECONDS)
    with PeakMemory(server) as peak:
        for count in connections:
            before = server.cpu_seconds(), engine.cpu_seconds()
            done = post(count, seconds)
            uploads = done["requests"]
            result[count] = {
                "cpu_ms": (server.cpu_seconds() - before[0]) * 1000 / uploads,
                "rate": uploads / done["seconds"],
                "p50_ms": done["p50_ms"],
                "p99_ms": done["p99_ms"],
                "engine_ms": (engine.cpu_seconds() - before[1]) * 1000 / uploads,
                "client_ms": done["cpu_seconds"] * 1000 / uploads,
            }
    result["peak_mib"] = peak.mib
    server.stop()
    return result


def engine_ceiling(body, seconds):
    """How many uploads a second the engine would bear, from what it does with PUTs and messages alone."""
    engine = start_engine()
    message = WORK / "message.json"
    job = {"version": 1, "id": "0" * 32, "original": "0" * 32 + "/original.jpg", "thumbnails": "jpg"}
    message.write_text(json.dumps({"QueueUrl": engine.queue_url, "MessageBody": json.dumps(job)}))
    put = load(engine.address, "PUT", f"/{BUCKET}/ceiling", 200, body, 16, seconds, [])
    send = load(engine.address, "POST", "/", 200, message, 16, seconds, ["X-Amz-Target: AmazonSQS.SendMessage"])
    engine.stop()
    return 1 / sum(one["seconds"] / one["requests"] for one in (put, send))


# The worker


def store_originals(engine, pictures):
    """What a message says to each."""
    messages = []
    for number, picture in enumerate(pictures):
        id = f"{number:032x}"
        key = f"{id}/original.jpg"
        image = pathlib.Path(picture["path"]).read_bytes()
        client("s3", engine).put_object(Bucket=BUCKET, Key=key, Body=image, ContentType="image/jpeg")
        job = {"version": 1, "id": id, "original": key, "thumbnails": "jpg", "uploaded_at_ms": time.time_ns() // 1_000_000}
        messages.append(json.dumps(job))
    return messages


def jobs_left(engine):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = client("sqs", engine).get_queue_attributes(QueueUrl=engine.queue_url, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def work(worker, engine, messages, jobs):
    """Has so many jobs done, each message in turn. How many a second while the worker had more than enough of them."""
    for number in range(jobs):
        client("sqs", engine).send_message(QueueUrl=engine.queue_url, MessageBody=messages[number % len(messages)])
    began, seen = time.monotonic(), []
    while not seen or seen[-1][1] > 0:
        if time.monotonic() - began > JOBS_TIMEOUT_SECONDS:
            worker.fail("is too slow")
        time.sleep(0.02)
        seen.append((time.monotonic(), jobs_left(engine)))
    first = seen[0]
    last = next(one for one in seen if one[1] < jobs / 5)  # the last few keep only some of the cores busy
    return (first[1] - last[1]) / (last[0] - first[0])


def check_worker(worker, engine, pictures):
    """That the thumbnails of all pictures are there, of their sizes."""
    s3 = client("s3", engine)
    for number in range(len(pictures)):
        for name, side in SIZES.items():
            thumbnail = s3.get_object(Bucket=BUCKET, Key=f"{number:032x}/{name}.jpg")["Body"].read()
            picture = Image.open(io.BytesIO(thumbnail))
            picture.load()
            if (picture.format, picture.size) != ("JPEG", (side, side)):
                worker.fail(f"made a {name} of {picture.size}")


def measure_worker(name, engine, pictures, jobs):
    """What it takes to idle, and what a job takes."""
    worker = Worker(name, engine)
    time.sleep(IDLE_SECONDS)
    result = {"idle_mib": worker.memory_mib()}
    messages = store_originals(engine, pictures)
    work(worker, engine, messages, WARM_UP_JOBS)
    with PeakMemory(worker) as peak:
        before = worker.cpu_seconds(), engine.cpu_seconds(), time.monotonic()
        rate = work(worker, engine, messages, jobs)
        seconds = time.monotonic() - before[2]
        cpu_ms = (worker.cpu_seconds() - before[0]) * 1000 / jobs
        engine_ms = (engine.cpu_seconds() - before[1]) * 1000 / jobs
    if engine.store_ms == 0:
        check_worker(worker, engine, pictures)
    worker.stop()
    busy = cpu_ms * jobs / 1000 / seconds
    return result | {"cpu_ms": cpu_ms, "rate": rate, "busy": busy, "engine_ms": engine_ms, "peak_mib": peak.mib}


# All of it


def progress(line):
    print(line, file=sys.stderr, flush=True)


def in_turns(names, rounds):
    """Everybody once a round; who is first changes."""
    names = list(names)
    for turn in range(rounds):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            yield turn, name


def medians(results):
    """The median of each number over the rounds, in the shape of one of them."""
    first = results[0]
    if not isinstance(first, dict):
        return statistics.median(results)
    return {key: medians([result[key] for result in results]) for key in first}


def run_servers(rounds, real, connections, seconds, body, image):
    results = defaultdict(list)
    for turn, name in in_turns(SERVERS, rounds):
        progress(f"{'real engine' if real else 'round'} {turn + 1} of {rounds}, server: {SERVERS[name]}")
        engine = start_engine(real=real)
        results[name].append(measure_server(name, engine, body, image, connections, seconds))
        engine.stop()
    return {name: medians(results[name]) for name in SERVERS}


def run_workers(rounds, real, delays, jobs, pictures):
    results = defaultdict(list)
    for turn, name in in_turns(WORKERS, rounds):
        by_delay = {}
        for delay in delays:
            progress(f"{'real engine' if real else 'round'} {turn + 1} of {rounds}, worker: {WORKERS[name]}, store {delay} ms")
            engine = start_engine(delay, real)
            by_delay[delay] = measure_worker(name, engine, pictures, jobs)
            engine.stop()
        results[name].append(by_delay)
    return {name: medians(results[name]) for name in WORKERS}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", choices=["servers", "workers"], help="half of it")
    arguments = parser.parse_args()
    rounds, share = (1, 0.5) if arguments.quick else (ROUNDS, 1)
    WORK.mkdir(parents=True, exist_ok=True)
    pictures = json.loads((WORK.parent / "pictures" / "pictures.json").read_text())
    load_before = pathlib.Path("/proc/loadavg").read_text().split()[0]
    print(f"{CORES} cores, {load_before} of them busy before; {rounds} rounds, medians.\n")
    if arguments.only != "workers":
        body, image = upload_of(pictures)
        seconds = UPLOAD_SECONDS * share
        ceiling = engine_ceiling(body, seconds)
        servers = run_servers(rounds, False, CONNECTIONS, seconds, body, image)
        real = run_servers(rounds, True, [16], seconds, body, image)
        report.servers(servers, real, ceiling, len(image))
    if arguments.only != "servers":
        mix = [picture for picture in pictures if picture["class"] in WORKER_CLASSES]
        jobs = int(JOBS * share)
        workers = run_workers(rounds, False, STORE_MS, jobs, mix)
        real = run_workers(rounds, True, [0], jobs, mix)
        report.workers(workers, real, mix)


if __name__ == "__main__":
    main()
