#!/usr/bin/env python3
"""The model against what is known without it: queueing theory, AWS's own examples, and counting.

    python3 research/scaling-model/test_model.py
"""

import dataclasses
import io
import math
import pathlib
import random
import re
import sys
import unittest
import xml.etree.ElementTree
from contextlib import redirect_stderr, redirect_stdout

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import model
import plot
from model import Load, Server, Settings, TargetTracking, desired_capacity, percentile, simulate

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
HEAVY = Settings(cpu_seconds=0.25, job_seconds=0.4)  # pictures of five times the usual work: 8 a second and worker
SMALL_BURST = Load(burst_rate=20)


def mean(values):
    return sum(values) / len(values)


def erlang_c(servers, offered):
    """The part of the jobs that must wait, in a queue with Poisson arrivals and exponential times (Erlang, 1917)."""
    full = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return full / (sum(offered**k / math.factorial(k) for k in range(servers)) + full)


class AgainstTheory(unittest.TestCase):
    """One worker that never scales, 4 exponential jobs at a time of 0.2 s, 16 a second: M/M/4, four fifths busy."""

    @classmethod
    def setUpClass(cls):
        # As many cores' worth of CPU as jobs at a time, so that they do not slow each other, and utilisation is the
        # part of the hands that are full.
        settings = Settings(job_seconds=0.2, cpu_seconds=0.1, cores=2, jobs_at_a_time=4, job_time_shape=1, maximum=1)
        cls.result = simulate(dataclasses.replace(settings, policy="both"), Load(base_rate=16, burst_rate=16), seed=3)
        cls.latency = mean([latency for _, latency in cls.result.jobs])

    def test_the_mean_wait_is_erlangs(self):
        wait = erlang_c(4, 16 * 0.2) / (4 / 0.2 - 16)
        self.assertAlmostEqual(self.latency, wait + 0.2, delta=0.05 * (wait + 0.2))

    def test_utilisation_is_the_offered_load(self):
        cpu = [value for _, name, value in self.result.metrics if name == "cpu"]
        during_the_load = cpu[: int(self.result.load.end / 60) - 1]
        self.assertAlmostEqual(mean(during_the_load), 80, delta=2)

    def test_littles_law(self):
        waiting = mean([sample.backlog for sample in self.result.samples])
        self.assertAlmostEqual(waiting, 16 * (self.latency - 0.2), delta=0.1 * waiting)


class Jobs(unittest.TestCase):
    def test_every_job_that_arrives_is_done_once(self):
        for changes in ({}, {"policy": "cpu"}, {"period_seconds": 10}):
            settings = dataclasses.replace(HEAVY, **changes)
            result = simulate(settings, SMALL_BURST)
            dice = random.Random("arrivals 1")
            arrivals, now = [], SMALL_BURST.next_arrival(0.0, dice)
            while now is not None:
                arrivals.append(now)
                now = SMALL_BURST.next_arrival(now, dice)
            # Not assertEqual, which takes minutes to tell two long lists apart.
            self.assertTrue(sorted(arrived_at for arrived_at, _ in result.jobs) == arrivals)
            self.assertTrue(all(latency > 0 for _, latency in result.jobs))
            self.assertGreater(result.peak_workers, 1, "workers came and went meanwhile")

    def test_arrivals_have_the_rate_of_their_time(self):
        load = Load(base_rate=5, burst_rate=50)
        times = [arrived_at for arrived_at, _ in simulate(Settings(maximum=1), load).jobs]
        in_burst = sum(load.burst_start <= time < load.burst_end for time in times)
        for count, expected in ((in_burst, 50 * 600), (len(times) - in_burst, 5 * 6600)):
            self.assertAlmostEqual(count, expected, delta=4 * math.sqrt(expected))

    def test_one_seed_is_one_story(self):
        self.assertTrue(simulate(HEAVY, SMALL_BURST, 5) == simulate(HEAVY, SMALL_BURST, 5))
        self.assertTrue(simulate(HEAVY, SMALL_BURST, 5).jobs != simulate(HEAVY, SMALL_BURST, 6).jobs)

    def test_policies_meet_the_same_arrivals(self):
        runs = [simulate(dataclasses.replace(HEAVY, policy=policy), SMALL_BURST) for policy in ("backlog", "cpu")]
        first, second = [sorted(arrived_at for arrived_at, _ in run.jobs) for run in runs]
        self.assertTrue(first == second)

    def test_the_cores_bound_a_worker(self):
        self.assertEqual(Settings().jobs_per_second(), 2 / 0.05)
        self.assertEqual(Settings(cpu_seconds=0.001).jobs_per_second(), 16 / 0.2)
        load = Load(base_rate=0, burst_rate=100, burst_seconds=300, end=1000)
        result = simulate(Settings(maximum=1), load)
        done = [at + latency for at, latency in result.jobs if load.burst_start + 30 <= at + latency < load.burst_end]
        self.assertAlmostEqual(len(done) / 270, 40, delta=0.5)


