"""What the two roles may do, and what they may not.

The test takes the policies from the roles that deploy.sh has made, and gives them to users, whose keys ministack and moto check
at each call. Then our own server and worker work with these keys.

What this cannot show: that EC2 hands a role to an instance (the trust policy), and that CloudFront alone may read the bucket
(neither engine knows CloudFront as a caller). The engines speak plain HTTP, which the bucket's policy denies: the test
checks that once, and then takes the statement out. The engines also look for sqs:DeleteMessageBatch in a policy, which no policy
can name: at AWS sqs:DeleteMessage is for both (SQS Developer Guide, "Actions and resource reference"). So the users get both.
"""

import json
import re
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from botocore.exceptions import ClientError

import engines
import stack

ID = "0123456789abcdef0123456789abcdef"
GIF = b"GIF89a\1\0\1\0\x80\0\0\xff\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"

# Who, may or not, and what: a call of CALLS with its arguments. ID stands for an image's id.
ROWS = """
server  may     put         images    ID/original.gif
server  may     head        images    ID/original.gif
server  may     delete      images    ID/original.gif
server  may     find-none   images    ID/original.webp
server  may     list        images
server  may     send        jobs
server  may     attributes  jobs
server  may     get         binaries  TARBALL
server  mayn't  put         images    ID/small.gif
server  mayn't  put         images    ID/medium.gif
server  mayn't  put         images    ID/large.gif
server  mayn't  put         images    original.gif
server  mayn't  put         images    index.html
server  mayn't  get         images    ID/small.gif
server  mayn't  delete      images    ID/small.gif
server  mayn't  receive     jobs
server  mayn't  settle      jobs
server  mayn't  hide        jobs
server  mayn't  purge       jobs
server  mayn't  send        dead
server  mayn't  receive     dead
server  mayn't  put         binaries  TARBALL
server  mayn't  get         binaries  other
server  mayn't  list        binaries
server  mayn't  get         other     ID/original.gif
server  mayn't  put         other     ID/original.gif
server  mayn't  delete      other     ID/original.gif
server  mayn't  list        other
server  mayn't  open-up     images
server  mayn't  put-role    server
worker  may     get         images    ID/original.gif
worker  may     find-none   images    ID/original.webp
worker  may     list        images
worker  may     put         images    ID/small.gif
worker  may     put         images    ID/medium.png
worker  may     put         images    ID/large.jpg
worker  may     receive     jobs
worker  may     settle      jobs
worker  may     hide        jobs
worker  may     attributes  jobs
worker  may     get         binaries  TARBALL
worker  mayn't  put         images    ID/original.gif
worker  mayn't  delete      images    ID/original.gif
worker  mayn't  delete      images    ID/small.gif
worker  mayn't  get         images    ID/small.gif
worker  mayn't  put         images    small.gif
worker  mayn't  put         images    ID/small
worker  mayn't  send        jobs
worker  mayn't  purge       jobs
worker  mayn't  receive     dead
worker  mayn't  settle      dead
worker  mayn't  put         binaries  TARBALL
worker  mayn't  get         binaries  other
worker  mayn't  get         other     ID/original.gif
worker  mayn't  put         other     ID/small.gif
worker  mayn't  list        other
worker  mayn't  open-up     images
worker  mayn't  put-role    worker
"""

SERVER = {"PUBLIC_URL": "https://cdn.example", "LISTEN": "127.0.0.1:0"}

EVERYONE = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}}
)

CALLS = {
    "put": lambda do, bucket, key: do("s3").put_object(Bucket=bucket, Key=key, Body=GIF),
    "get": lambda do, bucket, key: do("s3").get_object(Bucket=bucket, Key=key),
    "head": lambda do, bucket, key: do("s3").head_object(Bucket=bucket, Key=key),
    "find-none": lambda do, bucket, key: do("s3").get_object(Bucket=bucket, Key=key),
    "delete": lambda do, bucket, key: do("s3").delete_object(Bucket=bucket, Key=key),
    "list": lambda do, bucket: do("s3").list_objects_v2(Bucket=bucket, MaxKeys=1),
    "open-up": lambda do, bucket: do("s3").put_bucket_policy(Bucket=bucket, Policy=EVERYONE),
    "send": lambda do, queue: do("sqs").send_message(QueueUrl=queue, MessageBody="a job"),
    "receive": lambda do, queue: do("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=0),
    "settle": lambda do, queue: do("sqs").delete_message(QueueUrl=queue, ReceiptHandle=receipt(do, queue)),
    "hide": lambda do, queue: do("sqs").change_message_visibility(
        QueueUrl=queue, ReceiptHandle=receipt(do, queue), VisibilityTimeout=0
    ),
    "purge": lambda do, queue: do("sqs").purge_queue(QueueUrl=queue),
    "attributes": lambda do, queue: do("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"]),
    "put-role": lambda do, role: do("iam").put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=EVERYONE),
}
DENIED = {"AccessDenied", "AccessDeniedException", "AccessDeniedFault", "403"}


