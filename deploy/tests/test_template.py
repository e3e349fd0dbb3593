"""What can be said of the template by reading it."""

import re
import subprocess
import sys
import unittest

from engines import ROOT
from stack import parsed, template


def in_the_programs(pattern):
    """The number of a constant, which is in one place in the programs' source."""
    sources = [path.read_text() for room in ["src", "crates"] for path in (ROOT / room).rglob("*.rs")]
    [number] = [found for source in sources for found in re.findall(pattern, source)]
    return int(number)


class Template(unittest.TestCase):
    def test_the_linter_finds_nothing(self):
        done = subprocess.run(["cfn-lint", ROOT / "deploy/template.yaml"], capture_output=True, text=True)
        self.assertEqual((done.stdout + done.stderr, done.returncode), ("", 0))

    def test_the_linter_would_find_something(self):
        planted = [
            ("VisibilityTimeout: 30", "VisibilityTimeOut: 30"),
            ("!GetAtt Jobs.Arn", "!GetAtt Jobs.ARN"),
            ("!Ref ServerRole", "!Ref ServerRoles"),
            ("HttpTokens: required", "HttpTokens: yes"),
            ("Condition: FromZero", "Condition: FromNought"),
        ]
        for right, wrong in planted:
            with self.subTest(wrong):
                self.assertIn(right, template())
                text = template().replace(right, wrong)
                done = subprocess.run(["cfn-lint", "-"], input=text, capture_output=True, text=True)
                self.assertNotEqual(done.returncode, 0)

    def test_it_can_be_sent_as_it_is(self):
        """CreateChangeSet takes no longer body, and deploy.sh would have to upload it first."""
        self.assertLess(len(template().encode()), 51_200)

    def test_no_parameter_is_dead(self):
        parameters = set(parsed()["Parameters"])
        text = template().split("\nConditions:")[1]
        rest = template().split("\nRules:")[1]
        for name in parameters:
            self.assertRegex(rest, rf"(!Ref |\$\{{){name}\b", name)
        self.assertEqual(set(re.findall(r"\$\{(\w+)\}", text)) & parameters, {"Binaries", "MaxPixels", "ThumbnailFit"})

    def test_the_queue_is_what_the_programs_expect(self):
        constant = lambda name: in_the_programs(rf"const {name}: u32 = (\d+);")
        jobs = parsed()["Resources"]["Jobs"]["Properties"]
        self.assertEqual(jobs["VisibilityTimeout"], constant("VISIBILITY_SECONDS"))
        self.assertEqual(jobs["RedrivePolicy"]["maxReceiveCount"], constant("MAX_RECEIVES"))

    def test_the_bucket_cannot_be_listed_through_the_cdn(self):
        """With s3:ListBucket and no root object, GET / would be a list of all pictures. No engine here serves a distribution."""
        resources = parsed()["Resources"]
        distribution = resources["Cdn"]["Properties"]["DistributionConfig"]
        self.assertTrue(distribution["DefaultRootObject"])
        cache = resources["ImageCache"]["Properties"]["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
        self.assertEqual(cache["QueryStringsConfig"], {"QueryStringBehavior": "none"})

    def test_a_late_thumbnail_is_late_for_a_second(self):
        distribution = parsed()["Resources"]["Cdn"]["Properties"]["DistributionConfig"]
        errors = {error["ErrorCode"]: error["ErrorCachingMinTTL"] for error in distribution["CustomErrorResponses"]}
        self.assertEqual(errors, {403: 1, 404: 1})

    def test_the_balancer_closes_idle_connections_first(self):
        idle = in_the_programs(r"IDLE_TIMEOUT: Duration = Duration::from_secs\((\d+)\)")
        self.assertGreater(idle, 60, "the balancer's default, which the template leaves")
        self.assertNotIn("idle_timeout", template())

    # What follows ministack drops or does not do, so nothing but this says that it is there.

    def test_the_load_balancer_judges_the_servers_and_no_time_does(self):
        resources = parsed()["Resources"]
        servers = resources["Servers"]["Properties"]
        self.assertEqual(servers["TargetGroupARNs"], [{"Ref": "ServerTargets"}])
        self.assertEqual(servers["HealthCheckType"], "ELB")
        for group in ["Servers", "Workers"]:
            self.assertNotIn("UpdatePolicy", resources[group])
        # A refresh waits longer for a server than the group does before it calls one unhealthy.
        script = (ROOT / "deploy/deploy.sh").read_text()
        warmup = int(re.search(r"refresh servers .* (\d+) #", script)[1])
        self.assertGreater(warmup, servers["HealthCheckGracePeriod"])

    def test_servers_wait_for_the_listener_that_forwards_to_them(self):
        resources = parsed()["Resources"]
        [tag] = resources["Servers"]["Properties"]["Tags"]
        self.assertEqual(tag["Value"], {"If": ["Tls", {"Ref": "Https"}, {"Ref": "Http"}]})
        [forward] = resources["Https"]["Properties"]["DefaultActions"]
        self.assertEqual(forward, {"Type": "forward", "TargetGroupArn": {"Ref": "ServerTargets"}})

    def test_servers_follow_half_of_what_their_network_takes(self):
        sys.path.insert(0, str(ROOT / "research/scaling-model"))
        from model import Server

        default = parsed()["Parameters"]["RequestsPerServer"]["Default"]
        micro = Server(network_bits_per_second=Server.network_bits_per_second / 2)  # the model's own is a t3.small
        limits = micro.uploads_per_second()
        self.assertEqual(min(limits, key=limits.get), "network")
        self.assertEqual(default, 60 * limits["network"] / 2)
        tracking = parsed()["Resources"]["ServerRequests"]["Properties"]["TargetTrackingConfiguration"]
        metric = tracking["PredefinedMetricSpecification"]
        self.assertEqual(metric["PredefinedMetricType"], "ALBRequestCountPerTarget")
        label = "${Balancer.LoadBalancerFullName}/${ServerTargets.TargetGroupFullName}"
        self.assertEqual(metric["ResourceLabel"], {"Sub": label})

    def test_workers_follow_the_backlog_for_each_of_them(self):
        resources = parsed()["Resources"]
        [collected] = resources["Workers"]["Properties"]["MetricsCollection"]
        self.assertEqual(collected, {"Granularity": "1Minute", "Metrics": ["GroupInServiceInstances"]})
        tracking = resources["WorkerBacklog"]["Properties"]["TargetTrackingConfiguration"]
        metrics = {metric["Id"]: metric for metric in tracking["CustomizedMetricSpecification"]["Metrics"]}
        self.assertEqual(metrics["visible"]["MetricStat"]["Metric"]["MetricName"], "ApproximateNumberOfMessagesVisible")
        self.assertEqual(metrics["workers"]["MetricStat"]["Metric"]["MetricName"], "GroupInServiceInstances")
        self.assertEqual(metrics["backlog"]["Expression"], "visible / IF(workers > 0, workers, 1)")
        self.assertEqual([name for name, metric in metrics.items() if metric.get("ReturnData", True)], ["backlog"])

    def test_a_worker_that_is_to_go_has_time_to_finish(self):
        hook = parsed()["Resources"]["WorkerDrain"]["Properties"]
        self.assertEqual(hook["AutoScalingGroupName"], {"Ref": "Workers"})
        self.assertEqual(hook["LifecycleTransition"], "autoscaling:EC2_INSTANCE_TERMINATING")
        stop = int(re.search(r"^TimeoutStopSec=(\d+)s$", (ROOT / "init/worker.service").read_text(), re.MULTILINE)[1])
        self.assertGreaterEqual(stop, 60, "a long poll, the jobs and to settle them")
        self.assertGreater(hook["HeartbeatTimeout"], stop)

    def test_nobody_is_let_in_unless_asked_to(self):
        self.assertEqual(parsed()["Parameters"]["SystemsManager"]["Default"], "off")
        resources = parsed()["Resources"]
        policies = resources["WorkerRole"]["Properties"]["ManagedPolicyArns"]
        self.assertEqual((policies["If"][0], policies["If"][2]), ("LetIn", {"Ref": "AWS::NoValue"}))
        self.assertNotIn("ManagedPolicyArns", resources["ServerRole"]["Properties"])