class Group(unittest.TestCase):
    def test_a_burst_is_heard_of_after_three_periods(self):
        for period in (10, 60):
            settings = dataclasses.replace(HEAVY, period_seconds=period, metric_lag_seconds=5)
            for seed in range(3):
                after = simulate(settings, SMALL_BURST, seed).scaled_out_after()
                # The backlog takes some seconds to pass the target; then three values, the lag and the boot.
                fastest, slowest = 2 * period + 5 + 60, 3 * period + 5 + 60 + 15 + model.SAMPLE_SECONDS
                self.assertTrue(fastest <= after <= slowest, f"{after} s with a period of {period} s")

    def test_cpu_says_no_more_than_that_it_is_full(self):
        """CPU cannot be over 100 %, so its policy grows by 100/60 at a time; the backlog says how far behind it is."""
        by_backlog = simulate(HEAVY, SMALL_BURST)
        by_cpu = simulate(dataclasses.replace(HEAVY, policy="cpu"), SMALL_BURST)
        first_steps = [next(s.desired for s in run.samples if s.desired > 1) for run in (by_backlog, by_cpu)]
        self.assertEqual(first_steps, [8, 2])
        self.assertLessEqual(max(value for _, name, value in by_cpu.metrics if name == "cpu"), 100.0001)
        self.assertLess(by_backlog.scaled_out_after(), by_cpu.scaled_out_after())
        self.assertLess(percentile(by_backlog.burst_latencies(), 95), percentile(by_cpu.burst_latencies(), 95))

    def test_cpu_does_not_hear_of_a_queue_that_waits_for_s3(self):
        waiting_for_s3 = Settings(cpu_seconds=0.01, job_seconds=0.8, jobs_at_a_time=8)  # 10 a second, CPU at 5 %
        by_cpu = simulate(dataclasses.replace(waiting_for_s3, policy="cpu"), SMALL_BURST)
        self.assertEqual(by_cpu.peak_workers, 1)
        self.assertLess(max(value for _, name, value in by_cpu.metrics if name == "cpu"), 60)
        for policy in ("backlog", "both"):
            settings = dataclasses.replace(waiting_for_s3, policy=policy)
            self.assertGreater(simulate(settings, SMALL_BURST).peak_workers, 1)

    def test_it_stays_within_its_limits_and_comes_back(self):
        for minimum in (1, 3):
            for policy in model.POLICIES:
                run = simulate(dataclasses.replace(HEAVY, minimum=minimum, maximum=6, policy=policy), SMALL_BURST)
                for count in (s.in_service for s in run.samples), (s.desired for s in run.samples):
                    counts = list(count)
                    self.assertEqual((min(counts), counts[-1]), (minimum, minimum))
                    self.assertLessEqual(max(counts), 6)

    def test_with_both_policies_cpu_keeps_what_the_backlog_would_let_go(self):
        """A load that lasts: when the queue is empty, the backlog alone sends away workers that are needed."""
        hour = Load(burst_rate=20, burst_seconds=3600)
        runs = [simulate(dataclasses.replace(HEAVY, policy=policy), hour) for policy in ("backlog", "both")]
        by_backlog, by_both = [min(s.in_service for s in run.samples if 1800 < s.time < hour.burst_end) for run in runs]
        self.assertLess(by_backlog * 8, 20)
        self.assertGreaterEqual(by_both * 8, 20)

    def test_the_bill_is_hours_times_price(self):
        fixed = simulate(Settings(minimum=3, maximum=3, price_per_hour=0.5), Load(burst_rate=2))
        self.assertAlmostEqual(fixed.instance_hours, 3 * 2)
        self.assertAlmostEqual(fixed.cost, 3 * 2 * 0.5)
        scaled = simulate(HEAVY, SMALL_BURST)
        seen = sum(s.desired for s in scaled.samples if s.time < scaled.load.end) * model.SAMPLE_SECONDS / 3600
        self.assertAlmostEqual(scaled.instance_hours, seen, delta=0.05)

    def test_a_worker_that_leaves_finishes_and_is_paid_for_until_then(self):
        simulation = model.Simulation(Settings(), Load())
        simulation.enter_service(launched_at=0.0)
        (worker,) = simulation.workers
        simulation.start(worker, 0.0)
        simulation.leave(worker)
        self.assertEqual((simulation.in_service(), simulation.workers), ([], [worker]))
        simulation.now, _, finish, job = simulation.events[0]
        finish(job)
        self.assertEqual(simulation.workers, [])
        self.assertEqual(simulation.result.instance_seconds, simulation.now)

    def test_nothing_is_paid_for_after_the_end(self):
        simulation = model.Simulation(Settings(), Load(end=7200))
        simulation.bill(model.Worker(launched_at=7100.0, in_service_at=7160.0), until=7300.0)
        simulation.bill(model.Worker(launched_at=7250.0, in_service_at=7310.0), until=7300.0)
        self.assertEqual(simulation.result.instance_seconds, 100)

    def test_the_backlog_is_shared_among_the_workers(self):
        full = simulate(dataclasses.replace(HEAVY, minimum=2, maximum=2), Load(burst_rate=40))
        longest = max(value for _, _, value in full.metrics)
        self.assertAlmostEqual(2 * longest, max(s.backlog for s in full.samples), delta=60 * (40 - 16))

    def test_each_policy_has_its_own_target(self):
        policies = model.Simulation(Settings(policy="both", backlog_target=7, cpu_target=11), Load()).policies
        self.assertEqual({name: policy.target for name, policy in policies.items()}, {"backlog": 7, "cpu": 11})


