#!/bin/sh
# Registers the disk of deploy/build-image.sh as an AMI, and prints its id for deploy/deploy.sh --image-id. It needs the aws
# command with credentials and a region.
#
# EC2 reads the disk from a bucket with a role of the account, vmimport. Make it once, with the trust policy and the policy of
# https://docs.aws.amazon.com/vm-import/latest/userguide/required-permissions.html#vmimport-role. In that
# policy replace amzn-s3-demo-import-bucket by my-little-image-sharer-import-ACCOUNT-REGION, and leave out the lines for an export
# bucket.
set -eu
. "$(dirname "$0")/aws.sh"

dry=''
[ "${1-}" != --dry-run ] || { dry=yes && shift; }
[ $# -eq 1 ] || fail "deploy/import-image.sh [--dry-run] DISK, such as target/image/disk.raw"
disk=$1
[ -f "$disk" ] || fail "There is no $disk: make it with deploy/build-image.sh $(dirname "$disk")."

# The name comes from the disk's bytes, so a disk is not imported twice.
name=my-little-image-sharer-$(sha256sum "$disk" | cut -c 1-16)
known=$(ask None ec2 describe-images --owners self --filters "Name=name,Values=$name" --query 'Images[0].ImageId')
[ "$known" = None ] || { echo "$known" && exit; }

# A bucket for the time of the import. The role's policy names it, so its name is always the same.
bucket=my-little-image-sharer-import-$(ask ACCOUNT sts get-caller-identity --query Account)-$region
ask ROLE iam get-role --role-name vmimport --query Role.RoleName >/dev/null ||
    fail "EC2 needs the role vmimport, to read the disk from the bucket $bucket: the head of import-image.sh says how it is made."
[ -z "$dry" ] && aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1 || run s3 mb "s3://$bucket" >&2
trap 'run s3 rb --force "s3://$bucket" >&2' EXIT
run s3 cp --only-show-errors "$disk" "s3://$bucket/disk.raw" >&2
task=$(ask TASK ec2 import-snapshot --query ImportTaskId \
    --disk-container "Format=RAW,UserBucket={S3Bucket=$bucket,S3Key=disk.raw}")
run ec2 wait snapshot-imported --import-task-ids "$task" >&2 ||
    fail "See why: aws ec2 describe-import-snapshot-tasks --import-task-ids $task"
snapshot=$(ask SNAPSHOT ec2 describe-import-snapshot-tasks --import-task-ids "$task" \
    --query 'ImportSnapshotTasks[0].SnapshotTaskDetail.SnapshotId')
ask ami-… ec2 register-image --name "$name" --query ImageId --architecture x86_64 --virtualization-type hvm \
    --boot-mode uefi --ena-support --imds-support v2.0 --root-device-name /dev/xvda \
    --block-device-mappings "DeviceName=/dev/xvda,Ebs={SnapshotId=$snapshot,VolumeType=gp3}"