def with_batches(policy):
    return re.sub(r'"(sqs:(?:DeleteMessage|ChangeMessageVisibility))"', r'"\1", "\1Batch"', policy)


def receipt(do, queue):
    """Of a message that the administrator has sent and received, so that what is asked is only what a caller may do with it."""
    root = do("sqs", root=True)
    root.send_message(QueueUrl=queue, MessageBody="a job")
    return root.receive_message(QueueUrl=queue)["Messages"][0]["ReceiptHandle"]


class Roles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = engines.ministack()
        cls.addClassCleanup(cls.engine.stop)
        cls.addClassCleanup(stack.start_servers(cls.engine))
        checkout = stack.Checkout(without=stack.NOT_ON_THE_ENGINE)
        cls.addClassCleanup(checkout.close)
        output, code = checkout.run("deploy.sh", cls.engine.root, "--stack", stack.NAME)
        assert code == 0, output
        described = cls.engine.client("cloudformation").describe_stacks(StackName=stack.NAME)["Stacks"][0]
        cls.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        parameters = {given["ParameterKey"]: given.get("ParameterValue") for given in described["Parameters"]}
        cls.binaries, cls.tarball = parameters["Binaries"].removeprefix("s3://").split("/")
        iam = cls.engine.client("iam")
        cls.policies = {}
        for role in iam.list_roles()["Roles"]:
            name = role["RoleName"]
            cls.policies[re.search("Server|Worker", name)[0].lower()] = {
                policy: with_batches(json.dumps(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]))
                for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
            }
            assert role["AssumeRolePolicyDocument"]["Statement"]["Principal"] == {"Service": "ec2.amazonaws.com"}, role
        cls.let_plain_http_in(cls.outputs["Bucket"])
        cls.users = {role: cls.engine.user(role, policies) for role, policies in cls.policies.items()}

    @classmethod
    def let_plain_http_in(cls, bucket):
        s3 = cls.engine.client("s3")
        everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        user = cls.engine.user("plain-http", {"everything": json.dumps(everything)})
        try:
            cls.engine.client("s3", user).list_objects_v2(Bucket=bucket)
            raise AssertionError("the bucket's policy lets plain HTTP in")
        except ClientError as error:
            assert "explicit deny in a resource-based policy" in str(error), error
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        policy["Statement"] = [statement for statement in policy["Statement"] if statement["Sid"] != "TlsOnly"]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    def test_the_table_on_ministack(self):
        self.check_table(self.engine, self.users, self.outputs["Queue"], self.outputs["DeadLetterQueue"])

    def test_the_table_on_moto(self):
        engine = engines.moto()
        self.addCleanup(engine.stop)
        s3, sqs = engine.client("s3"), engine.client("sqs")
        for bucket in [self.outputs["Bucket"], self.binaries]:
            s3.create_bucket(Bucket=bucket)
        queues = [self.outputs["Queue"], self.outputs["DeadLetterQueue"]]
        urls = [sqs.create_queue(QueueName=queue.rsplit("/", 1)[1])["QueueUrl"] for queue in queues]
        users = {role: engine.user(role, policies) for role, policies in self.policies.items()}
        self.check_table(engine, users, *urls)

    def check_table(self, engine, users, jobs, dead):
        s3 = engine.client("s3")
        s3.create_bucket(Bucket="somebody-elses")
        buckets = {"images": self.outputs["Bucket"], "binaries": self.binaries, "other": "somebody-elses"}
        places = {**buckets, "jobs": jobs, "dead": dead}
        for bucket, key in [
            *(("images", f"{ID}/{name}") for name in ["original.gif", "small.gif", "medium.gif", "large.gif"]),
            ("binaries", self.tarball),
            ("binaries", "other"),
            ("other", f"{ID}/original.gif"),
        ]:
            s3.put_object(Bucket=places[bucket], Key=key, Body=GIF)

        rows = [row.split() for row in ROWS.strip().splitlines()]
        wrong = []
        # What is denied first, so that nothing is missing that a wrongly allowed call would find.
        for role, may, call, place, *key in sorted(rows, key=lambda row: row[1] == "may"):
            key = [part.replace("ID", ID).replace("TARBALL", self.tarball) for part in key]

            def do(service, root=False, role=role):
                return engine.client(service, None if root else users[role])

            if [call, may] == ["get", "may"] or call == "head":
                s3.put_object(Bucket=places[place], Key=key[0], Body=GIF)
            answer = self.answer(call, do, places.get(place, place), *key)
            expected = {"mayn't": "denied", "may": "NoSuchKey" if call == "find-none" else "done"}[may]
            if answer != expected:
                wrong.append(f"{role} {call} {place} {' '.join(key)}: {answer}, not {expected}")
        self.assertEqual(wrong, [])
        self.assertGreater(len(rows), 50)

    def answer(self, call, do, *arguments):
        try:
            CALLS[call](do, *arguments)
            return "done"
        except ClientError as error:
            code = error.response["Error"]["Code"]
            return "denied" if code in DENIED else code

    def test_our_programs_at_work(self):
        """An upload and its thumbnails, by programs that hold no other permission than their role's."""
        shared = {"IMAGES_BUCKET": self.outputs["Bucket"], "JOBS_QUEUE_URL": self.outputs["Queue"]}
        environment = {role: {**self.users[role], **shared} for role in ["server", "worker"]}
        self.engine.client("sqs").purge_queue(QueueUrl=shared["JOBS_QUEUE_URL"])  # of what other tests have left
        for name, variables in environment.items():
            variables = {**variables, **SERVER}
            done = subprocess.run([engines.PROGRAMS / name, "--check"], env=variables, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

        urls = self.upload(self.server(environment["server"]))
        done = subprocess.run(
            [engines.PROGRAMS / "worker", "--drain"], env=environment["worker"], capture_output=True, text=True, timeout=120
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("outcome=done", done.stderr)
        s3 = self.engine.client("s3")
        for url in urls.values():
            s3.head_object(Bucket=shared["IMAGES_BUCKET"], Key=url.removeprefix("https://cdn.example/"))

    def start(self, name, environment):
        program = subprocess.Popen([engines.PROGRAMS / name], env=environment, stderr=subprocess.PIPE, text=True)
        self.addCleanup(program.stderr.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def server(self, environment):
        server = self.start("server", {**environment, **SERVER})
        server.address = re.search(r"serving address=(\S+)", server.stderr.readline())[1]
        return server

    def upload(self, server):
        """The four URLs."""
        body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + GIF + b"\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Accept": "application/json"}
        request = urllib.request.Request(f"http://{server.address}/", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            self.assertEqual(response.status, 202)
            return json.load(response)

    def test_each_program_fails_with_the_others_role(self):
        """So it is the role that lets them, and not an engine that lets everybody."""
        shared = {"IMAGES_BUCKET": self.outputs["Bucket"], "JOBS_QUEUE_URL": self.outputs["Queue"]}
        self.engine.client("sqs").send_message(QueueUrl=shared["JOBS_QUEUE_URL"], MessageBody="a job")
        worker = self.start("worker", {**self.users["server"], **shared})
        deadline = time.monotonic() + 60
        lines = []
        while time.monotonic() < deadline and not any("SQS ReceiveMessage" in line for line in lines):
            lines.append(worker.stderr.readline())
        self.assertRegex("".join(lines), "SQS ReceiveMessage.*AccessDenied")

        server = self.server({**self.users["worker"], **shared})
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.upload(server)
        self.assertEqual(refused.exception.code, 503)
        refused.exception.close()
        self.assertRegex(server.stderr.readline(), "unavailable.*S3 PutObject.*AccessDenied")