class Policies(unittest.TestCase):
    def observed(self, *values, measured=10):
        policy = TargetTracking(target=100)
        for value in values:
            policy.observe(value, measured)
        return policy

    def test_awss_own_example(self):
        """1,500 messages, 10 workers, a target of 100: five more workers, after three periods."""
        self.assertFalse(self.observed(150, 150).scales_out())
        self.assertFalse(self.observed(150, 150, 100, 150, 150).scales_out())
        self.assertEqual(desired_capacity([self.observed(150, 150, 150)], 10, False, 1, 99), 15)
        self.assertEqual(desired_capacity([self.observed(150, 150, 150)], 10, False, 1, 12), 12)
        self.assertEqual(desired_capacity([self.observed(150, 150, 150)], 20, False, 1, 99), 20, "20 were asked for")

    def test_scale_in_is_slow_and_unanimous(self):
        idle, almost, busy = self.observed(*[0] * 15), self.observed(*[0] * 14), self.observed(*[95] * 20)
        self.assertEqual(desired_capacity([idle], 10, False, 1, 99), 8)
        self.assertEqual(desired_capacity([idle], 2, False, 1, 99), 1)
        self.assertEqual(desired_capacity([idle], 10, False, 9, 99), 9)
        self.assertEqual(desired_capacity([almost], 10, False, 1, 99), 10)
        self.assertEqual(desired_capacity([idle, busy], 20, False, 1, 99), 20)
        self.assertEqual(desired_capacity([busy], 20, False, 1, 99), 20, "95 is not below 90 % of 100")
        self.assertEqual(desired_capacity([idle], 10, True, 1, 99), 10, "while workers warm up")
        self.assertEqual(desired_capacity([self.observed(*[89] * 15)], 10, False, 1, 99), 9, "no lower than wanted")

    def test_the_backlog_target(self):
        one_at_a_time = Settings(cpu_seconds=0.1, job_seconds=0.1, cores=1, jobs_at_a_time=1)
        self.assertEqual(model.backlog_target(10, one_at_a_time), 100, "AWS's example")
        self.assertEqual(model.backlog_target(10, Settings()), 400)
        self.assertEqual(model.backlog_target(10, HEAVY), Settings().backlog_target, "what docs/SCALING.md derives")


