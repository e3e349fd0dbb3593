#!/bin/sh
# Deletes all that deploy.sh made except the bucket of images. The images belong to people: decide yourself whether they may go.
set -eu
. "$(dirname "$0")/aws.sh"

stack=my-little-image-sharer dry=''
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry=yes ;;
    --stack) stack=${2:?"--stack needs a name"} && shift ;;
    *) fail "deploy/destroy.sh [--dry-run] [--stack NAME]" ;;
    esac
    shift
done

# deploy.sh makes the bucket of binaries before the stack, so there may be no more than that.
binaries=$stack-$(ask ACCOUNT sts get-caller-identity --query Account)-$region
there=''
[ -z "$dry" ] && ! aws s3api head-bucket --bucket "$binaries" >/dev/null 2>&1 || there=yes

images=$(ask IMAGES cloudformation list-stack-resources --stack-name "$stack" \
    --query 'StackResourceSummaries[?LogicalResourceId==`Images` && ResourceStatus!=`DELETE_COMPLETE`].PhysicalResourceId') ||
    [ -n "$there" ] || exit 1
run cloudformation delete-stack --stack-name "$stack"
run cloudformation wait stack-delete-complete --stack-name "$stack" ||
    fail "See why: aws cloudformation describe-stack-events --stack-name $stack. Correct it and try again."
[ -z "$there" ] || run s3 rb --force "s3://$binaries"
[ -z "$images" ] || echo "The images are kept. To delete them for ever: aws s3 rb --force s3://$images"
