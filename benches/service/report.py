"""The results as tables for docs/EVIDENCE.md, and what we ask of ourselves."""

from programs import SERVERS, WORKERS

MAX_OF_AXUM, MAX_OF_FLASK = 0.85, 0.2
MAX_OF_NODE, MAX_OF_PYTHON = 0.8, 0.4
MIN_KEPT_RATE = 0.85
MAX_IDLE_MIB = 10e6 / 2**20


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def say(bar, value, met):
    print(f"- {'met' if met else 'NOT met'}: {bar}: {value:.2f}")


def memory(result):
    return f"{result['idle_mib']:.0f} / {result['peak_mib']:.0f}"


def servers(results, real, ceiling, image_bytes):
    counts = [key for key in results["ours"] if isinstance(key, int)]
    print(f"## Server: an upload of {image_bytes // 1000} KB\n")

    def cell(one):
        return f"{one['cpu_ms']:.2f} ({one['rate']:.0f}, {one['p50_ms']:.1f}, {one['p99_ms']:.1f})"

    label = {count: f"{count} connections" for count in counts} | {1: "1 connection"}
    rows = [[label[count]] + [cell(results[name][count]) for name in SERVERS] for count in counts]
    rows.append(["16 connections, roto-aws for engine"] + [cell(real[name][16]) for name in SERVERS])
    rows.append(["MiB idle / at most"] + [memory(results[name]) for name in SERVERS])
    rows.append(["ms until the first answer"] + [f"{results[name]['start_ms']:.0f}" for name in SERVERS])
    table(["CPU ms an upload (uploads/s, p50 ms, p99 ms)", *SERVERS.values()], rows)
    used = {who: max(results[name][count][f"{who}_ms"] for name in SERVERS for count in counts) for who in ("engine", "client")}
    fastest = max(results[name][count]["rate"] for name in SERVERS for count in counts)
    print(f"The engine alone bears {ceiling:.0f} uploads/s, {ceiling / fastest:.1f} times the fastest above.")
    print(f"The engine itself takes up to {used['engine']:.2f} ms of CPU an upload, and the client {used['client']:.2f} ms.\n")
    for name, most in (("axum", MAX_OF_AXUM), ("flask", MAX_OF_FLASK)):
        for count in counts:
            ratio = results["ours"][count]["cpu_ms"] / results[name][count]["cpu_ms"]
            say(f"CPU an upload, {label[count]}: at most {most} of {SERVERS[name]}", ratio, ratio <= most)
        ratio = real["ours"][16]["cpu_ms"] / real[name][16]["cpu_ms"]
        say(f"CPU an upload, roto-aws: at most {most} of {SERVERS[name]}", ratio, ratio <= most)
    idle = results["ours"]["idle_mib"]
    say("MiB idle: at most 10 MB", idle, idle <= MAX_IDLE_MIB)
    print()


def workers(results, real, pictures):
    delays = list(results["ours"])
    print(f"## Worker: {len(pictures)} JPEGs of 2 to 12 megapixels and about 1 MB\n")

    def cell(one):
        return f"{one['cpu_ms']:.0f} ({one['rate']:.1f}, {one['busy']:.1f})"

    label = {delay: f"S3 answers after {delay} ms" for delay in delays} | {0: "S3 answers at once"}
    rows = [[label[delay]] + [cell(results[name][delay]) for name in WORKERS] for delay in delays]
    rows.append(["roto-aws for engine"] + [cell(real[name][0]) for name in WORKERS])
    rows.append(["MiB idle / at most"] + [memory(results[name][0]) for name in WORKERS])
    table(["CPU ms a job (jobs/s, cores busy)", *WORKERS.values()], rows)
    engine = max(results[name][delay]["engine_ms"] for name in WORKERS for delay in delays)
    print(f"The engine takes up to {engine:.2f} ms of CPU a job.\n")
    for name, most in (("node", MAX_OF_NODE), ("python", MAX_OF_PYTHON)):
        for delay in delays:
            ratio = results["ours"][delay]["cpu_ms"] / results[name][delay]["cpu_ms"]
            say(f"CPU a job, {label[delay]}: at most {most} of {WORKERS[name]}", ratio, ratio <= most)
        ratio = real["ours"][0]["cpu_ms"] / real[name][0]["cpu_ms"]
        say(f"CPU a job, roto-aws: at most {most} of {WORKERS[name]}", ratio, ratio <= most)
    kept = results["ours"][delays[-1]]["rate"] / results["ours"][0]["rate"]
    say(f"jobs/s, {label[delays[-1]]}: at least {MIN_KEPT_RATE} of those at once", kept, kept >= MIN_KEPT_RATE)
    idle = results["ours"][0]["idle_mib"]
    say("MiB idle: at most 10 MB", idle, idle <= MAX_IDLE_MIB)