class Percentile(unittest.TestCase):
    def test_nearest_rank(self):
        values = [15, 20, 35, 40, 50]
        self.assertEqual([percentile(values, p) for p in (0, 5, 30, 40, 50, 100)], [15, 15, 20, 20, 35, 50])
        self.assertEqual(percentile(list(range(1, 101)), 95), 95)
        self.assertIsNone(percentile([], 50))


class Servers(unittest.TestCase):
    def test_the_narrowest_limit_decides(self):
        server = Server()
        self.assertEqual(server.uploads_per_second()["uploads handled at a time"], 640)
        self.assertEqual([server.servers_for(rate) for rate in (0, 80, 81, 1000)], [1, 1, 2, 13])
        wide = dataclasses.replace(server, network_bits_per_second=10e9)
        self.assertEqual([wide.servers_for(rate) for rate in (640, 641, 1300)], [1, 2, 3])


class CommandLine(unittest.TestCase):
    def test_a_plain_table(self):
        output = io.StringIO()
        with redirect_stdout(output):
            model.main(["--burst-rate", "20", "--burst-seconds", "60", "--hours", "0.5", "--min", "2", "--max", "2"])
        self.assertRegex(output.getvalue(), r"(?m)^instance-hours +1\.00 in 0\.5 h$")
        self.assertEqual(re.findall(r"(?m)^ +(\d+) +2 +0$", output.getvalue()), ["0"], "nothing changes after it")

    def test_workers_over_time(self):
        output = io.StringIO()
        with redirect_stdout(output):
            model.main(["--burst-rate", "40", "--cpu-seconds", "0.25", "--job-seconds", "0.4", "--hours", "1"])
        rows = re.findall(r"(?m)^ +(\d+) +(\d+) +([\d,]+)$", output.getvalue())
        minutes, workers = [[int(row[column]) for row in rows] for column in (0, 1)]
        self.assertEqual(minutes, sorted(set(minutes)))
        self.assertEqual((minutes[0], workers[0]), (0, 1))
        most = re.search(r"(?m)^most workers in service +(\d+)$", output.getvalue())[1]
        self.assertEqual(max(workers), int(most))
        self.assertLess(workers[-1], max(workers), "they leave after the burst")

    def test_what_makes_no_sense_is_refused(self):
        for arguments, reason in (("--min 0", "minimum"), ("--min 9", "maximum"), ("--period 0", "period")):
            with self.assertRaises(SystemExit) as stopped:
                model.main(arguments.split())
            self.assertIn(reason, str(stopped.exception))
        with self.assertRaises(SystemExit), redirect_stderr(io.StringIO()):
            model.main(["--policy", "guess"])


class Pictures(unittest.TestCase):
    """The commands that made the two pictures make them again, byte for byte."""

    def check(self, name, *arguments):
        settings, load = model.from_arguments(model.parse_arguments(arguments))
        drawn = plot.compare_policies(settings, load, seed=1)
        root = xml.etree.ElementTree.fromstring(drawn)
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        self.assertNotIn("nan", drawn)
        committed = (DOCS / name).read_text(encoding="utf-8")
        self.assertTrue(drawn == committed, f"{name} is another: docs/SCALING.md says how it is made")

    def test_the_small_burst(self):
        self.check("scaling-20.svg", "--burst-rate", "20", "--cpu-seconds", "0.25", "--job-seconds", "0.4")

    def test_the_great_burst(self):
        self.check("scaling-1000.svg", "--burst-rate", "1000", "--max", "50")

    def test_axes_have_room(self):
        for value in (0.7, 1, 1.01, 19, 999, 1001, 553_443):
            end, parts = plot.axis_of(value)
            self.assertTrue(value <= end <= 2 * value and 3 <= parts <= 5, f"{value}: {end}, {parts}")


if __name__ == "__main__":
    unittest.main()
