"""AWS on this machine: two engines that check signatures and IAM policies, written by different people.

ministack has CloudFormation, EC2, CloudFront and the rest too, so it takes the stack. moto gives a second opinion on the roles.
Neither runs an instance, a load balancer or a scaling policy: they prove what the API would hold, not what would then happen.
"""

import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3

# The directory of the project, and of the programs that deploy/tests/run has built.
ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = next((ROOT / "target").glob("*-linux-*/debug"))
REGION = "us-east-1"
ACCOUNT = "000000000000"  # ministack's; moto can be told
READY_WITHIN_SECONDS = 60


class Engine:
    """A running engine. `root` is an administrator's key, as environment variables."""

    def __init__(self, command, ready_path, root, **environment):
        self.state = tempfile.TemporaryDirectory()
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.root = self.variables(*root)
        self.log = open(f"{self.state.name}/log", "w+")  # noqa: SIM115 - it is open as long as the engine runs
        environment = {name: value.format(port=port, state=self.state.name) for name, value in environment.items()}
        self.process = subprocess.Popen(
            [part.format(port=port) for part in command],
            env={"PATH": os.environ["PATH"], "TMPDIR": self.state.name, **environment},
            stdout=self.log,
            stderr=self.log,
        )
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while not answers(self.endpoint + ready_path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"{command[0]} does not start")
            time.sleep(0.1)

    def variables(self, key_id, secret):
        """For a process that is to use this engine with a key, as the aws command and our programs read them."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self, service, variables=None, region=REGION):
        variables = variables or self.root
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )

    def user(self, name, policies):
        """The variables of a new user who may do what the policies, by name, say and nothing else."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        for policy, document in policies.items():
            iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self.variables(key["AccessKeyId"], key["SecretAccessKey"])

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.state.cleanup()


def ministack():
    key = ("AKIAROOTOFTHETESTS", "root-secret")
    return Engine(
        ["ministack"],
        "/_ministack/ready",
        key,
        BIND_HOST="127.0.0.1",
        MINISTACK_HOST="127.0.0.1",
        GATEWAY_PORT="{port}",
        AUTH="true",
        AWS_ACCESS_KEY_ID=key[0],
        AWS_SECRET_ACCESS_KEY=key[1],
        STATE_DIR="{state}/state",
        S3_DATA_DIR="{state}/s3",
    )


def moto():
    """Checks policies after the switch below, so that the first administrator can be made before it."""
    engine = Engine(
        ["moto_server", "-H", "127.0.0.1", "-p", "{port}"],
        "/moto-api/",
        ("any", "any"),
        MOTO_ACCOUNT_ID=ACCOUNT,
        INITIAL_NO_AUTH_ACTION_COUNT="3",  # the calls of `user` with one policy
    )
    everything = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'
    engine.root = engine.user("administrator", {"everything": everything})
    return engine


def free_port():
    """Below 32768, where Linux does not take ports for outgoing connections from."""
    for offset in range(12_000):
        port = 20_000 + (os.getpid() * 7 + offset) % 12_000
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is free")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
