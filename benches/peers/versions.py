"""Which peers there are, and of which version: the one place to change when a new one comes out.

The first is what all the others are compared with: the best that sharp can be made to do, by hand.
"""

# Key in the code and on the command line: what the tables call it.
PEERS = {
    "sharp": "sharp, pyramid by hand",
    "ours": "ours",
    "sharp3": "sharp, as people call it",
    "pillow-draft": "Pillow, draft",
    "pillow": "Pillow",
    "pyvips": "pyvips",
    "imagemagick": "ImageMagick",
}

SHARP = "sharp@0.35.5"
PYTHON_PACKAGES = ["numpy==2.4.6", "pillow==13.0.0", "pyvips[binary]==3.2.0", "pyvips-binary==8.18.7"]

# Debian's own packages, at whatever version the machine's release of Debian has.
PHOTOGRAPHS = ["lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04"]
IMAGEMAGICK = "imagemagick"

# What benches/service measures our server and worker beside, and the real engine that it does so on as well.
PILLOW = next(package for package in PYTHON_PACKAGES if package.startswith("pillow"))
SERVICE_PYTHON_PACKAGES = ["boto3==1.44.8", "flask==3.1.3", "gunicorn==27.0.1", PILLOW, "roto-aws==0.10.1"]
SERVICE_NODE_PACKAGES = [SHARP, "@aws-sdk/client-s3@3.1175.0", "@aws-sdk/client-sqs@3.1175.0"]
