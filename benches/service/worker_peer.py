"""The worker's work in Python: boto3, and Pillow with its draft mode. A process for each core, eight threads in each.

Jobs go from one thread that receives through a pool to one that deletes, in batches, so that nobody waits for the slowest of
ten. Thumbnails are made as benches/peers has them from Pillow at its best.
"""

import json
import multiprocessing
import os
import pathlib
import queue
import sys
import threading

import boto3

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "peers"))

from python_peer import pillow

THREADS = 8
MAX_BATCH = 10
NAMES = ["large", "medium", "small"]  # in the order in which they are made
CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png"}


def receive(sqs, jobs):
    while True:
        answer = sqs.receive_message(
            QueueUrl=os.environ["JOBS_QUEUE_URL"], MaxNumberOfMessages=MAX_BATCH, WaitTimeSeconds=20, VisibilityTimeout=60
        )
        for message in answer.get("Messages", []):
            jobs.put(message)


def work(s3, jobs, done):
    bucket = os.environ["IMAGES_BUCKET"]
    while True:
        message = jobs.get()
        job = json.loads(message["Body"])
        original = s3.get_object(Bucket=bucket, Key=job["original"])["Body"].read()
        extension = job["thumbnails"]
        for name, file in zip(NAMES, pillow(original, extension, draft=True), strict=True):
            s3.put_object(
                Bucket=bucket,
                Key=f"{job['id']}/{name}.{extension}",
                Body=file,
                ContentType=CONTENT_TYPES[extension],
                CacheControl="public, max-age=31536000, immutable",
            )
        print(f"job id={job['id']} outcome=done bytes={len(original)}", file=sys.stderr)
        done.put(message["ReceiptHandle"])


def delete(sqs, done):
    while True:
        receipts = [done.get()]
        while len(receipts) < MAX_BATCH and not done.empty():
            receipts.append(done.get())
        entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]
        sqs.delete_message_batch(QueueUrl=os.environ["JOBS_QUEUE_URL"], Entries=entries)


def process():
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    jobs, done = queue.Queue(maxsize=1), queue.Queue()
    for _ in range(THREADS):
        threading.Thread(target=work, args=(s3, jobs, done), daemon=True).start()
    threading.Thread(target=delete, args=(sqs, done), daemon=True).start()
    receive(sqs, jobs)


if __name__ == "__main__":
    for _ in range(os.cpu_count()):
        multiprocessing.Process(target=process).start()
