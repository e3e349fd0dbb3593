#!/bin/sh
# What deploy/package.sh leaves: whole, at work where it is unpacked, and the same when it is made again.
set -eu
cd "$(dirname "$0")/../.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
packages=target/package
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

deploy/package.sh >"$root/first"
deploy/package.sh >"$root/second"
cmp "$root/first" "$root/second"
(cd "$packages" && sha256sum --check SHA256SUMS)

mkdir "$root/archive" "$root/debian"
tar --extract --file "$packages"/*.tar.gz --directory "$root/archive" --strip-components=1
dpkg-deb --extract "$packages"/*.deb "$root/debian"
for role in server worker; do
    test "$("$root/archive/$role" --version)" = "$role $version"
    unit=$root/debian/usr/lib/systemd/system/image-sharer-$role.service
    test "$("$root/debian$(sed -n 's/^ExecStart=//p' "$unit")" --version)" = "$role $version"
    grep -q "^EnvironmentFile=/etc/image-sharer/$role.env" "$unit"
    test -f "$root/archive/init/$role.service"
done
test "$(stat --format=%a "$root/debian/etc/image-sharer")" = 700
test -f "$root/archive/LICENSE"
