"""deploy.sh and destroy.sh, and the stack that they make, on ministack.

ministack starts no instance and keeps no MixedInstancesPolicy, CapacityRebalance, DefaultInstanceWarmup, MetricsCollection or
TargetGroupARNs of a group, so of these there is only the linter's word. It knows no rules, no policies of an update and no
DeletionPolicy of a failed creation.
"""

import base64
import contextlib
import http.server
import json
import os
import re
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import engines
import stack
from botocore.exceptions import ClientError, WaiterError


@contextlib.contextmanager
def metadata_service(user_data):
    """IMDSv2 of an instance with this user data, as far as that."""

    class Metadata(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            self.answer(b"token")

        def do_GET(self):
            known = self.path == "/latest/user-data" and self.headers["X-aws-ec2-metadata-token"] == "token"
            self.answer(user_data.encode() if known else b"", 200 if known else 404)

        def answer(self, body, status=200):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", engines.free_port()), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Deploy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = engines.ministack()
        cls.addClassCleanup(cls.engine.stop)
        cls.cloudformation = cls.engine.client("cloudformation")

    def setUp(self):
        self.checkout = stack.Checkout(without=stack.NOT_ON_THE_ENGINE)
        self.addCleanup(self.checkout.close)

    def run_script(self, script, *arguments):
        output, code = self.checkout.run(script, self.engine.root, *arguments)
        self.assertEqual(code, 0, output)
        return output

    def resources(self, name=stack.NAME):
        found = self.cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}

    def user_data(self, template):
        ec2, template_id = self.engine.client("ec2"), self.resources()[template]
        versions = ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=["$Latest"])
        data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        return base64.b64decode(data["UserData"]).decode(), data

    def objects(self, bucket):
        listed = self.engine.client("s3").list_objects_v2(Bucket=bucket)
        return [found["Key"] for found in listed.get("Contents", [])]

    def test_a_stack_from_its_making_to_its_end(self):
        # Made, with all that can be chosen.
        output = self.run_script("deploy.sh", "--stack", stack.NAME, *stack.EVERYTHING)
        self.assertIn("cargo build --locked --release", output, "the programs were not there")
        self.assertIn("UploadUrl", output)
        made = self.resources()
        self.assertEqual(set(made), set(stack.parsed()["Resources"]) - set(stack.NOT_ON_THE_ENGINE))
        binaries_bucket = f"{stack.NAME}-{engines.ACCOUNT}-{engines.REGION}"
        tarballs = self.objects(binaries_bucket)
        self.assertEqual(len(tarballs), 1)
        self.check_boot(f"s3://{binaries_bucket}/{tarballs[0]}")
        widgets = json.loads(self.engine.client("cloudwatch").get_dashboard(DashboardName=made["Dashboard"])["DashboardBody"])
        self.assertEqual(len(widgets["widgets"]), 4)

        # Again, with nothing new: nothing happens.
        before, _ = self.user_data("WorkerTemplate")
        output = self.run_script("deploy.sh", "--stack", stack.NAME)
        self.assertIn("No changes to deploy", output)
        self.assertNotIn("cargo", output)

        # Updated: a parameter changes what it should, and what is not given stays.
        self.run_script("deploy.sh", "--stack", stack.NAME, "WorkerMax=3")
        group = self.group(made["Workers"])
        self.assertEqual((group["MinSize"], group["MaxSize"]), (0, 3))
        self.assertEqual(self.user_data("WorkerTemplate")[0], before)

        # New programs have a new name, which is in the user data, so that instances are replaced.
        with open(self.checkout.release / "worker", "a") as worker:
            worker.write("# new\n")
        self.run_script("deploy.sh", "--stack", stack.NAME)
        after, _ = self.user_data("WorkerTemplate")
        self.assertNotEqual(after, before)
        self.assertEqual(len(self.objects(binaries_bucket)), 2)

        # A baked image: its id, and no script.
        self.run_script("deploy.sh", "--stack", stack.NAME, "--image-id", "ami-0123456789abcdef0")
        self.check_baked()
        self.assertNotIn("BinariesPolicy", self.resources())

        # Destroyed, but for the images.
        images = made["Images"]
        self.engine.client("s3").put_object(Bucket=images, Key="0/original.gif", Body=b"a picture")
        self.assertIn(f"aws s3 rb --force s3://{images}", self.run_script("destroy.sh", "--stack", stack.NAME))
        with self.assertRaisesRegex(ClientError, "does not exist"):
            self.cloudformation.describe_stacks(StackName=stack.NAME)
        buckets = [bucket["Name"] for bucket in self.engine.client("s3").list_buckets()["Buckets"]]
        self.assertEqual(buckets, [images])
        self.assertEqual(self.engine.client("iam").list_roles()["Roles"], [])

    def group(self, name):
        [group] = self.engine.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        return group

    def check_baked(self):
        """What a baked image would do at boot: our program reads the user data from a metadata service."""
        for role in ["server", "worker"]:
            text, data = self.user_data(f"{role.title()}Template")
            self.assertEqual(data["ImageId"], "ami-0123456789abcdef0")
            with metadata_service(text) as endpoint, tempfile.TemporaryDirectory() as run:
                subprocess.run(
                    [engines.PROGRAMS / "worker", "--user-data", run],
                    env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint},
                    check=True,
                    timeout=60,
                )
                [settings] = Path(run).iterdir()
                self.assertEqual(settings.name, f"{role}.env")
                self.assertIn(f'IMAGES_BUCKET="{self.resources()["Images"]}"\n', settings.read_text())

    def settings(self, text):
        return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))

    def check_boot(self, binaries):
        """Runs the user data of both templates as cloud-init would, but in a directory in place of /, and with no systemd."""
        made = self.resources()
        for role in ["server", "worker"]:
            text, data = self.user_data(f"{role.title()}Template")
            self.assertEqual(data["MetadataOptions"]["HttpTokens"], "required")
            self.assertEqual(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1)
            self.assertNotIn("KeyName", data)
            settings = self.settings(text)
            self.assertEqual(settings["IMAGES_BUCKET"], made["Images"])
            self.assertEqual(settings["JOBS_QUEUE_URL"], made["Jobs"])
            self.assertEqual(settings["BINARIES"], binaries)
            self.assertEqual(settings["MAX_PIXELS"], "1000000")
            self.assertEqual(settings.get("THUMBNAIL_FIT"), {"server": None, "worker": "contain"}[role])
            if role == "server":
                self.assertRegex(settings["PUBLIC_URL"], r"^https://\w+\.cloudfront\.net$")
                self.assertEqual(settings["LISTEN"], "0.0.0.0:8080")
            with tempfile.TemporaryDirectory() as machine:
                self.boot(Path(machine), text, role)

    def boot(self, machine, text, role):
        (machine / "etc/systemd").mkdir(parents=True)
        (machine / "tmp").mkdir()
        (machine / "bin").mkdir()
        systemctl = machine / "bin/systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$*" >>{machine}/systemctl\n')
        systemctl.chmod(0o755)
        here = re.sub(r"(?<![\w/])/(?=(etc|tmp)/)", f"{machine}/", text).replace("-C /", f"-C {machine}")
        path = f"{machine / 'bin'}:{os.environ['PATH']}"
        subprocess.run(["sh", "-e"], input=here, text=True, check=True, env={**self.engine.root, "PATH": path}, timeout=60)
        self.assertEqual((machine / "systemctl").read_text(), "daemon-reload\nenable --now server worker\n")
        for program in ["server", "worker"]:
            done = subprocess.run([machine / "usr/local/bin" / program], capture_output=True, text=True)
            self.assertEqual(done.stdout, f"{program}\n")
        units = {unit.name for unit in (machine / "etc/systemd/system").glob("*.service")}
        self.assertEqual(units, {unit.name for unit in (engines.ROOT / "init").glob("*.service")})
        drop_in = (machine / "etc/systemd/system/image-sharer-user-data.service.d/on-disk.conf").read_text()
        copy = f"ExecStart=/bin/cp {machine}/etc/image-sharer.env /run/image-sharer/{role}.env"
        self.assertEqual(drop_in, f"[Service]\nExecStart=\n{copy}\n")
        # The file that the copy becomes is the one that starts the role's unit.
        unit = (machine / f"etc/systemd/system/{role}.service").read_text()
        self.assertIn(f"ConditionPathExists=/run/image-sharer/{role}.env", unit)
        self.assertRegex(unit, "(Wants|Requires)=.*image-sharer-user-data.service", "which the drop-in changes")

    def test_what_the_engine_cannot_make_is_no_more_than_listed(self):
        """Each of the listed resources is refused when it alone is left in, and by the reason that is listed."""
        for name, reason in stack.NOT_ON_THE_ENGINE.items():
            with self.subTest(name):
                others = [other for other in stack.NOT_ON_THE_ENGINE if other != name]
                self.assertRegex(self.refusal(stack.template(others)), reason)

    def refusal(self, body):
        ec2 = self.engine.client("ec2")
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
        given = [*stack.EVERYTHING, f"VpcId={ec2.describe_vpcs()['Vpcs'][0]['VpcId']}", f"Subnets={','.join(subnets[:2])}"]
        parameters = [dict(zip(["ParameterKey", "ParameterValue"], each.split("=", 1))) for each in [*given, "Binaries=s3://b/k"]]
        try:
            self.cloudformation.create_stack(
                StackName="refused", TemplateBody=body, Parameters=parameters, Capabilities=["CAPABILITY_IAM"]
            )
            self.cloudformation.get_waiter("stack_create_complete").wait(StackName="refused", WaiterConfig={"Delay": 1})
        except ClientError as error:
            return str(error)
        except WaiterError:
            events = self.cloudformation.describe_stack_events(StackName="refused")["StackEvents"]
            return " ".join(event.get("ResourceStatusReason", "") for event in events)
        finally:
            self.cloudformation.delete_stack(StackName="refused")
        return "none"

    def test_a_dry_run_runs_nothing(self):
        nowhere = self.engine.variables("nobody", "nothing") | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        output, code = self.checkout.run("deploy.sh", nowhere, "--dry-run", "--stack", "dry", "WorkerMax=3")
        self.assertEqual(code, 0, output)
        for part in [
            "aws ec2 describe-vpcs",
            "aws ec2 describe-subnets",
            "aws s3 mb s3://dry-ACCOUNT-us-east-1",
            "aws s3 cp",
            "aws cloudformation deploy --stack-name dry",
            "WorkerMax=3",
        ]:
            self.assertIn(part, output)
        output, code = self.checkout.run("destroy.sh", nowhere, "--dry-run", "--stack", "dry")
        self.assertEqual(code, 0, output)
        self.assertIn("aws cloudformation delete-stack --stack-name dry", output)
        disk = self.checkout.path / "disk.raw"
        disk.write_bytes(b"a disk")
        output, code = self.checkout.run("import-image.sh", nowhere, "--dry-run", disk)
        self.assertEqual(code, 0, output)
        for part in [f"aws s3 cp --only-show-errors {disk} s3://", "aws ec2 import-snapshot", "aws s3 rb", "ami-…\n"]:
            self.assertIn(part, output)
        for option in ["--boot-mode uefi", "--imds-support v2.0", "--root-device-name /dev/xvda", "SnapshotId=SNAPSHOT"]:
            self.assertRegex(output, f"aws ec2 register-image .*{option}")

    def test_what_goes_wrong_says_what_to_do(self):
        no_region = self.engine.root | {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
        for script, variables, arguments, advice in [
            ("deploy.sh", no_region, [], "export AWS_REGION"),
            ("deploy.sh", self.engine.root, ["--imageid", "ami-1"], "--imageid is not known here"),
            ("deploy.sh", self.engine.root, ["--image-id"], "followed by ami-..."),
            ("deploy.sh", self.engine.root, ["--stack", "wrong", "ScaleOn=moon"], "ScaleOn"),
            ("destroy.sh", self.engine.root, ["--stack", "absent"], "does not exist"),
            ("destroy.sh", self.engine.root, ["--stack"], "followed by a name"),
            ("import-image.sh", self.engine.root, ["absent/disk.raw"], "make it with deploy/build-image.sh absent"),
        ]:
            with self.subTest(f"{script} {arguments}"):
                output, code = self.checkout.run(script, variables, *arguments)
                self.assertNotEqual(code, 0, output)
                self.assertIn(advice, output)
