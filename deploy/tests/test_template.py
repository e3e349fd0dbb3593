"""What can be said of the template by reading it."""

import re
import subprocess
import unittest

from engines import ROOT
from stack import parsed, template


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
        source = (ROOT / "src/queue.rs").read_text()
        constant = lambda name: int(re.search(rf"const {name}: u32 = (\d+);", source)[1])
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
        source = (ROOT / "src/server/gate/connection.rs").read_text()
        idle = int(re.search(r"IDLE_TIMEOUT: Duration = Duration::from_secs\((\d+)\)", source)[1])
        self.assertGreater(idle, 60, "the balancer's default, which the template leaves")
        self.assertNotIn("idle_timeout", template())
