#!/bin/sh
# What is promised of the release binaries on Linux: fully static, under 6 MB, and each at work in a root directory that holds
# nothing but itself, /etc/resolv.conf, /etc/hosts and a trap: /etc/nsswitch.conf names a module for host names
# and users that ends every program that loads it. Run it after `cargo build --release`; chroot and port 53 need root.
set -eu
cd "$(dirname "$0")/../.."
host=$(rustc -vV | sed -n 's/^host: //p')
binaries=target/$host/release
root=$(mktemp -d)
server=
name_server=
# shellcheck disable=SC2086 # they are numbers, or nothing
trap 'test -z "$server$name_server" || kill $server $name_server 2>/dev/null || true; rm -rf "$root"' EXIT

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
cp "$binaries/server" "$binaries/worker" "$root/"
printf '127.0.0.1 store.example\n' >"$root/etc/hosts"
printf 'nameserver 127.0.0.77\noptions ndots:2\nsearch none.example\n' >"$root/etc/resolv.conf"

# The trap, wherever glibc looks for modules.
printf 'hosts: crash files dns\npasswd: crash files\n' >"$root/etc/nsswitch.conf"
echo '__attribute__((constructor)) static void crash(void) { __builtin_trap(); }' >"$root/crash.c"
triplet=$(gcc -print-multiarch)
for directory in lib lib64 usr/lib usr/lib64 "lib/$triplet" "usr/lib/$triplet"; do
    mkdir -p "$root/$directory"
    gcc -shared -fPIC -nostdlib -o "$root/$directory/libnss_crash.so.2" "$root/crash.c"
done
# It catches a static program that asks glibc. (The shell's word about the crash goes nowhere.)
cat >"$root/asks_glibc.c" <<'END'
#include <netdb.h>
#include <stddef.h>
int main(void) {
    struct addrinfo *found;
    return getaddrinfo("store.example", "80", NULL, &found) != 0;
}
END
gcc -static -w -o "$root/asks_glibc" "$root/asks_glibc.c" 2>/dev/null
status=0
(chroot "$root" /asks_glibc) 2>/dev/null || status=$?
test "$status" -gt 128 || fail "a program that asks glibc for a name ended with status $status: the trap does not work"

# A name server that knows one name, and answers 127.0.0.1.
python3 - <<'END' &
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.77", 53))
while True:
    asked, client = server.recvfrom(512)
    name, kind = asked[12:-4], asked[-4:-2]
    known = name == b"\x05queue\x07example\x00"
    addresses = [b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"] if known and kind == b"\x00\x01" else []
    flags = b"\x81\x80" if known else b"\x81\x83"
    head = asked[:2] + flags + b"\x00\x01" + len(addresses).to_bytes(2, "big") + b"\x00\x00\x00\x00"
    server.sendto(head + asked[12:] + b"".join(addresses), client)
END
name_server=$!

# The server, with uploads, thumbnails and downloads.
env -i PATH="$PATH" LISTEN=localhost:0 chroot "$root" /server --local /data 2>"$root/log" &
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

# Both, as far as two names, one in the hosts file and one in DNS, and a port where nobody listens.
for name in server worker; do
    output=$(env -i PATH="$PATH" IMAGES_BUCKET=images JOBS_QUEUE_URL=http://queue.example:9/1/jobs PUBLIC_URL=http://localhost \
        AWS_ENDPOINT_URL_S3=http://store.example:9 AWS_ENDPOINT_URL_SQS=http://queue.example:9 \
        AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b chroot "$root" "/$name" --check || true)
    case $output in
    *"onnection refused"*store.example*"onnection refused"*queue.example*) ;;
    *) fail "$name --check could not look up store.example or queue.example: $output" ;;
    esac
done
echo "both work in a root directory of their own, and load nothing from it"
