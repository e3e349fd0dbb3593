#!/usr/bin/env python3
"""How the workers' Auto Scaling group follows a burst of uploads: a model to try settings before paying for them.

    python3 research/scaling-model/model.py --help
    python3 research/scaling-model/model.py --burst-rate 1000 --max 50
    python3 research/scaling-model/model.py --burst-rate 1000 --max 50 --plot burst.svg

Why a model: a burst takes an hour and some dollars to try on AWS, and a second here. What matters is not how fast one
worker is (that is measured, see docs/EVIDENCE.md) but how late the group hears of the burst. A formula does not say that,
because the metric, the alarm, the boot and the backlog act on each other.

It is a discrete-event simulation: a heap of things that will happen, taken in the order of their time, each of which
may put more on the heap. Read `Simulation` from the top: jobs arrive, wait, are worked on; workers boot and leave;
metrics are read and policies decide. `docs/SCALING.md` says what came out.

What is assumed, besides the defaults of `Settings` and `Load`:

*Jobs*
- Arrivals are a Poisson process whose rate is a constant between two changes.
- A job takes a random time: a gamma distribution of shape 4 about the mean, so that a few take twice as long. None
  fails, none is done twice, and SQS gives the oldest first, which a standard queue does only roughly.
- A worker has up to `jobs_at_a_time` in hand. They wait for S3 at the same time but share the cores, so a job that starts
  when many are in hand takes longer. Its time is settled as it starts, by the number then in hand.
- Workers poll in turns, so jobs are spread evenly. The time of a poll is part of the job's time.

*The group*
- A worker takes jobs `boot_seconds` after it was asked for. One that is told to leave finishes what it has in hand.
- A worker is paid for from launch to end. Surplus CPU credits, disks, requests and traffic are not in the price.
- EC2 always has a machine to give.

*Target tracking.* AWS documents the shape and not the arithmetic. Documented: an alarm above the target scales out in
proportion; an alarm below it scales in, more gradually; of two policies the one that asks for more wins, and scale-in
waits until all agree; workers that are warming up are left out of the CPU metric, and nothing scales in meanwhile.
- Seen in the alarms that it makes, for metrics of one minute: 3 periods above the target, or 15 below 90 % of it (for
  CPU 70 % is seen too, which would scale in later). We take the same numbers for other periods, which is a guess, and
  harsh for the five minutes of basic monitoring.
- While its alarm lasts, a policy asks again with each new value for `ceil(workers measured * value / target)`.
- Scale-in takes away a fifth of the group at most, at least one, with each new value: a guess at "gradually".
- The backlog is read at an instant, CPU as the mean over the period. Both are seen `metric_lag_seconds` later. The
  metric's clock does not know of the burst: its phase is random.
"""

import argparse
import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field

SCALE_OUT_PERIODS = 3
SCALE_IN_PERIODS = 15
SCALE_IN_BELOW = 0.9  # of the target
SCALE_IN_AT_MOST = 5  # one part in so many of the group
SAMPLE_SECONDS = 5
GIVE_UP_SECONDS = 7 * 24 * 3600  # after the last arrival: whatever still waits then will never be done
POLICIES = {"backlog": ["backlog"], "cpu": ["cpu"], "both": ["backlog", "cpu"]}


@dataclass(frozen=True)
class Load:
    """When jobs come: `base_rate` a second, and `burst_rate` for a while. Times are in seconds."""

    base_rate: float = 1.0
    burst_rate: float = 100.0
    burst_start: float = 600.0
    burst_seconds: float = 600.0
    end: float = 7200.0  # no job arrives after this, and the bill is made out up to it

    @property
    def burst_end(self):
        return self.burst_start + self.burst_seconds

    def rate_until(self, now):
        """The rate now, and the time until which it holds."""
        if now < self.burst_start:
            return self.base_rate, self.burst_start
        if now < self.burst_end:
            return self.burst_rate, min(self.burst_end, self.end)
        return self.base_rate, self.end

    def next_arrival(self, now, dice):
        """The first arrival after `now`, or None. A Poisson process has no memory: where the rate changes, draw again."""
        while now < self.end:
            rate, change = self.rate_until(now)
            arrival = now + dice.expovariate(rate) if rate > 0 else math.inf
            if arrival < change:
                return arrival
            now = change
        return None


