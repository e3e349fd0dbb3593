"""The stack, made on an engine by deploy.sh itself: from a copy of deploy/, beside stand-ins for the two programs."""

import contextlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import yaml

from engines import REGION, ROOT

NAME = "image-sharer-test"

# What ministack cannot make, and what it says of it. test_deploy proves that the list is right; all else is made.
NOT_ON_THE_ENGINE = {
    "FailedUploads": "metric math",
    "JobsWithoutWorker": "metric math",
    "UploadLimitHere": "AWS::WAFv2::WebACLAssociation",
}

# Every condition of the template that can be true at once.
EVERYTHING = [
    "AlarmEmail=somebody@example.com",
    "CertificateArn=arn:aws:acm:us-east-1:000000000000:certificate/11111111-2222-3333-4444-555555555555",
    "MaxPixels=1000000",
    "ScaleOn=both",
    "SystemsManager=on",
    "ThumbnailFit=contain",
    "UploadsPerFiveMinutes=100",
    "WorkerMin=0",
    "WorkerSecondType=t3a.micro",
]


def template(without=()):
    """The template's text without some of its resources."""
    text = (ROOT / "deploy/template.yaml").read_text()
    for name in without:
        text, found = re.subn(rf"^  {name}:\n(?:    .*\n|\n)+", "", text, flags=re.MULTILINE)
        assert found == 1, name
    return text


def parsed():
    """The template as data, its intrinsic functions as one-key dictionaries of their short names."""

    def intrinsic(loader, tag, node):
        if isinstance(node, yaml.ScalarNode):
            return {tag: loader.construct_scalar(node)}
        if isinstance(node, yaml.SequenceNode):
            return {tag: loader.construct_sequence(node, deep=True)}
        return {tag: loader.construct_mapping(node, deep=True)}

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", intrinsic)
    return yaml.load(template(), Loader)


def start_servers(engine, region=REGION):
    """Registers a target wherever there is a target group, which the engine then calls healthy: it starts no instance that would
    be one. Returns what ends it."""
    ended, elb = threading.Event(), engine.client("elbv2", region=region)

    def register():
        while not ended.wait(0.2):
            for group in elb.describe_target_groups()["TargetGroups"]:
                with contextlib.suppress(elb.exceptions.TargetGroupNotFoundException):  # it has just gone
                    elb.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": "i-0123456789abcdef0"}])

    thread = threading.Thread(target=register, daemon=True)
    thread.start()

    def end():
        ended.set()
        thread.join()

    return end


MACHINE = platform.machine()


class Checkout:
    """A directory with what deploy.sh needs. Its cargo "builds" the stand-ins, so that no test waits for a release build."""

    def __init__(self, without=(), machine=MACHINE):
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name)
        (self.path / "deploy").mkdir()
        for script in ["deploy.sh", "destroy.sh", "import-image.sh", "aws.sh"]:
            shutil.copy(ROOT / "deploy" / script, self.path / "deploy")
        (self.path / "deploy/template.yaml").write_text(template(without))
        shutil.copytree(ROOT / "init", self.path / "init")
        self.release = release = self.path / f"target/{machine}-unknown-linux-gnu/release"
        self.command(
            "cargo",
            f'set -e\necho "cargo $*"\ntest "$PWD" = {self.path}\nmkdir -p {release}\n'
            f"for name in server worker; do printf '#!/bin/sh\\necho '$name'\\n' >{release}/$name; done\n",
        )
        self.command("uname", f"echo {machine}\n")
        # The engine takes a second for what the aws command and our scripts look for each half minute.
        self.command("sleep", "")
        (self.path / "bin/sitecustomize.py").write_text(
            "import time\nsleep = time.sleep\ntime.sleep = lambda seconds: sleep(min(seconds, 0.2))\n"
        )
        self.answers = ""
        self.answer("service-quotas", "the engine has none", code=255)

    def command(self, name, script):
        """Puts a command of ours before that of the machine."""
        path = self.path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)

    def answer(self, words, output, code=0):
        """From now on calls of aws that have these words, a pattern, are answered so and asked of nobody. The calls are noted."""
        pattern = words.replace(" ", "' '")
        self.answers = f"*{pattern}*) echo {shlex.quote(output)}; exit {code} ;;\n{self.answers}"
        asked = "PATH=${PATH#*:}\nexec aws \"$@\"\n"
        self.command("aws", f'echo "$*" >>{self.path}/calls\ncase "$*" in\n{self.answers}esac\n{asked}')

    def calls(self, words):
        """Those with these words since this was last asked."""
        calls = (self.path / "calls").read_text().splitlines()
        (self.path / "calls").unlink()
        return [call for call in calls if words in call]

    def run(self, script, variables, *arguments):
        """Both outputs of a script, and the exit code."""
        return self.type(shlex.join([f"deploy/{script}", *map(str, arguments)]), variables)

    def type(self, command, variables):
        """The same of a command of the shell."""
        ours = str(self.path / "bin")
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.path,
            env={**os.environ, **variables, "PATH": f"{ours}:{os.environ['PATH']}", "PYTHONPATH": ours},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.stdout, done.returncode

    def close(self):
        self.directory.cleanup()
