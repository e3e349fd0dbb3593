"""deploy.sh and destroy.sh, and the stack that they make, on ministack.

ministack starts no instance and keeps no MixedInstancesPolicy, CapacityRebalance, DefaultInstanceWarmup, MetricsCollection or
TargetGroupARNs of a group, so of these there are only the linter's word and test_template's. It knows no rules and no
DeletionPolicy of a failed creation, and ends each instance refresh at once: what else may become of one a stand-in for aws says.
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

from botocore.exceptions import ClientError, WaiterError

import engines
import stack


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
    def setUp(self):
        self.engine = engines.ministack()
        self.addCleanup(self.engine.stop)
        self.addCleanup(stack.start_servers(self.engine))
        self.cloudformation = self.engine.client("cloudformation")
        self.checkout = stack.Checkout(without=stack.NOT_ON_THE_ENGINE)
        self.addCleanup(self.checkout.close)

    def run_script(self, script, *arguments):
        output, code = self.checkout.run(script, self.engine.root, *arguments)
        self.assertEqual(code, 0, output)
        return output

    def resources(self):
        found = self.cloudformation.describe_stack_resources(StackName=stack.NAME)["StackResources"]
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
        self.assertEqual(self.checkout.calls("start-instance-refresh"), [], "the machines are new")
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
        groups = [re.search("group-name (\\S+)", call)[1] for call in self.checkout.calls("start-instance-refresh")]
        self.assertEqual(groups, [made["Servers"], made["Workers"]])

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
        described = self.engine.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        [group] = described["AutoScalingGroups"]
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
                found = dict(re.findall('^([A-Z_]+)="(.*)"$', settings.read_text(), re.MULTILINE))
                self.assertEqual(found["IMAGES_BUCKET"], self.resources()["Images"])
                self.assertEqual(found["JOBS_QUEUE_URL"], self.resources()["Jobs"])
                if role == "server":
                    self.assertRegex(found["PUBLIC_URL"], r"^https://\w+\.cloudfront\.net$")
                    self.assertEqual(found["LISTEN"], "0.0.0.0:8080")
                    self.assertEqual(found["TRUSTED_PROXIES"], "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16")

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
        for name in ["systemctl", "shutdown"]:
            command = machine / "bin" / name
            command.write_text(f'#!/bin/sh\necho "{name} $*" >>{machine}/asked\n')
            command.chmod(0o755)
        (machine / "bin/sleep").symlink_to("/bin/true")
        here = re.sub(r"(?<![\w/])/(?=(etc|tmp)/)", f"{machine}/", text).replace("-C /", f"-C {machine}")
        environment = {**self.engine.root, "PATH": f"{machine / 'bin'}:{os.environ['PATH']}"}
        run = lambda text: subprocess.run(["sh", "-e"], input=text, text=True, capture_output=True, env=environment, timeout=60)

        # Without its programs it turns itself off.
        self.assertNotEqual(run(here.replace("aws s3 cp", "false")).returncode, 0)
        self.assertEqual((machine / "asked").read_text(), "shutdown -h now\n")

        (machine / "asked").unlink()
        done = run(here)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((machine / "asked").read_text(), "systemctl daemon-reload\nsystemctl enable --now server worker\n")
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

    def test_an_update_whose_machines_do_not_get_healthy(self):
        self.run_script("deploy.sh", "--stack", stack.NAME)
        made = self.resources()
        deploy = lambda: self.checkout.run("deploy.sh", self.engine.root, "--stack", stack.NAME)
        self.checkout.calls("")

        # The refresh of the servers fails, or never ends: the workers are left alone.
        for status in ["Failed 0", "InProgress 50"]:
            self.checkout.answer("describe-instance-refreshes", status)
            output, code = deploy()
            self.assertEqual(code, 1, output)
            for part in [f"{status} %", "servers could not be replaced", "check the older version out", made["Servers"]]:
                self.assertIn(part, output)
            self.assertNotIn("UploadUrl", output)
            [call] = self.checkout.calls("start-instance-refresh")
            self.assertIn(made["Servers"], call)
            self.assertIn("SkipMatching=true,MinHealthyPercentage=100,MaxHealthyPercentage=110", call)

        # The next deployment takes the place of the one that never ended.
        self.checkout.answer("describe-instance-refreshes", "Successful 100")
        self.checkout.answer("cancel-instance-refresh", "earlier")
        self.checkout.answer("--instance-refresh-ids earlier", "Cancelled 50")
        output, code = deploy()
        self.assertEqual(code, 0, output)
        self.assertIn("earlier refresh of the servers is under way", output)
        self.assertEqual(len(self.checkout.calls("start-instance-refresh")), 2)

        # Refreshed, and yet the load balancer finds a server unhealthy.
        self.checkout.answer("elbv2 wait target-in-service", "", code=255)
        output, code = deploy()
        self.assertEqual(code, 1, output)
        self.assertIn(f"aws elbv2 describe-target-health --target-group-arn {made['ServerTargets']}", output)
        self.assertNotIn("UploadUrl", output)

    def test_a_new_account_is_told_of_its_quota(self):
        for quota, told in [("5.0", True), ("32.0", False)]:
            self.checkout.answer("get-service-quota", quota)
            self.assertEqual("request-service-quota-increase" in self.run_script("deploy.sh", "--stack", stack.NAME), told, quota)

    def test_the_machines_are_of_one_architecture(self):
        arm, intel = [stack.Checkout(stack.NOT_ON_THE_ENGINE, machine) for machine in ["aarch64", "x86_64"]]
        self.addCleanup(arm.close)
        self.addCleanup(intel.close)
        output, code = arm.run("deploy.sh", self.engine.root, "--dry-run", "--stack", stack.NAME)
        self.assertEqual(code, 0, output)
        self.assertRegex(output, "AmazonLinux=/aws/service/.*-arm64 ServerType=t4g.micro WorkerType=t4g.micro")

        # A build for ARM that lies there is none for this machine.
        (intel.path / "target/aarch64-unknown-linux-gnu/release").mkdir(parents=True)
        for program in ["server", "worker"]:
            (intel.path / "target/aarch64-unknown-linux-gnu/release" / program).write_text("of ARM")
        output, code = intel.run("deploy.sh", self.engine.root, "--stack", stack.NAME)
        self.assertEqual(code, 0, output)
        self.assertIn("cargo build", output)

        # Another machine's build is refused, until all is changed together.
        output, code = arm.run("deploy.sh", self.engine.root, "--stack", stack.NAME, "ServerType=t4g.small")
        self.assertEqual(code, 1, output)
        self.assertIn("add ServerType=t4g.micro WorkerType=t4g.micro", output)
        arm.answer("cloudformation deploy", "")  # the engine has no Amazon Linux for ARM
        types = ["WorkerType=t4g.nano", "ServerType=t4g.small"]
        output, code = arm.run("deploy.sh", self.engine.root, "--stack", stack.NAME, *types)
        self.assertEqual(code, 0, output)
        [call] = arm.calls("cloudformation deploy")
        self.assertRegex(call, "-arm64 .* WorkerType=t4g.nano ServerType=t4g.small$")

    def test_a_try_that_made_no_stack_is_removed(self):
        self.checkout.answer("cloudformation deploy", "refused", code=255)
        output, code = self.checkout.run("deploy.sh", self.engine.root, "--stack", stack.NAME)
        self.assertEqual(code, 1, output)
        buckets = lambda: [bucket["Name"] for bucket in self.engine.client("s3").list_buckets()["Buckets"]]
        self.assertIn(f"{stack.NAME}-{engines.ACCOUNT}-{engines.REGION}", buckets())
        self.run_script("destroy.sh", "--stack", stack.NAME)
        self.assertNotIn(f"{stack.NAME}-{engines.ACCOUNT}-{engines.REGION}", buckets())

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
        parameters = [dict(zip(["ParameterKey", "ParameterValue"], each.split("=", 1), strict=True)) for each in [*given, "Binaries=s3://b/k"]]
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

    def test_what_the_page_says_to_type(self):
        """The commands of docs/DEPLOY.md, each as it is written and in their order. Left out are the upload, for which nobody
        serves, and the making of an image, which deploy/tests/boot does. The test answers for what the engine does not know of
        an import."""
        page = (engines.ROOT / "docs/DEPLOY.md").read_text().split("\n## On AWS with one command\n")[1]
        commands = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).splitlines()
        certificate = next(value for value in stack.EVERYTHING if value.startswith("CertificateArn=")).partition("=")[2]
        for words, answer in [
            ("ec2 import-snapshot", "import-snap-1"),
            ("ec2 wait snapshot-imported", ""),
            ("ec2 describe-import-snapshot-tasks", "snap-1"),
            ("ec2 register-image", "ami-0123456789abcdef0"),
            ("start-instance-refresh", "refresh-1"),  # other tests ask the engine, and each call takes a second
            ("describe-instance-refreshes", "Successful 100"),
        ]:
            self.checkout.answer(words, answer)
        self.checkout.answer("cancel-instance-refresh", "there is none", code=255)
        trust = '{"Version":"2012-10-17","Statement":[]}'
        self.engine.client("iam").create_role(RoleName="vmimport", AssumeRolePolicyDocument=trust)
        exports, ran = [], set()
        region = next(command.partition("=")[2] for command in commands if command.startswith("export AWS_REGION"))
        self.addCleanup(stack.start_servers(self.engine, region))
        for command in commands:
            kind = command.split()[0]
            ran.add(kind)
            if kind == "export":
                exports.append(command)
            elif kind == "deploy/build-image.sh":
                disk = self.checkout.path / command.split()[1] / "disk.raw"
                disk.parent.mkdir(parents=True)
                disk.write_bytes(b"a disk")
            elif kind != "curl":
                with self.subTest(command):
                    line = command.replace("arn:aws:acm:…", certificate)
                    output, code = self.checkout.type("; ".join([*exports, line]), self.engine.root)
                    self.assertEqual(code, 0, output)
        self.assertEqual(ran, {"export", "curl", *(f"deploy/{name}.sh" for name in ["deploy", "destroy", "build-image"])})
        self.assertIn("ami-0123456789abcdef0", self.checkout.calls("cloudformation deploy")[-1])

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
            "aws autoscaling start-instance-refresh --auto-scaling-group-name ServerGroup",
            "aws autoscaling start-instance-refresh --auto-scaling-group-name WorkerGroup",
            "aws elbv2 wait target-in-service --target-group-arn ServerTargets",
        ]:
            self.assertIn(part, output)
        output, code = self.checkout.run("destroy.sh", nowhere, "--dry-run", "--stack", "dry")
        self.assertEqual(code, 0, output)
        self.assertIn("aws cloudformation delete-stack --stack-name dry", output)
        disk = self.checkout.path / "disk.raw"
        disk.write_bytes(b"a disk")
        output, code = self.checkout.run("import-image.sh", nowhere, "--dry-run", disk)
        self.assertEqual(code, 0, output)
        bucket = "s3://my-little-image-sharer-import-ACCOUNT-us-east-1"
        upload = f"aws s3 cp --only-show-errors {disk} {bucket}/"
        for part in [upload, "aws iam get-role", "aws ec2 import-snapshot", "aws s3 rb", "ami-…\n"]:
            self.assertIn(part, output)
        for option in ["--boot-mode uefi", "--imds-support v2.0", "--root-device-name /dev/xvda", "SnapshotId=SNAPSHOT"]:
            self.assertRegex(output, f"aws ec2 register-image .*{option}")

    def test_what_goes_wrong_says_what_to_do(self):
        no_region = self.engine.root | {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
        for script, variables, arguments, advice in [
            ("deploy.sh", no_region, [], "export AWS_REGION"),
            ("deploy.sh", self.engine.root, ["--imageid", "ami-1"], "--imageid is not known here"),
            ("deploy.sh", self.engine.root, ["--image-id"], "needs an id, such as ami-..."),
            ("deploy.sh", self.engine.root, ["--stack", "wrong", "ScaleOn=moon"], "ScaleOn"),
            ("destroy.sh", self.engine.root, ["--stack", "absent"], "does not exist"),
            ("destroy.sh", self.engine.root, ["--stack"], "needs a name"),
            ("import-image.sh", self.engine.root, ["absent/disk.raw"], "make it with deploy/build-image.sh absent"),
            ("import-image.sh", self.engine.root, [__file__], "EC2 needs the role vmimport"),
        ]:
            with self.subTest(f"{script} {arguments}"):
                output, code = self.checkout.run(script, variables, *arguments)
                self.assertNotEqual(code, 0, output)
                self.assertIn(advice, output)
