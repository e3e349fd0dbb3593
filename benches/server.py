#!/usr/bin/env python3
"""What the server costs: start-up, memory, and CPU time for an upload of 200 KB.

    cargo build --release && python3 benches/server.py

Uploads go to `server --local` over kept-alive connections. The worker's threads run in the same process, so CPU time is
counted by thread, and theirs is left out. CPU time is far less noisy than a clock, but the clients share the machine's
cores: run it twice, on a machine that does nothing else.
"""

import collections
import http.client
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import threading
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPLOADS = 5000
CONNECTIONS = [16, 64]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
WORKER_THREADS = ("job-", "heartbeat", "settle", "worker", "requeue")


def noise_png(side):
    """A PNG that does not compress, of about 3 * side * side bytes."""
    rng = random.Random(1)
    rows = b"".join(b"\0" + rng.randbytes(3 * side) for _ in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def binary():
    host = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = next(line.split()[1] for line in host.splitlines() if line.startswith("host:"))
    return ROOT / "target" / host / "release" / "server"


def start(directory):
    """The process, its address, and the seconds until it answered."""
    began = time.monotonic()
    env = {"LISTEN": "127.0.0.1:0", "PATH": os.environ["PATH"], "LOG": "info"}
    server = subprocess.Popen([binary(), "--local", directory], env=env, stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        if "serving address=" in line:
            address = line.split("address=")[1].split()[0]
            break
    threading.Thread(target=lambda: collections.deque(server.stderr, maxlen=0), daemon=True).start()
    connection = http.client.HTTPConnection(address)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    return server, address, time.monotonic() - began


def serving_cpu_seconds(pid):
    """CPU time of the threads that serve."""
    ticks = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            name, rest = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except FileNotFoundError:
            continue
        if not name.startswith(WORKER_THREADS):
            fields = rest.split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def upload_all(address, body, connections, uploads):
    """CPU microseconds for an upload, and uploads a second."""
    headers = {"Accept": "application/json", "Content-Type": "multipart/form-data; boundary=b"}
    ready, go, done = threading.Barrier(connections + 1), threading.Barrier(connections + 1), []
    finish = threading.Barrier(connections + 1)

    def client():
        connection = http.client.HTTPConnection(address)
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        ready.wait()
        go.wait()
        for _ in range(uploads // connections):
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            assert answer.status == 202, answer.read()
            answer.read()
            done.append(1)
        finish.wait()  # the connection's thread is still there to be counted
        finish.wait()
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    ready.wait()
    before, began = serving_cpu_seconds(SERVER.pid), time.monotonic()
    go.wait()
    finish.wait()
    seconds, cpu = time.monotonic() - began, serving_cpu_seconds(SERVER.pid) - before
    finish.wait()
    for thread in threads:
        thread.join()
    return cpu / len(done) * 1e6, len(done) / seconds


image = noise_png(260)
head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
multipart = head + image + b"\r\n--b--\r\n"
with tempfile.TemporaryDirectory(dir=ROOT / "target") as directory:
    SERVER, ADDRESS, seconds = start(directory)
    try:
        print(f"start-up to the first answer: {seconds * 1000:.0f} ms")
        print(f"resident, idle: {resident_mib(SERVER.pid):.1f} MiB")
        for connections in CONNECTIONS:
            cpu, rate = upload_all(ADDRESS, multipart, connections, UPLOADS)
            print(f"{connections} connections: {cpu:.0f} us CPU for an upload of {len(image) // 1000} KB, {rate:.0f} uploads/s")
        print(f"resident, after {UPLOADS * len(CONNECTIONS)} uploads: {resident_mib(SERVER.pid):.1f} MiB")
    finally:
        SERVER.kill()
        SERVER.wait()
