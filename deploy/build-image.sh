#!/bin/bash
# Makes DIRECTORY/disk.raw, the disk that machines of the service boot from: Debian with a cloud kernel, systemd, the two
# programs and their units, and nothing to log in with. At boot, user data decides which program runs: see init/.
#
# The script mounts nothing and uses no loop device, so it works in a container too. It needs root, for the owners of files.
# The same Debian packages, commit and compiler make the same disk, byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: deploy/build-image.sh DIRECTORY}

for tool in mmdebstrap:mmdebstrap mke2fs:e2fsprogs mkfs.vfat:dosfstools mcopy:mtools sfdisk:fdisk objcopy:binutils \
    systemd-analyze:systemd cargo:rustup /usr/lib/systemd/boot/efi/linuxx64.efi.stub:systemd-boot-efi; do
    command -v "${tool%:*}" >/dev/null || test -e "${tool%:*}" || {
        echo "build-image.sh needs ${tool%:*}: install the package ${tool#*:}" >&2
        exit 1
    }
done
test "$(id -u)" = 0 || { echo "build-image.sh needs root, so that files in the image belong to root" >&2; exit 1; }

# Times and names that would differ from one build to the next come from the last commit, or are set here.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 1700000000)
export SOURCE_DATE_EPOCH E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH
disk_id=6d6c6973-0000-4000-8000-000000000000
esp_id=6d6c6973-0000-4000-8000-000000000001
root_id=6d6c6973-0000-4000-8000-000000000002

# In MiB. The kernel and its initrd take half of the first; Debian and the programs take half of the second.
esp_size=64
root_size=640

cargo build --locked --release
binaries=target/$(rustc -vV | sed -n 's/^host: //p')/release
rm -rf "$out"
mkdir -p "$out"
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

