"""The stack, made on an engine by deploy.sh itself: from a copy of deploy/, beside stand-ins for the two programs."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

from engines import ROOT

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
    "ThumbnailFit=contain",
    "UploadsPerFiveMinutes=100",
    "WorkerMin=0",
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


class Checkout:
    """A directory with what deploy.sh needs. Its cargo "builds" the stand-ins, so that no test waits for a release build."""

    def __init__(self, without=()):
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name)
        (self.path / "deploy").mkdir()
        for script in ["deploy.sh", "destroy.sh", "import-image.sh", "aws.sh"]:
            shutil.copy(ROOT / "deploy" / script, self.path / "deploy")
        (self.path / "deploy/template.yaml").write_text(template(without))
        shutil.copytree(ROOT / "init", self.path / "init")
        cargo = self.path / "bin/cargo"
        cargo.parent.mkdir()
        release = self.path / "target/x86_64-unknown-linux-gnu/release"
        cargo.write_text(
            f'#!/bin/sh -e\necho "cargo $*"\ntest "$PWD" = {self.path}\nmkdir -p {release}\n'
            f"for name in server worker; do printf '#!/bin/sh\\necho '$name'\\n' >{release}/$name; done\n"
        )
        cargo.chmod(0o755)
        self.release = release

    def run(self, script, variables, *arguments):
        """Both outputs of a script, and the exit code."""
        done = subprocess.run(
            [self.path / "deploy" / script, *arguments],
            env={**os.environ, **variables, "PATH": f"{self.path / 'bin'}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.stdout, done.returncode

    def close(self):
        self.directory.cleanup()
