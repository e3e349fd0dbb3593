#!/bin/sh
# Creates or updates the service as one CloudFormation stack in the default VPC. It needs the aws command with credentials and a
# region, and cargo if the programs have not been built.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
. "$here/aws.sh"

usage="\
deploy/deploy.sh [--dry-run] [--image-id ami-...] [--stack NAME] [PARAMETER=VALUE ...]

    --dry-run    prints the aws commands and runs none
    --image-id   starts from a baked image; without it, from Amazon Linux and the programs in target/, built if absent
    --stack      the stack's name, in lower case, digits and hyphens; my-little-image-sharer unless given

The parameters are those of deploy/template.yaml. At an update, parameters you omit keep their value.
Give --image-id each time."

stack=my-little-image-sharer image='' dry=''
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry=yes ;;
    --image-id) image=${2:?"--image-id needs an id, such as ami-..."} && shift ;;
    --stack) stack=${2:?"--stack needs a name"} && shift ;;
    --help) echo "$usage" && exit ;;
    [A-Z]*=*) break ;;
    *) fail "$1 is not known here.

$usage" ;;
    esac
    shift
done

# The type of the stack's servers, or nothing if there is no stack yet.
made=$([ -n "$dry" ] || aws cloudformation describe-stacks --stack-name "$stack" --output text \
    --query 'Stacks[0].Parameters[?ParameterKey==`ServerType`].ParameterValue' 2>/dev/null) || true
[ "$made" != None ] || made='' # a stack that is only planned