@dataclass(frozen=True)
class Settings:
    """A group of workers and how it scales. The defaults are of one t3.small: two virtual CPUs."""

    # 22 ms of CPU for a JPEG of 6 megapixels on a whole core (docs/EVIDENCE.md), twice that on a virtual one, and some for TLS.
    cpu_seconds: float = 0.05
    # With a GET and three PUTs after one another: an assumption, not measured on AWS.
    job_seconds: float = 0.2
    jobs_at_a_time: int = 16  # WORKER_JOBS: 8 for each core
    cores: float = 2
    job_time_shape: int = 4  # the higher, the more alike the jobs' times; 1 is exponential
    minimum: int = 1
    maximum: int = 8
    boot_seconds: float = 60.0
    warmup_seconds: float = 60.0
    policy: str = "backlog"
    backlog_target: float = 80.0  # visible messages for each worker in service
    cpu_target: float = 60.0  # per cent
    period_seconds: float = 60.0
    metric_lag_seconds: float = 30.0
    price_per_hour: float = 0.0208  # dollars, about what a t3.small costs on demand in us-east-1

    def __post_init__(self):
        if self.policy not in POLICIES:
            raise ValueError(f"policy is {self.policy!r}: it should be one of {', '.join(POLICIES)}")
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"there should be 1 <= minimum <= maximum, not {self.minimum} and {self.maximum}")
        for name in ("job_seconds", "cores", "jobs_at_a_time", "period_seconds", "backlog_target", "cpu_target"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it should be over 0")

    def mean_job_seconds(self, in_hand):
        """How long a job takes when so many are in hand: its own time, or its share of the cores if that takes longer."""
        return max(self.job_seconds, in_hand * self.cpu_seconds / self.cores)

    def utilisation(self, in_hand):
        """The part of the cores' time that so many jobs use, 0 to 1."""
        return min(1.0, in_hand * self.cpu_seconds / (self.job_seconds * self.cores))

    def jobs_per_second(self):
        """Jobs a second that one worker does at most."""
        return self.jobs_at_a_time / self.mean_job_seconds(self.jobs_at_a_time)


def backlog_target(acceptable_seconds, settings):
    """The backlog for each worker at which the last message waits exactly the acceptable time.

    AWS's rule is acceptable latency / average time a message, for a worker that does one at a time. One that does
    several finishes `jobs_per_second`, so a backlog of b is gone after b / jobs_per_second: it is the rule times the
    jobs at a time, with the time that a job takes when so many are in hand.
    """
    return acceptable_seconds * settings.jobs_per_second()


@dataclass(slots=True, eq=False)
class Worker:
    """A machine of the group. `in_hand` is the number of jobs that it has taken and not finished."""

    launched_at: float
    in_service_at: float
    in_hand: int = 0
    leaving: bool = False
    cpu_used: float = 0.0  # in whole machines' seconds, since the metric was last read
    counted_until: float = 0.0


class TargetTracking:
    """One target tracking policy: how often in a row its metric was too high, or low enough to let workers go."""

    def __init__(self, target):
        self.target = target
        self.high_periods = 0
        self.low_periods = 0
        self.wanted = 0

    def observe(self, value, measured):
        """A new value of the metric, the average over so many workers."""
        self.high_periods = self.high_periods + 1 if value > self.target else 0
        self.low_periods = self.low_periods + 1 if value < SCALE_IN_BELOW * self.target else 0
        self.wanted = math.ceil(measured * value / self.target)

    def scales_out(self):
        return self.high_periods >= SCALE_OUT_PERIODS

    def scales_in(self):
        return self.low_periods >= SCALE_IN_PERIODS


def desired_capacity(policies, desired, warming, minimum, maximum):
    """What the group should have, from what it was asked to have: out if any policy says so, in if all do."""
    out = [policy.wanted for policy in policies if policy.scales_out()]
    if out:
        return min(maximum, max(desired, *out))
    if all(policy.scales_in() for policy in policies) and not warming:
        at_once = max(1, desired // SCALE_IN_AT_MOST)
        wanted = max(policy.wanted for policy in policies)
        return max(minimum, min(desired, wanted), desired - at_once)
    return desired


@dataclass(frozen=True)
class Sample:
    """The system at an instant."""

    time: float
    backlog: int
    in_service: int
    desired: int


@dataclass
class Result:
    """What happened. `jobs` has a pair for each job that was done: when it arrived, and how many seconds later it was."""

    load: Load
    settings: Settings
    arrived: int = 0
    jobs: list = field(default_factory=list)
    samples: list = field(default_factory=list)
    metrics: list = field(default_factory=list)  # (time, name, value)
    instance_seconds: float = 0.0
    peak_workers: int = 0

    def burst_latencies(self):
        """Of the jobs that arrived in the burst, from the shortest on."""
        start, end = self.load.burst_start, self.load.burst_end
        return sorted(latency for arrived_at, latency in self.jobs if start <= arrived_at < end)

    def scaled_out_after(self):
        """Seconds from the burst's start until a worker was added that takes jobs, or None."""
        start, minimum = self.load.burst_start, self.settings.minimum
        grown = (s.time for s in self.samples if s.time > start and s.in_service > minimum)
        return next((time - start for time in grown), None)

    def drained_after(self):
        """Seconds from the burst's end until nothing waits in the queue, or None."""
        empty = (s.time for s in self.samples if s.time >= self.load.burst_end and s.backlog == 0)
        return next((time - self.load.burst_end for time in empty), None)

    @property
    def instance_hours(self):
        return self.instance_seconds / 3600

    @property
    def cost(self):
        return self.instance_hours * self.settings.price_per_hour


class Simulation:
    """The clock, the heap of what will happen, the queue and the group."""

    def __init__(self, settings, load, seed=1):
        self.settings = settings
        self.load = load
        # Separate generators, so that two policies see the same arrivals.
        self.arrival_dice = random.Random(f"arrivals {seed}")
        self.service_dice = random.Random(f"service {seed}")
        self.now = 0.0
        self.events = []
        self.event_count = 0
        self.queue = deque()  # when each job that waits arrived
        self.pollers = deque()  # workers that can take another job, each once
        self.workers = []  # in service, and leaving with jobs in hand
        self.launching = 0
        self.desired = settings.minimum
        targets = {"backlog": settings.backlog_target, "cpu": settings.cpu_target}
        self.policies = {name: TargetTracking(targets[name]) for name in POLICIES[settings.policy]}
        self.result = Result(load, settings)
        self.shape = settings.job_time_shape
        by_in_hand = range(settings.jobs_at_a_time + 1)
        self.mean_seconds = [settings.mean_job_seconds(in_hand) for in_hand in by_in_hand]
        self.utilisation = [settings.utilisation(in_hand) for in_hand in by_in_hand]
        self.metric_phase = random.Random(f"phase {seed}").uniform(0, settings.period_seconds)

    def run(self):
        """Until the load has ended and every job is done."""
        for _ in range(self.settings.minimum):
            self.enter_service(launched_at=0.0)
        self.at(self.load.next_arrival(0.0, self.arrival_dice), self.arrive)
        self.at(self.metric_phase, self.read_metrics)
        self.at(0.0, self.sample)
        while self.events:
            self.now, _, action, argument = heapq.heappop(self.events)
            action() if argument is None else action(argument)
        for worker in self.workers:
            self.bill(worker, self.load.end)
        return self.result

    def at(self, time, action, argument=None):
        """Puts an event on the heap. The count keeps those of one time in order."""
        if time is not None:
            self.event_count += 1
            heapq.heappush(self.events, (time, self.event_count, action, argument))

    def is_over(self):
        return self.now >= self.load.end and len(self.result.jobs) == self.result.arrived

    # Jobs

    def arrive(self):
        self.result.arrived += 1
        self.at(self.load.next_arrival(self.now, self.arrival_dice), self.arrive)
        worker = self.next_poller()
        if worker is None:
            self.queue.append(self.now)
        else:
            self.start(worker, self.now)
            self.poll(worker)

    def next_poller(self):
        while self.pollers:
            worker = self.pollers.popleft()
            if not worker.leaving:
                return worker
        return None

    def poll(self, worker):
        """Gives a worker jobs from the queue. A worker that could take more goes on polling."""
        while self.queue and worker.in_hand < self.settings.jobs_at_a_time:
            self.start(worker, self.queue.popleft())
        if worker.in_hand < self.settings.jobs_at_a_time:
            self.pollers.append(worker)

    def start(self, worker, arrived_at):
        self.count_cpu(worker)
        worker.in_hand += 1
        mean = self.mean_seconds[worker.in_hand]
        self.at(self.now + mean * self.random_share(), self.finish, (worker, arrived_at))

    def random_share(self):
        """Of the mean: a gamma distribution of a whole shape, which is a sum of so many exponential ones."""
        product = 1.0
        for _ in range(self.shape):
            product *= 1.0 - self.service_dice.random()
        return -math.log(product) / self.shape

    def finish(self, job):
        worker, arrived_at = job
        self.count_cpu(worker)
        worker.in_hand -= 1
        self.result.jobs.append((arrived_at, self.now - arrived_at))
        if worker.leaving:
            self.remove_if_idle(worker)
        elif worker.in_hand == self.settings.jobs_at_a_time - 1:  # it was full, and so not among the pollers
            self.poll(worker)

    def count_cpu(self, worker):
        worker.cpu_used += self.utilisation[worker.in_hand] * (self.now - worker.counted_until)
        worker.counted_until = self.now

    # Workers

    def launch(self):
        self.launching += 1
        self.at(self.now + self.settings.boot_seconds, self.boot, self.now)

    def boot(self, launched_at):
        self.launching -= 1
        self.enter_service(launched_at)

    def enter_service(self, launched_at):
        worker = Worker(launched_at, in_service_at=self.now, counted_until=self.now)
        self.workers.append(worker)
        self.result.peak_workers = max(self.result.peak_workers, len(self.in_service()))
        self.poll(worker)

    def in_service(self):
        return [worker for worker in self.workers if not worker.leaving]

    def is_warm(self, worker):
        # The first workers are there from the start.
        return worker.in_service_at == 0 or self.now >= worker.in_service_at + self.settings.warmup_seconds

    def leave(self, worker):
        worker.leaving = True
        self.remove_if_idle(worker)

    def remove_if_idle(self, worker):
        if worker.in_hand == 0:
            self.workers.remove(worker)
            self.bill(worker, self.now)

    def bill(self, worker, until):
        until = min(until, self.load.end)
        self.result.instance_seconds += max(0.0, until - worker.launched_at)

    # Auto Scaling

    def read_metrics(self):
        """The end of a period: the values are of now, and the policies see them a little later."""
        in_service = self.in_service()
        values = {"backlog": (len(self.queue) / len(in_service), len(in_service))}
        utilisations = [(self.read_cpu(worker), self.is_warm(worker)) for worker in in_service]
        warm = [utilisation for utilisation, is_warm in utilisations if is_warm]
        if warm:
            values["cpu"] = (100 * sum(warm) / len(warm), len(warm))
        self.at(self.now + self.settings.metric_lag_seconds, self.decide, values)
        if self.now > self.load.end + GIVE_UP_SECONDS:
            raise RuntimeError(f"{self.result.arrived - len(self.result.jobs)} jobs are not done after a week")
        if not self.is_over():
            self.at(self.now + self.settings.period_seconds, self.read_metrics)

    def read_cpu(self, worker):
        """Its utilisation over the period that ends now, 0 to 1; the next one begins."""
        self.count_cpu(worker)
        used, worker.cpu_used = worker.cpu_used, 0.0
        seconds = min(self.settings.period_seconds, self.now - worker.in_service_at)
        return used / seconds if seconds > 0 else 0.0

    def decide(self, values):
        for name, policy in self.policies.items():
            if name in values:
                value, measured = values[name]
                policy.observe(value, measured)
                self.result.metrics.append((self.now, name, value))
        warming = self.launching > 0 or not all(self.is_warm(worker) for worker in self.in_service())
        limits = (self.settings.minimum, self.settings.maximum)
        wanted = desired_capacity(list(self.policies.values()), self.desired, warming, *limits)
        for _ in range(wanted - self.desired):
            self.launch()
        for worker in self.in_service()[: max(0, self.desired - wanted)]:  # the oldest
            self.leave(worker)
        self.desired = wanted

    def sample(self):
        sample = Sample(self.now, len(self.queue), len(self.in_service()), self.desired)
        self.result.samples.append(sample)
        if not self.is_over():
            self.at(self.now + SAMPLE_SECONDS, self.sample)


def simulate(settings, load, seed=1):
    return Simulation(settings, load, seed).run()


def percentile(ordered, percent):
    """The value that `percent` of the values do not exceed (nearest rank); `ordered` is sorted. None if it is empty."""
    if not ordered:
        return None
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


# The server tier


@dataclass(frozen=True)
class Server:
    """What limits a server. It needs no simulation: nothing waits long in it, so each limit is a quotient."""

    cores: float = 2
    # 0.6 to 0.7 ms were measured without TLS (docs/EVIDENCE.md); the rest is for TLS to S3.
    cpu_seconds: float = 0.001
    cpu_target: float = 0.6
    handled_at_a_time: int = 64
    handling_seconds: float = 0.1  # a PUT to S3 and a SendMessage: an assumption
    connections: int = 2048
    connection_seconds: float = 1.0  # for which an upload holds one, behind a load balancer: an assumption
    upload_bytes: int = 200_000
    network_bits_per_second: float = 128e6  # of a t3.small, without a burst: in, and as much out; a byte does both once

    def uploads_per_second(self):
        """The rate that each limit allows. The server can take the lowest of them."""
        return {
            "CPU": self.cpu_target * self.cores / self.cpu_seconds,
            "uploads handled at a time": self.handled_at_a_time / self.handling_seconds,
            "connections": self.connections / self.connection_seconds,
            "network": self.network_bits_per_second / (8 * self.upload_bytes),
        }

    def servers_for(self, rate):
        return max(1, math.ceil(rate / min(self.uploads_per_second().values())))


# The command line


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description="How the workers' Auto Scaling group follows a burst of uploads.")
    settings, load = Settings(), Load()

    def option(name, default, text, kind=float, **more):
        parser.add_argument(name, type=kind, default=default, help=f"{text} (default {default})", **more)

    option("--job-seconds", settings.job_seconds, "time of a job alone on a worker, S3 and SQS included")
    option("--cpu-seconds", settings.cpu_seconds, "CPU time of a job")
    option("--jobs-at-a-time", settings.jobs_at_a_time, "jobs in hand of a worker", int)
    option("--cores", settings.cores, "of a worker")
    option("--boot", settings.boot_seconds, "seconds until a new worker takes jobs")
    option("--warmup", settings.warmup_seconds, "seconds in service until a worker's CPU counts")
    option("--period", settings.period_seconds, "of the metric, in seconds")
    option("--lag", settings.metric_lag_seconds, "seconds until a value of the metric is seen")
    option("--policy", settings.policy, "what the group follows", str, choices=list(POLICIES))
    option("--backlog-target", settings.backlog_target, "visible messages for each worker in service")
    option("--cpu-target", settings.cpu_target, "per cent")
    option("--min", settings.minimum, "workers", int)
    option("--max", settings.maximum, "workers", int)
    option("--base-rate", load.base_rate, "jobs a second before and after the burst")
    option("--burst-rate", load.burst_rate, "jobs a second in the burst")
    option("--burst-seconds", load.burst_seconds, "how long the burst lasts")
    option("--hours", load.end / 3600, "until when jobs arrive and workers are paid for")
    option("--price", settings.price_per_hour, "of a worker, in dollars an hour, about a t3.small's")
    option("--seed", 1, "of the random numbers", int)
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the backlog and the CPU policy side by side instead")
    return parser.parse_args(arguments)


def from_arguments(options):
    settings = Settings(
        cpu_seconds=options.cpu_seconds,
        job_seconds=options.job_seconds,
        jobs_at_a_time=options.jobs_at_a_time,
        cores=options.cores,
        minimum=options.min,
        maximum=options.max,
        boot_seconds=options.boot,
        warmup_seconds=options.warmup,
        policy=options.policy,
        backlog_target=options.backlog_target,
        cpu_target=options.cpu_target,
        period_seconds=options.period,
        metric_lag_seconds=options.lag,
        price_per_hour=options.price,
    )
    load = Load(
        base_rate=options.base_rate,
        burst_rate=options.burst_rate,
        burst_seconds=options.burst_seconds,
        end=options.hours * 3600,
    )
    return settings, load


def show(value, unit, digits=1):
    return "never" if value is None else f"{value:,.{digits}f} {unit}"


def print_result(result):
    settings, load = result.settings, result.load
    latencies = result.burst_latencies()
    rows = [("jobs done", f"{len(result.jobs):,}, {len(latencies):,} of the burst")]
    for percent in (50, 95, 99, 100):
        name = "longest" if percent == 100 else f"p{percent}"
        rows.append((f"latency in the burst, {name}", show(percentile(latencies, percent), "s")))
    rows += [
        ("a worker added after", show(result.scaled_out_after(), "s", 0)),
        ("queue empty after the burst's end", show(result.drained_after(), "s", 0)),
        ("most workers in service", str(result.peak_workers)),
        ("longest backlog", f"{max(sample.backlog for sample in result.samples):,}"),
        ("instance-hours", f"{result.instance_hours:.2f} in {load.end / 3600:g} h"),
        ("cost", f"about ${result.cost:.3f}"),
        ("one worker does at most", show(settings.jobs_per_second(), "jobs/s")),
        ("backlog target for 10 s", f"{backlog_target(10, settings):.0f} messages a worker"),
        ("servers for the burst", str(Server().servers_for(load.burst_rate))),
    ]
    for name, value in rows:
        print(f"{name:36}{value}")
    print_minutes(result)


def print_minutes(result):
    """The group over time, without the minutes that are like the one before."""
    print(f"\n{'minute':>6}{'workers':>9}{'backlog':>9}")
    before = None
    for sample in result.samples:
        now = (sample.in_service, sample.backlog)
        if sample.time % 60 == 0 and now != before:
            print(f"{sample.time / 60:6.0f}{sample.in_service:9}{sample.backlog:9,}")
            before = now


def main(arguments=None):
    options = parse_arguments(arguments)
    try:
        settings, load = from_arguments(options)
    except ValueError as error:
        raise SystemExit(f"model.py: {error}") from None
    if options.plot:
        import plot

        with open(options.plot, "w", encoding="utf-8", newline="\n") as file:
            file.write(plot.compare_policies(settings, load, options.seed))
    else:
        print_result(simulate(settings, load, options.seed))


if __name__ == "__main__":
    main()
