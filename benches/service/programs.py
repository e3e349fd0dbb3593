"""The programs that are measured and those that measure them: how they are started, and what they have used."""

import atexit
import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "peers" / "service"
OURS = pathlib.Path(os.environ["BENCH_OURS"])
PROGRAMS = pathlib.Path(os.environ["BENCH_PROGRAMS"])
SCRIPTS = pathlib.Path(sys.executable).parent
CORES = os.cpu_count()

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30  # far more than any takes
BUCKET, QUEUE = "images", "jobs"
REGION = "us-east-1"
# boto3 does not read AWS_REGION.
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}

# Key in the code: what the tables call it. The first is ours, which the others are compared with.
SERVERS = {"ours": "ours", "axum": "axum, AWS SDK", "flask": "Flask, gunicorn, boto3"}
WORKERS = {"ours": "ours", "node": "Node, sharp, AWS SDK", "python": "Python, Pillow, boto3"}

SERVER_COMMANDS = {
    "ours": lambda address: [OURS / "server"],
    "axum": lambda address: [PROGRAMS / "service-axum-twin"],
    "flask": lambda address: [
        SCRIPTS / "gunicorn", "--bind", address, "--workers", str(CORES), "--threads", "16", "--keep-alive", "60",
        "--chdir", HERE, "server_peer:app",
    ],
}
WORKER_COMMANDS = {
    "ours": [OURS / "worker"],
    "node": ["node", HERE / "worker_peer.js"],
    "python": [sys.executable, HERE / "worker_peer.py"],
}


class Program:
    """A program and all the processes that it starts. What they print goes to a file of its name."""

    def __init__(self, name, command, environment=None):
        self.name = name
        self.log = WORK / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | SETTINGS | (environment or {}), stdout=log, stderr=log, start_new_session=True
            )
        atexit.register(self.stop)  # whatever happens

    def pids(self):
        """Of the program and its descendants."""
        pids = [self.process.pid]
        for pid in pids:
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                    pids += children.read_text().split()
        return pids

    def cpu_seconds(self):
        """User and system time so far, of all threads."""
        ticks = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_SECOND

    def memory_mib(self):
        """PSS: what is resident, with what processes share counted once."""
        kib = 0
        for pid in self.pids():
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kib += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
        return kib / 1024

    def stop(self):
        if self.process.poll() is None:
            for pid in self.pids():
                os.kill(int(pid), signal.SIGKILL)
            self.process.wait()

    def fail(self, why):
        sys.exit(f"{self.name} {why}; see {self.log}")


class Engine(Program):
    """Our stand-in for S3 and SQS; or, with `real`, an engine of somebody else's."""

    def __init__(self, store_ms=0, real=False):
        address, self.store_ms = free_address(), store_ms
        if real:
            super().__init__("roto-aws", [SCRIPTS / "roto-server", "--ephemeral", "--port", address.split(":")[1]])
        else:
            super().__init__("engine", [PROGRAMS / "service-engine", address, str(store_ms)])
        self.address, self.url = address, f"http://{address}"
        wait_for(self, lambda: socket.create_connection(address.split(":")).close())
        self.queue_url = f"{self.url}/123456789012/{QUEUE}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "IMAGES_BUCKET": BUCKET,
            "JOBS_QUEUE_URL": self.queue_url,
            "PUBLIC_URL": self.url,
        }


class Server(Program):
    """A server that is ready. `start_ms` is how long that took."""

    def __init__(self, name, engine):
        self.address = free_address()
        began = time.monotonic()
        super().__init__(f"server-{name}", SERVER_COMMANDS[name](self.address), engine.environment | {"LISTEN": self.address})
        wait_for(self, lambda: urllib.request.urlopen(f"http://{self.address}/healthz", timeout=5).read())
        self.start_ms = (time.monotonic() - began) * 1000


class Worker(Program):
    def __init__(self, name, engine):
        super().__init__(f"worker-{name}", WORKER_COMMANDS[name], engine.environment)


class PeakMemory:
    """The most memory that a program has while this is entered, looked at four times a second."""

    def __init__(self, program):
        self.program, self.mib, self.over = program, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.25):
            self.mib = max(self.mib, self.program.memory_mib())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def wait_for(program, attempt):
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return attempt()
        except OSError:
            if program.process.poll() is not None or time.monotonic() > deadline:
                program.fail("does not answer")
            time.sleep(0.002)


def free_address():
    """Below the ports that the kernel gives to connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return f"127.0.0.1:{port}"
            except OSError:
                continue
