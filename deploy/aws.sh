# shellcheck shell=sh
# What deploy.sh and destroy.sh share: their flag --dry-run, in $dry, and the region.

fail() {
    echo "$*" >&2
    exit 1
}

# Runs an aws command, or prints it.
run() {
    if [ -n "$dry" ]; then echo "aws $*"; else aws "$@"; fi
}

# The same for one whose answer is needed to go on: it is printed, or with --dry-run the first argument in its place.
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
export AWS_REGION="$region" AWS_DEFAULT_REGION="$region" # the second is what version 1 of the command reads
