#!/bin/sh
# Makes the files of a release in target/package: an archive with both static binaries and init/, a Debian package, and their
# checksums. It needs GNU tar, and dpkg-deb for the package. The same commit, compiler and maintainer make the same bytes.
#
# The package's maintainer is the person who runs this: set DEBFULLNAME and DEBEMAIL, as for Debian's own tools.
set -eu
cd "$(dirname "$0")/.."
cargo build --locked --release
host=$(rustc -vV | sed -n 's/^host: //p')
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
name=my-little-image-sharer-$version-${host%%-*}
out=$PWD/target/package
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
rm -rf "$out"
umask 022

# The archive: the two programs, init/, which expects them in /usr/local/bin, the documentation and the examples.
mkdir -p "$out/$name/docs"
cp "target/$host/release/server" "target/$host/release/worker" README.md CHANGELOG.md LICENSE "$out/$name/"
cp -r init examples "$out/$name/"
cp docs/*.md docs/*.svg docs/*.png "$out/$name/docs/"
tar --create --file - --directory "$out" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$name" |
    gzip --no-name --best >"$out/$name.tar.gz"

# The package. The programs' names begin with image-sharer, because "server" is not ours alone. Nothing starts until it has
# settings: see docs/OPERATIONS.md.
architecture=$(dpkg --print-architecture)
root=$out/root
papers=$root/usr/share/doc/my-little-image-sharer
mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/usr/lib/systemd/system" "$papers"
# shellcheck disable=SC2174 # only the last directory is to be private
mkdir -p -m 700 "$root/etc/image-sharer" # for the settings; some are secret
cp README.md CHANGELOG.md "$papers/"
cp LICENSE "$papers/copyright"
for role in server worker; do
    cp "$out/$name/$role" "$root/usr/bin/image-sharer-$role"
    # A Debian machine has its settings in /etc, and no user data of an instance.
    sed -e "s|/usr/local/bin/|/usr/bin/image-sharer-|" -e "s|/run/image-sharer/|/etc/image-sharer/|" \
        -e "s| image-sharer-user-data.service||" -e "/^# User data chose/d" \
        "init/$role.service" >"$root/usr/lib/systemd/system/image-sharer-$role.service"
done
cat >"$root/DEBIAN/control" <<CONTROL
Package: my-little-image-sharer
Version: $version
Architecture: $architecture
Section: web
Priority: optional
Maintainer: ${DEBFULLNAME:-built by its user} <${DEBEMAIL:-root@localhost}>
Description: share images with curl
 A server that takes images and a worker that makes their thumbnails, on S3
 and SQS or on one machine. Both are static and depend on nothing.
CONTROL
dpkg-deb --root-owner-group --build "$root" "$out/${name%-*}-$architecture.deb" >/dev/null

rm -rf "$root" "${out:?}/$name"
(cd "$out" && sha256sum ./*.tar.gz ./*.deb >SHA256SUMS && cat SHA256SUMS)