# The files that are added to Debian, at their places in the image.
install -D -m 755 "$binaries/server" "$binaries/worker" -t "$files/usr/local/bin"
install -D -m 644 init/*.service -t "$files/etc/systemd/system"
install -D -m 644 deploy/image/network "$files/etc/systemd/network/10-ec2.network"
install -D -m 644 deploy/image/timesyncd.conf "$files/etc/systemd/timesyncd.conf.d/ec2.conf"
install -D -m 644 deploy/image/journald.conf "$files/etc/systemd/journald.conf.d/volatile.conf"
for service in init/*.service; do
    install -D -m 644 deploy/image/console.conf "$files/etc/systemd/system/$(basename "$service").d/console.conf"
done
install -D -m 644 deploy/image/power-off.conf "$files/etc/systemd/system/image-sharer-user-data.service.d/power-off.conf"
install -D -m 644 deploy/image/initramfs-modules "$files/etc/initramfs-tools/modules"
install -D -m 644 /dev/stdin "$files/etc/initramfs-tools/conf.d/small" <<<$'MODULES=list\nCOMPRESS=zstd'
install -D -m 644 /dev/stdin "$files/etc/fstab" <<<"PARTUUID=$root_id / ext4 noatime 0 1"
# EC2's resolver has the same address in every VPC.
install -D -m 644 /dev/stdin "$files/etc/resolv.conf" <<<'nameserver 169.254.169.253'
install -D -m 644 /dev/stdin "$files/etc/hostname" <<<'image-sharer'
tar --create --owner=0 --group=0 --sort=name --mtime="@$SOURCE_DATE_EPOCH" --directory "$files" --file "$files.tar" .
trap 'rm -rf "$files" "$files.tar"' EXIT

# dbus and libpam-systemd are for the power button, by which EC2 asks a machine to stop.
mmdebstrap --variant=minbase --mode=root \
    --include=systemd,systemd-sysv,systemd-timesyncd,udev,dbus,libpam-systemd,linux-image-cloud-amd64 \
    --aptopt='Apt::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/lib/modules/*/kernel/sound/*' \
    --essential-hook="tar --directory \"\$1\" --keep-directory-symlink --extract --file '$files.tar'" \
    --customize-hook='systemctl --root="$1" enable systemd-networkd image-sharer-user-data worker server' \
    --customize-hook='systemctl --root="$1" mask getty@tty1 serial-getty@ttyS0 getty-static apt-daily.timer \
        apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap fstrim.timer systemd-networkd-wait-online' \
    --customize-hook='systemd-analyze --root="$1" --man=no verify image-sharer-user-data.service worker.service server.service' \
    --customize-hook='echo "root:*" | chroot "$1" chpasswd --encrypted' \
    --customize-hook=': >"$1/etc/machine-id"' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/cache/ldconfig/* "$1"/var/log/*' \
    bookworm "$out/root.tar"

mkdir "$out/root"
tar --directory "$out/root" --extract --file "$out/root.tar"
kernel=$(echo "$out"/root/boot/vmlinuz-*)
initrd=$(echo "$out"/root/boot/initrd.img-*)

# The firmware starts one file, which holds kernel, initrd and command line (UAPI Group, "Unified Kernel Image").
echo "root=PARTUUID=$root_id rw console=tty0 console=ttyS0 net.ifnames=0 quiet" >"$out/cmdline"
objcopy \
    --add-section .osrel="$out/root/usr/lib/os-release" --change-section-vma .osrel=0x20000 \
    --add-section .cmdline="$out/cmdline" --change-section-vma .cmdline=0x30000 \
    --add-section .linux="$kernel" --change-section-vma .linux=0x2000000 \
    --add-section .initrd="$initrd" --change-section-vma .initrd=0x4000000 \
    /usr/lib/systemd/boot/efi/linuxx64.efi.stub "$out/BOOTX64.EFI"
# Byte 60 points to a header. The time of linking is at its byte 8, and a checksum that includes it at byte 88; no firmware reads
# either (Microsoft PE Format, "COFF File Header" and "Optional Header").
coff=$(od --address-radix=n --format=u4 --skip-bytes=60 --read-bytes=4 "$out/BOOTX64.EFI")
for field in 8 88; do
    dd if=/dev/zero of="$out/BOOTX64.EFI" bs=1 seek=$((coff + field)) count=4 conv=notrunc status=none
done
touch --date="@$SOURCE_DATE_EPOCH" "$out/BOOTX64.EFI"
rm -rf "$out"/root/boot/* "$out"/root/vmlinuz* "$out"/root/initrd.img*
touch --date="@$SOURCE_DATE_EPOCH" "$out/root" "$out/root/boot"

truncate -s ${esp_size}M "$out/esp.img"
mkfs.vfat --invariant -i 6d6c6973 -n ESP "$out/esp.img" >/dev/null
mmd -i "$out/esp.img" ::/EFI ::/EFI/BOOT
mcopy -m -i "$out/esp.img" "$out/BOOTX64.EFI" ::/EFI/BOOT/BOOTX64.EFI
mke2fs -q -t ext4 -L root -U $root_id -E hash_seed=$root_id,root_owner=0:0 -d "$out/root" "$out/root.img" ${root_size}M
# mke2fs takes an inode's times of change and access from the files here. The first ten inodes are its own, except the root's, 2.
inodes=$(dumpe2fs -h "$out/root.img" 2>/dev/null |
    awk -F: '/^Inode count/ {all = $2} /^Free inodes/ {free = $2} END {print all - free}')
for inode in 2 $(seq 11 "$inodes"); do
    echo "set_inode_field <$inode> ctime @$SOURCE_DATE_EPOCH"
    echo "set_inode_field <$inode> atime @$SOURCE_DATE_EPOCH"
done >"$out/times"
debugfs -w -f "$out/times" "$out/root.img" >/dev/null 2>&1

truncate -s $((1 + esp_size + root_size + 1))M "$out/disk.raw"
sfdisk --quiet "$out/disk.raw" <<PARTITIONS
label: gpt
label-id: $disk_id
start=1MiB, size=${esp_size}MiB, type=uefi, uuid=$esp_id, name=ESP
size=${root_size}MiB, type=linux, uuid=$root_id, name=root
PARTITIONS
dd if="$out/esp.img" of="$out/disk.raw" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$out/root.img" of="$out/disk.raw" bs=1M seek=$((1 + esp_size)) conv=notrunc,sparse status=none

rm -rf "$out/root" "$out/root.tar" "$out/root.img" "$out/esp.img" "$out/BOOTX64.EFI" "$out/cmdline" "$out/times"
du --block-size=1M "$out/disk.raw"