vpc=$(ask VPC ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId')
[ "$vpc" != None ] || fail "There is no default VPC in $region: make one with aws ec2 create-default-vpc, or take another region."
# Two subnets: the load balancer needs two, and pays for an address in each.
subnets=$(ask SUBNETS ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" Name=default-for-az,Values=true \
    --query 'join(`,`, sort_by(Subnets, &AvailabilityZone)[:2].SubnetId)')
set -- "VpcId=$vpc" "Subnets=$subnets" "$@"

if [ -n "$image" ]; then
    set -- "ImageId=$image" "$@" # Binaries keeps its value
else
    # A build runs on machines of the same processor.
    case $(uname -m) in
    x86_64 | amd64) processor=x86_64 architecture=x86_64 type=t3.micro ;;
    aarch64 | arm64) processor=aarch64 architecture=arm64 type=t4g.micro ;;
    *) fail "EC2 has no machines like this one, a $(uname -m): build on another, or give a baked --image-id." ;;
    esac
    case $made" $*" in
    ' '*) set -- "ServerType=$type" "WorkerType=$type" "$@" ;;
    *" ServerType="*" WorkerType="* | *" WorkerType="*" ServerType="*) ;; # both are chosen
    *)
        case $(aws ec2 describe-instance-types --instance-types "$made" --output text \
            --query 'InstanceTypes[0].ProcessorInfo.SupportedArchitectures') in
        *"$architecture"*) ;;
        *) fail "\
The stack's machines, such as $made, are not $architecture, as this one is. Deploy from one that is like them, or change
all of them: add ServerType=$type WorkerType=$type, or larger ones." ;;
        esac
        ;;
    esac
    set -- "AmazonLinux=/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-$architecture" "$@"

    built() { find "$root/target/$processor"-*-linux-*/release -maxdepth 1 -name "$1" 2>/dev/null | head -n 1; }
    [ -n "$(built server)" ] && [ -n "$(built worker)" ] || (cd "$root" && cargo build --locked --release)
    server=$(built server) worker=$(built worker)
    [ -n "$server" ] && [ -n "$worker" ] || fail "These are no programs for Linux: build there, or give a baked --image-id."

    # The programs and their units, at their places under / on Amazon Linux. The tarball's name comes from its bytes: the same
    # files have the same name, and other files have another name, which makes an update replace the instances.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    install -D -m 755 -t "$work/files/usr/local/bin" "$server" "$worker"
    install -D -m 644 -t "$work/files/etc/systemd/system" "$root"/init/*.service
    tar -C "$work/files" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=go-w -c . | gzip -n >"$work/tarball"
    bucket=$stack-$(ask ACCOUNT sts get-caller-identity --query Account)-$region
    binaries=s3://$bucket/$(sha256sum "$work/tarball" | cut -c 1-16).tar.gz
    [ -z "$dry" ] && aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1 || run s3 mb "s3://$bucket"
    run s3 cp --only-show-errors "$work/tarball" "$binaries"
    set -- ImageId= "Binaries=$binaries" "$@"
fi

echo "The first time takes some ten minutes, most of them for CloudFront."
# The capability: the stack makes roles.
run cloudformation deploy --stack-name "$stack" --template-file "$here/template.yaml" --capabilities CAPABILITY_IAM \
    --no-fail-on-empty-changeset --parameter-overrides "$@" ||
    fail "See why: aws cloudformation describe-stack-events --stack-name $stack. A first try that failed is removed by
deploy/destroy.sh --stack $stack, and then made again."

output() {
    ask "$1" cloudformation describe-stacks --stack-name "$stack" --query "Stacks[0].Outputs[?OutputKey==\`$1\`].OutputValue"
}

# Waits until a group's refresh ends, and says how far it is. It fails if the refresh fails, or makes no progress for a quarter of
# an hour: replacing one machine takes five minutes.
follow() {
    tries=60 seen=''
    while [ $tries -gt 0 ]; do
        now=$(ask 'Successful 100' autoscaling describe-instance-refreshes --auto-scaling-group-name "$1" \
            --instance-refresh-ids "$2" \
            --query 'InstanceRefreshes[0].join(`" "`, [Status, to_string(PercentageComplete || `0`)])')
        [ "$now" = "$seen" ] || { echo "    $now %" && tries=60 seen=$now; }
        case $now in
        Successful*) return ;;
        Failed* | Cancelled* | Rollback*) return 1 ;;
        esac
        sleep 15
        tries=$((tries - 1))
    done
    return 1
}

# Replaces a group's machines that differ from the stack. An old machine goes when a new one is healthy: one at a time, or a tenth
# of a large group, because few accounts have room for twice as many. There is no AutoRollback, because it has nothing to go back
# to: the group itself has the new launch template already.
refresh() {
    # The refresh of an earlier deployment may still be trying to start machines that never get healthy.
    if [ -z "$dry" ] && old=$(ask OLD autoscaling cancel-instance-refresh --auto-scaling-group-name "$2" \
        --query InstanceRefreshId 2>/dev/null); then
        echo "An earlier refresh of the $1 is under way, and is cancelled."
        follow "$2" "$old" || true
    fi
    echo "The $1 are replaced, unless nothing is new for them."
    new=$(ask REFRESH autoscaling start-instance-refresh --auto-scaling-group-name "$2" --query InstanceRefreshId \
        --preferences "SkipMatching=true,MinHealthyPercentage=100,MaxHealthyPercentage=110,InstanceWarmup=$3")
    follow "$2" "$new" || fail "\
The $1 could not be replaced. No machine goes before a new one is healthy, so old ones that are left go on working. See why:
    aws autoscaling describe-instance-refreshes --auto-scaling-group-name $2 --max-records 1
    aws autoscaling describe-scaling-activities --auto-scaling-group-name $2 --max-items 5
    aws ec2 get-console-output --latest --output text --instance-id i-... of a machine that is named there
Then correct it, or check the older version out, and deploy again: that cancels this refresh and takes its place."
}

# A new account has 5. The hint needs the right to ask for the quota.
vcpus=$([ -n "$dry" ] || aws service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A \
    --query Quota.Value --output text 2>/dev/null) || true
case ${vcpus%.*} in
[1-7]) echo "\
This account may use ${vcpus%.*} virtual CPUs in $region. Two machines have 4; a third, for an update or a burst, is refused.
Ask for 32: aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-1216C47A --desired-value 32" ;;
esac

# At the first deployment the machines are new. Later the servers come first: a build that does not serve stops there.
if [ -n "$made$dry" ]; then
    refresh servers "$(output ServerGroup)" 180 # longer than the group's grace period, in which no machine counts as unhealthy
    refresh workers "$(output WorkerGroup)" 120 # enough to boot, or to fail and turn itself off
fi
targets=$(output ServerTargets)
run elbv2 wait target-in-service --target-group-arn "$targets" || fail "\
The stack is there, but after ten minutes not all of its servers are healthy. See why:
    aws elbv2 describe-target-health --target-group-arn $targets
    aws ec2 get-console-output --latest --output text --instance-id i-... of a machine that is named there"
run cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs[].[OutputKey,OutputValue]' --output table
