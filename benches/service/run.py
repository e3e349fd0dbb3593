#!/usr/bin/env python3
"""What our server and worker cost beside others of the same kind: CPU time, speed and memory, on the same engine.

    python3 benches/service/run.py            everything, about eight minutes, and ten more the first time
    python3 benches/service/run.py --quick    one short round, two minutes

Servers: ours, axum with the official AWS SDK (axum-twin/), and Flask on gunicorn with boto3 and Pillow (server_peer.py).
Workers: ours, sharp with the AWS SDK in Node (worker_peer.js), and Pillow with boto3 in Python (worker_peer.py). They get
the same settings and do the same: same image in, same answers, same objects, same jobs, a line of log for each. The benchmark
checks that of each before it measures.

The engine, the client and the measured program share the machine's cores. So CPU time is the number to compare: of all
processes of a server or worker, user and system. The rate only says how much CPU was left. Each round starts all
programs again, and they take turns.

The store and the queue are tools/src/bin/service-engine.rs, in memory and with an optional delay of the store, because real
engines cost more than the measured programs. The benchmark measures the engine by itself too. A real engine, roto-aws, shows
whether the ratios are alike. The client is tools/src/bin/service-load.rs.

Needs what benches/peers/run.py needs; both keep what they install in target/peers/.
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "peers"))
sys.dont_write_bytecode = True  # the work tree stays clean

import install
import versions

VENV, NODE = "service-venv", "service-node"


def main():
    install.WORK.mkdir(parents=True, exist_ok=True)
    install.pictures()
    python, node = versions.SERVICE_PYTHON_PACKAGES, versions.SERVICE_NODE_PACKAGES
    install.once(VENV, python, lambda: install.python_packages(VENV, python))
    install.once(NODE, node, lambda: install.node_packages(NODE, node))
    print("building: the server and the worker", file=sys.stderr, flush=True)
    subprocess.run(["cargo", "build", "--release", "--quiet", "--locked"], cwd=install.ROOT, check=True)
    programs = install.cargo(HERE / "tools")
    install.cargo(HERE / "axum-twin")
    ours = install.ROOT / "target" / programs.relative_to(install.WORK / "cargo")
    environment = {
        "BENCH_OURS": ours,
        "BENCH_PROGRAMS": programs,
        "NODE_PATH": install.WORK / NODE / "node_modules",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # With boto3 and Pillow to fill the engine and to look at what is in it.
    python = install.WORK / VENV / "bin" / "python"
    environment = os.environ | {name: str(value) for name, value in environment.items()}
    sys.exit(subprocess.run([python, HERE / "measure.py", *sys.argv[1:]], env=environment).returncode)


main()
