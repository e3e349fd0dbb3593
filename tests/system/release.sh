#!/bin/sh
# What is promised of the release binaries on Linux: fully static, under 6 MB, and each at work in a root directory that holds
# nothing but itself, /etc/resolv.conf and /etc/hosts. Run it after `cargo build --release`; chroot needs root.
set -eu
cd "$(dirname "$0")/../.."
host=$(rustc -vV | sed -n 's/^host: //p')
binaries=target/$host/release
root=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null || true; rm -rf "$root"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

for name in server worker; do
    binary=$binaries/$name
    # ldd says so on standard error, and fails, of a static binary.
    linkage=$(ldd "$binary" 2>&1 || true)
    case $linkage in
    *"not a dynamic executable"* | *"statically linked"*) ;;
    *) fail "$binary is not static: $linkage" ;;
    esac
    if readelf -d "$binary" 2>/dev/null | grep -q NEEDED; then fail "$binary needs shared libraries"; fi
    bytes=$(wc -c <"$binary")
    test "$bytes" -lt 6000000 || fail "$binary has $bytes bytes"
    echo "$name: static, $bytes bytes"
done

test "$(id -u)" = 0 || fail "the rest needs root, for chroot"
mkdir "$root/etc"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp "$binaries/server" "$binaries/worker" "$root/"

# The server, with uploads, thumbnails and downloads.
env -i PATH="$PATH" LISTEN=127.0.0.1:0 chroot "$root" /server --local /data 2>"$root/log" &
server=$!
address=
for _ in $(seq 100); do
    address=$(sed -n 's/.*serving address=\([^ ]*\).*/\1/p' "$root/log")
    test -z "$address" || break
    sleep 0.1
done
test -n "$address" || fail "the server did not start: $(cat "$root/log")"
# A GIF of one pixel.
printf 'GIF89a\001\000\001\000\200\000\000\377\000\000\000\000\000,\000\000\000\000\001\000\001\000\000\002\002D\001\000;' >"$root/dot.gif"
small=$(curl -sS --fail -F "image=@$root/dot.gif" -H 'Accept: application/json' "http://$address/" |
    sed 's/.*"small":"\([^"]*\)".*/\1/')
curl -sS --fail --retry 50 --retry-delay 1 --retry-all-errors -o "$root/small" "$small" 2>/dev/null || fail "$small does not answer"
kill "$server"
wait "$server" || fail "the server did not drain: $(cat "$root/log")"
server=

# The worker, as far as a name that must be looked up and a port where nobody listens.
output=$(env -i PATH="$PATH" IMAGES_BUCKET=images JOBS_QUEUE_URL=http://localhost:9/1/jobs AWS_ENDPOINT_URL=http://localhost:9 \
    AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b chroot "$root" /worker --check || true)
case $output in
*"onnection refused"*"onnection refused"*) ;;
*) fail "the worker could not look up localhost: $output" ;;
esac
echo "both work in a root directory of their own"
