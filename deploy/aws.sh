# shellcheck shell=sh
# Shared by deploy.sh, destroy.sh and import-image.sh: how --dry-run (in $dry) works, and the region.

fail() {
    echo "$*" >&2
    exit 1
}

# Runs an aws command, or prints it.
run() {
    if [ -n "$dry" ]; then echo "aws $*"; else aws "$@"; fi
}

# Runs an aws command and prints its answer. With --dry-run it prints its first argument as the answer, and the command on
# standard error.
ask() {
    if [ -n "$dry" ]; then
        echo "$1"
        shift
        echo "aws $*" >&2
    else
        shift
        aws "$@" --output text
    fi
}

command -v aws >/dev/null || fail "The aws command is not there: see https://docs.aws.amazon.com/cli/ or pip install awscli."
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || fail "No region is set: export AWS_REGION, such as eu-central-1, or run aws configure."
export AWS_REGION="$region" AWS_DEFAULT_REGION="$region" # version 1 of the command reads the second
