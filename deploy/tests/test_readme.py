"""docs/DEPLOY.md's "On S3 and SQS", typed as it is written, with an engine in AWS's place. Needs port 8080, as the page does."""

import json
import os
import re
import signal
import subprocess
import time
import unittest
import urllib.request

import engines
from test_roles import GIF

PAGE = engines.ROOT / "docs/DEPLOY.md"
WITHIN_SECONDS = 60


class OnS3AndSqs(unittest.TestCase):
    def setUp(self):
        section = PAGE.read_text().split("\n## On S3 and SQS\n")[1].split("\n## ")[0]
        commands = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1]
        commands = commands.replace("123456789012", engines.ACCOUNT)
        self.exports = [line for line in commands.splitlines() if line.startswith("export ")]
        self.commands = [line for line in commands.splitlines() if line not in self.exports]
        setting = lambda name: re.search(rf"{name}=(\S+)", commands)[1]
        region, self.bucket, queue = setting("AWS_REGION"), setting("IMAGES_BUCKET"), setting("JOBS_QUEUE_URL")
        self.public_url = setting("PUBLIC_URL")

        self.engine = engines.ministack()
        self.addCleanup(self.engine.stop)
        client = lambda service: self.engine.client(service, region=region)
        self.s3 = client("s3")
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": region})
        client("sqs").create_queue(QueueName=queue.rpartition("/")[2])

    def type(self, command):
        """In a terminal with the exports, which is closed at the end of the test."""
        terminal = subprocess.Popen(
            ["bash", "-ec", "\n".join([*self.exports, command])],
            cwd=engines.ROOT,
            env=os.environ | self.engine.root,
            start_new_session=True,
        )
        self.addCleanup(self.close, terminal)
        return terminal

    def close(self, terminal):
        if terminal.poll() is None:
            os.killpg(terminal.pid, signal.SIGTERM)
        terminal.wait(WITHIN_SECONDS + 60)  # a worker's long poll, and more than that

    def wait_until(self, condition, terminals):
        deadline = time.monotonic() + WITHIN_SECONDS
        while not condition():
            self.assertTrue(all(terminal.poll() is None for terminal in terminals), "a program has ended")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def objects(self):
        return {one["Key"] for one in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])}

    def test_what_it_says_to_type(self):
        build, server, worker = self.commands
        self.assertEqual(self.type(build).wait(), 0)
        self.assertFalse(engines.answers("http://127.0.0.1:8080/healthz"), "another program listens there")
        terminals = [self.type(server), self.type(worker)]
        self.wait_until(lambda: engines.answers("http://127.0.0.1:8080/healthz"), terminals)
        body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + GIF + b"\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Accept": "application/json"}
        request = urllib.request.Request("http://127.0.0.1:8080/", body, headers)
        with urllib.request.urlopen(request, timeout=WITHIN_SECONDS) as answer:
            urls = json.load(answer).values()
        keys = {url.removeprefix(f"{self.public_url}/") for url in urls}
        self.assertEqual(len(keys), 4)
        self.wait_until(lambda: self.objects() == keys, terminals)
