#!/usr/bin/env python3
"""Prints the tables of docs/SCALING.md. It takes some minutes: each row is the mean of three runs.

    python3 research/scaling-model/tables.py
"""

from dataclasses import replace

from model import Load, Server, Settings, percentile, simulate

SEEDS = (1, 2, 3)
TYPICAL = Settings()
HEAVY = replace(TYPICAL, cpu_seconds=0.25, job_seconds=0.4)
# The high-resolution metric is one that somebody publishes, so it is seen sooner than SQS's own.
FAST = {"period_seconds": 10, "metric_lag_seconds": 5}
BASIC = {"period_seconds": 300}
CHOICES = [
    ("backlog", {}),
    ("backlog", {"minimum": 4}),
    ("backlog", FAST),
    ("cpu", {}),
    ("cpu", {"minimum": 4}),
    ("cpu", FAST),
    ("cpu", BASIC),
    ("both", {}),
]


def mean(values):
    values = list(values)
    return None if None in values else sum(values) / len(values)


def seconds(value):
    if value is None:
        return "never"
    return f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"


def row(name, settings, load):
    runs = [simulate(settings, load, seed) for seed in SEEDS]
    p50, p95 = [mean(percentile(run.burst_latencies(), percent) for run in runs) for percent in (50, 95)]
    drained = mean(run.drained_after() for run in runs)
    cells = [
        name,
        f"{settings.period_seconds:g} s",
        f"{settings.minimum}",
        seconds(p50),
        seconds(p95),
        f"{mean(run.peak_workers for run in runs):.0f}",
        seconds(drained),
        f"{mean(run.instance_hours for run in runs):.1f}",
        f"${mean(run.cost for run in runs):.2f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def table(title, settings, load, choices):
    print(f"\n{title}\n")
    print("| policy | metric | minimum | p50 | p95 | peak workers | drained after | instance-hours | cost |")
    print("|---|---|---|---|---|---|---|---|---|")
    for policy, changes in choices:
        row(policy, replace(settings, policy=policy, **changes), load)


def targets(title, settings, load):
    print(f"\n{title}\n")
    print("| target | p50 | p95 | peak workers | instance-hours |")
    print("|---|---|---|---|---|")
    for target in (10, 40, 80, 200, 400, 800):
        runs = [simulate(replace(settings, backlog_target=target), load, seed) for seed in SEEDS]
        p50, p95 = [seconds(mean(percentile(run.burst_latencies(), percent) for run in runs)) for percent in (50, 95)]
        peak, hours = mean(run.peak_workers for run in runs), mean(run.instance_hours for run in runs)
        print(f"| {target} | {p50} | {p95} | {peak:.0f} | {hours:.1f} |", flush=True)


def servers():
    print("\nServers\n")
    for limit, rate in Server().uploads_per_second().items():
        print(f"{limit}: {rate:,.0f} uploads a second")
    print({rate: Server().servers_for(rate) for rate in (20, 100, 1_000, 10_000)})
    faster = Server(network_bits_per_second=10e9)
    print("without the network's limit", {rate: faster.servers_for(rate) for rate in (20, 100, 1_000, 10_000)})


if __name__ == "__main__":
    servers()
    table("1 to 20 a second, typical pictures", TYPICAL, Load(burst_rate=20), [("backlog", {}), ("cpu", {})])
    table("1 to 20 a second, heavy pictures", HEAVY, Load(burst_rate=20), CHOICES)
    targets("1 to 20 a second, heavy pictures, by target", HEAVY, Load(burst_rate=20))
    hour = Load(burst_rate=20, burst_seconds=3600)
    table("1 to 20 a second for an hour, heavy pictures", HEAVY, hour, [("backlog", {}), ("cpu", {}), ("both", {})])
    table("1 to 1,000 a second, typical pictures", replace(TYPICAL, maximum=50), Load(burst_rate=1000), CHOICES)
    faster_boot = [("backlog", {"boot_seconds": 20}), ("backlog", {"minimum": 25})]
    title = "The same: a faster boot, and no need to scale"
    table(title, replace(TYPICAL, maximum=50), Load(burst_rate=1000), faster_boot)
