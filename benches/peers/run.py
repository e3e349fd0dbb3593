#!/usr/bin/env python3
"""How our thumbnails compare with what others make: CPU time, likeness, bytes and memory, on the same photographs.

    python3 benches/peers/run.py            everything, about seven minutes, and five more the first time
    python3 benches/peers/run.py --quick    a picture of each class, once, within a minute or two

A job is what the worker does: decode an original, make the three covers, encode them. Everybody makes JPEGs of quality 82
and 4:2:0, or PNGs where the original can be transparent. Each peer is a program that runs on and is told on standard
input, a line at a time, what to do; it answers with a number on a line:

    time jpg PATH JOBS        do so many jobs: CPU microseconds of the process, user and system, all threads
    write jpg PATH PREFIX     do one and write PREFIX.600.jpg, PREFIX.300.jpg and PREFIX.100.jpg: their bytes

ImageMagick is a new process for each job, as it is commonly used, and the process counts.

Everything runs on one core, and the peers take turns on each picture, so that a slow moment of the machine affects all.
Needs Python 3.11, Node 20, Rust, and Debian for the photographs. Everything is kept in target/peers/ and found there the
next time.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
from collections import defaultdict

sys.dont_write_bytecode = True  # the work tree stays clean

import install
import versions
from install import HERE, NODE_MODULES, PYTHON, WORK

SIZES = [600, 300, 100]
BEST, OURS, CALLS = "sharp", "ours", "sharp3"


class Peer:
    """A program that runs on."""

    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(
            command, env=os.environ | (environment or {}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args} ended on {words}")
        return int(answer)

    def time(self, picture, jobs):
        """CPU milliseconds for a job."""
        return self.ask("time", picture["thumbnails"], picture["path"], jobs) / 1000 / jobs

    def write(self, picture, prefix):
        return self.ask("write", picture["thumbnails"], picture["path"], prefix)

    def peak_mib(self):
        """The most memory that has been resident."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class ImageMagick:
    """A process for each job. jpeg:size lets it decode at a smaller scale; 82 would mean something else for a PNG."""

    def __init__(self, program):
        self.program = program
        self.environment = os.environ | {"MAGICK_THREAD_LIMIT": "1"}
        self.peak = 0

    def job(self, picture, prefix):
        files = [f"{prefix}.{size}.{picture['thumbnails']}" for size in SIZES]
        encode = ["-sampling-factor", "4:2:0", "-quality", "82"] if picture["thumbnails"] == "jpg" else []
        command = [self.program, "-define", "jpeg:size=600x600", picture["path"] + "[0]", "-auto-orient", "-strip"]
        command += ["-background", "none", "-gravity", "center", "-resize", "600x600^", "-extent", "600x600", *encode]
        command += ["-write", files[0], "-resize", "300x300", "-write", files[1], "-resize", "100x100", files[2]]
        process = subprocess.Popen(command, env=self.environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{command} failed")
        self.peak = max(self.peak, usage.ru_maxrss / 1024)
        return usage.ru_utime + usage.ru_stime, sum(os.path.getsize(file) for file in files)

    def time(self, picture, jobs):
        return sum(self.job(picture, WORK / "imagemagick")[0] for _ in range(jobs)) * 1000 / jobs

    def write(self, picture, prefix):
        return self.job(picture, prefix)[1]

    def peak_mib(self):
        return self.peak

    def close(self):
        pass


def prepare(names):
    """What starts each of the peers that can be had here, all of them installed and built."""
    starts = {}
    for name in names:
        if name == OURS:
            command, environment = [install.ours()], {}
        elif name in (BEST, CALLS):
            install.once("sharp", versions.SHARP, lambda: install.node_packages("node", [versions.SHARP]))
            command = ["node", HERE / "sharp_peer.js", "pyramid" if name == BEST else "calls"]
            environment = {"NODE_PATH": str(NODE_MODULES)}
        elif name == "imagemagick":
            program = install.imagemagick()
            if program is None:
                print("ImageMagick is left out: it is not here and cannot be installed.")
            else:
                starts[name] = lambda program=program: ImageMagick(program)
            continue
        else:
            command, environment = [PYTHON, HERE / "python_peer.py", name], {}
        starts[name] = lambda command=command, environment=environment: Peer(command, environment)
    return starts


def load_pictures(quick):
    pictures = install.pictures()
    first = {picture["class"]: picture for picture in reversed(pictures)}
    return [picture for picture in pictures if not quick or picture is first[picture["class"]]]


def measure(starts, pictures, rounds, seconds):
    """CPU milliseconds by picture's path and peer; and how far apart the rounds were."""
    peers = {name: start() for name, start in starts.items()}
    times, jobs = defaultdict(list), {}
    for turn in range(rounds + 1):
        for number, picture in enumerate(pictures):
            progress(f"round {turn} of {rounds}, picture {number + 1} of {len(pictures)}")
            names = list(peers)
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                key = picture["path"], name
                if turn == 0:
                    # Round 0 warms up: the first job finds everything cold, the second says how many make a measurement.
                    peers[name].time(picture, 1)
                    jobs[key] = max(1, math.ceil(seconds * 1000 / peers[name].time(picture, 1)))
                else:
                    times[key].append(peers[name].time(picture, jobs[key]))
    for peer in peers.values():
        peer.close()
    apart = statistics.median(max(rounds) / min(rounds) for rounds in times.values())
    return {key: statistics.median(rounds) for key, rounds in times.items()}, apart


def judge(program, starts, pictures):
    """Peak MiB of a new process, bytes of the three files, and SSIMULACRA2 by size; each by picture's path and peer."""
    output = WORK / "thumbnails"
    output.mkdir(exist_ok=True)
    command = [PYTHON, HERE / "quality.py", program, WORK]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    peaks, sizes, scores = {}, {}, {}
    for number, picture in enumerate(pictures):
        progress(f"judging, picture {number + 1} of {len(pictures)}")
        prefixes = {name: str(output / f"{name}-{pathlib.Path(picture['path']).stem}") for name in starts}
        for name, prefix in prefixes.items():
            peer = starts[name]()
            sizes[picture["path"], name] = peer.write(picture, prefix)
            peaks[picture["path"], name] = peer.peak_mib()
            peer.close()
        process.stdin.write(json.dumps({"path": picture["path"], "peers": prefixes}) + "\n")
        process.stdin.flush()
        for name, by_size in json.loads(process.stdout.readline()).items():
            scores[picture["path"], name] = {int(size): score for size, score in by_size.items()}
    process.stdin.close()
    process.wait()
    return peaks, sizes, scores


def progress(line):
    if sys.stderr.isatty():
        print(f"\r{line:60}\r", end="", file=sys.stderr, flush=True)


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def report(peers, pictures, times, apart, peaks, sizes, scores):
    classes = defaultdict(list)
    for picture in pictures:
        classes[picture["class"]].append(picture["path"])
    others = [name for name in peers if name != BEST]
    names = [versions.PEERS[name] for name in others]

    def over(label, value, name):
        """The value's mean over a class's pictures."""
        return statistics.fmean(value(path, name) for path in classes[label])

    def ratio(label, values, name):
        return geometric_mean(values[path, name] / values[path, BEST] for path in classes[label])

    def likeness(label, name):
        return over(label, lambda path, name: statistics.fmean(scores[path, name].values()), name)

    def means(labels, values):
        return [f"{geometric_mean(ratio(label, values, name) for label in labels):.2f}" for name in others]

    jpegs = [label for label in classes if label.startswith("JPEG")]
    print(f"## CPU time (median max/min of the rounds: {apart:.2f})\n")
    rows = []
    for label in classes:
        best = f"{over(label, lambda path, name: times[path, name], BEST):.1f} ms"
        rows.append([label, best] + [f"{ratio(label, times, name):.2f}" for name in others])
    rows.append(["**geometric mean of the JPEGs**", "1.00"] + means(jpegs, times))
    rows.append(["**geometric mean of all**", "1.00"] + means(classes, times))
    table(["", versions.PEERS[BEST]] + names, rows)

    print("## Likeness to the reference (SSIMULACRA2, mean of the sizes, difference), and bytes of the three files (ratio)\n")
    rows = []
    for label in classes:
        size = over(label, lambda path, name: sizes[path, name], BEST)
        cells = [f"{likeness(label, BEST):.1f}, {size / 1000:.0f}k"]
        for name in others:
            cells.append(f"{likeness(label, name) - likeness(label, BEST):+.1f}, {ratio(label, sizes, name):.2f}")
        rows.append([label] + cells)
    for size in SIZES:
        mean = {name: statistics.fmean(scores[picture["path"], name][size] for picture in pictures) for name in peers}
        rows.append([f"**all at {size}**", f"{mean[BEST]:.1f}"] + [f"{mean[name] - mean[BEST]:+.1f}" for name in others])
    rows.append(["**bytes of all**", "1.00"] + means(classes, sizes))
    table(["", versions.PEERS[BEST]] + names, rows)

    print("## Peak memory of a new process that does one job (MiB)\n")
    rows = [[label] + [f"{max(peaks[path, name] for path in classes[label]):.0f}" for name in peers] for label in classes]
    table([""] + [versions.PEERS[name] for name in peers], rows)

    if OURS in peers:
        print("## What we ask of ourselves\n")
        bars = {"JPEGs": jpegs, "all": list(classes)}
        for name, labels in bars.items():
            mean = geometric_mean(ratio(label, times, OURS) for label in labels)
            say(f"{name}: at most 0.80 of sharp's best (and we would like 0.60)", mean, mean <= 0.80)
            if CALLS in peers:
                calls = geometric_mean(ratio(label, times, CALLS) for label in labels)
                say(f"{name}: at most 0.42 of sharp, as people call it", mean / calls, mean / calls <= 0.42)
        worst = max(classes, key=lambda label: ratio(label, times, OURS))
        slowest = ratio(worst, times, OURS)
        say(f"no class slower than sharp's best ({worst})", slowest, slowest <= 1)
        gap = {label: likeness(label, OURS) - likeness(label, BEST) for label in classes}
        worst = min(gap, key=gap.get)
        say(f"in no class more than 1 less like the reference ({worst})", gap[worst], gap[worst] >= -1)
        bytes_ratio = geometric_mean(ratio(label, sizes, OURS) for label in classes)
        say("at most 1.05 of the bytes", bytes_ratio, bytes_ratio <= 1.05)


def say(bar, value, met):
    print(f"- {'met' if met else 'NOT met'}: {bar}: {value:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a picture of each class, one short round")
    parser.add_argument("--only", default=",".join(versions.PEERS), help=f"some of {','.join(versions.PEERS)}; sharp always is")
    arguments = parser.parse_args()
    wanted = {BEST, *arguments.only.split(",")}
    if unknown := wanted - set(versions.PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    WORK.mkdir(parents=True, exist_ok=True)
    pictures = load_pictures(arguments.quick)
    starts = prepare([name for name in versions.PEERS if name in wanted])
    judging_program = install.cargo(HERE / "score") / "peers-score"
    rounds, seconds = (1, 0.1) if arguments.quick else (3, 0.3)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the peers inherit it
    times, apart = measure(starts, pictures, rounds, seconds)
    report(list(starts), pictures, times, apart, *judge(judging_program, starts, pictures))


main()
