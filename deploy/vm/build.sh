#!/bin/sh
# Builds out/iexec-worker.ova: a Debian with a light desktop, the Docker Engine, gVisor and the worker. Called by ./run vm, which brings the
# programs used here and the bundle of the worker.
#
# As root, since the files of the image belong to root; nothing is mounted and no loop device is used. The packages are kept in .cache/vm:
# remove that folder for newer ones. Repeats nothing when nothing changed.
set -eu
cd "$(dirname "$0")/../.."

SUITE=bookworm
CAPACITY_GIB=40
# For what is written before the first start gives the file system the whole disk.
SPARE_MIB=256
LABEL=iexec-worker
FIRST_SECTOR=2048
SECTOR_BYTES=512

here=deploy/vm
cache=.cache/vm
ova=out/iexec-worker.ova
worker=out/bundles
node=node_modules/node/bin/node

say() { printf 'vm: %s\n' "$*" >&2; }
hash_of() { sha256sum | cut -c1-16; }
packages() { grep -v '^#' $here/packages.txt | grep .; }

mkdir -p "$cache" out
version=$("$node" "$worker/iexec-worker.mjs" --version)
base_key=$({ echo "$SUITE"; packages; } | hash_of)
key=$({
  echo "$base_key"
  cat "$0" $here/iexec-worker.ovf
  "$node" --version
  find $here/files $worker/iexec-worker.mjs $worker/iexec-worker -name '*.map' -prune -o -printf '%p %m %l\n' | sort
  find $here/files $worker/iexec-worker.mjs $worker/iexec-worker -name '*.map' -prune -o -type f -print | sort | xargs sha256sum
} | hash_of)
if [ -f "$ova" ] && [ "$(cat "$ova.key" 2>/dev/null)" = "$key" ]; then
  say "$ova is up to date"
  exit 0
fi

work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
tree=$work/tree

base=$cache/base-$base_key.tar
if [ ! -f "$base" ]; then
  say "installing Debian $SUITE with $(packages | wc -l) packages and what they need"
  rm -f "$cache"/base-*.tar
  # The hooks and their $1 are mmdebstrap's.
  # shellcheck disable=SC2016
  mmdebstrap --mode=root --variant=minbase --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --include="$(packages | paste -sd, -)" \
    --customize-hook='for group in docker sudo systemd-journal autologin; do chroot "$1" groupadd --force $group; done' \
    --customize-hook='chroot "$1" useradd --create-home --shell /bin/bash --groups docker,sudo,systemd-journal,autologin iexec' \
    --customize-hook='echo iexec:iexec | chroot "$1" chpasswd' \
    "$SUITE" "$work/base.tar" \
    "deb http://deb.debian.org/debian $SUITE main" \
    "deb http://deb.debian.org/debian $SUITE-updates main" \
    "deb http://deb.debian.org/debian-security $SUITE-security main" >&2
  mv "$work/base.tar" "$base"
fi

say "adding the worker $version"
mkdir "$tree"
tar -C "$tree" --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*' -xpf "$base"
tar -C $here/files --owner=0 --group=0 --mode='u+rw,go=rX' -c . | tar -C "$tree" --no-overwrite-dir -xp
chmod 0440 "$tree/etc/sudoers.d/iexec-worker"
chmod 0700 "$tree/home/iexec/.ethereum" "$tree/home/iexec/.ethereum/keystore" "$tree/home/iexec/.config"
chmod 0600 "$tree/home/iexec/.ethereum/keystore/wallet.json"
chroot "$tree" chown -hR iexec:iexec /home/iexec
install -D -m 0755 "$node" "$tree/opt/iexec-worker/node"
install -m 0644 "$worker/iexec-worker.mjs" "$tree/opt/iexec-worker/"
mkdir "$tree/opt/iexec-worker/iexec-worker"
find "$worker/iexec-worker" -type f ! -name '*.map' -exec install -m 0644 -t "$tree/opt/iexec-worker/iexec-worker" {} +
enable_unit() {
  mkdir -p "$tree/etc/systemd/system/$2.wants"
  ln -sf "$1" "$tree/etc/systemd/system/$2.wants/"
}
enable_unit /etc/systemd/system/grow-disk.service local-fs.target
enable_unit /lib/systemd/system/nftables.service sysinit.target

# Nothing of the machine that built it, and nothing that two machines must not share.
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*.bin "$tree"/var/log/* "$tree"/tmp/* "$tree"/var/tmp/*
rm -f "$tree"/etc/ssh/ssh_host_* "$tree/var/lib/systemd/random-seed" "$tree/var/lib/dbus/machine-id" "$tree/etc/resolv.conf"
: >"$tree/etc/machine-id"

size_mib=$(($(du -sm "$tree" | cut -f1) * 105 / 100 + SPARE_MIB))
say "writing the disk: ${size_mib} MiB of $CAPACITY_GIB GiB"
disk=$work/disk.raw
truncate -s "${CAPACITY_GIB}G" "$disk"
echo "start=$FIRST_SECTOR, size=$((size_mib * 1024 * 1024 / SECTOR_BYTES)), type=83, bootable" | sfdisk --quiet "$disk"
mke2fs -q -F -t ext4 -L "$LABEL" -d "$tree" -E offset=$((FIRST_SECTOR * SECTOR_BYTES)) "$disk" "${size_mib}M"
rm -rf "$tree"
grub=/usr/lib/grub/i386-pc
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$work/core.img" \
  biosdisk part_msdos ext2 normal linux search search_label configfile boot echo test minicmd
# The boot code of the first sector is what stands before its partition table.
dd if=$grub/boot.img of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$disk" bs=$SECTOR_BYTES seek=1 conv=notrunc status=none

say "packing"
vmdk=iexec-worker-disk1.vmdk
qemu-img convert -f raw -O vmdk -o subformat=streamOptimized "$disk" "$work/$vmdk"
sed -e "s/@DISK@/$vmdk/" -e "s/@DISK_BYTES@/$(stat -c %s "$work/$vmdk")/" -e "s/@CAPACITY_BYTES@/$(stat -c %s "$disk")/" \
  -e "s/@VERSION@/$version/" $here/iexec-worker.ovf >"$work/iexec-worker.ovf"
for file in iexec-worker.ovf "$vmdk"; do
  printf 'SHA256(%s)= %s\n' "$file" "$(sha256sum "$work/$file" | cut -d' ' -f1)"
done >"$work/iexec-worker.mf"
# The description comes first, so that a reader of a stream knows what follows.
tar -C "$work" --format=ustar --owner=0 --group=0 -cf "$ova.partial" iexec-worker.ovf iexec-worker.mf "$vmdk"
mv "$ova.partial" "$ova"
echo "$key" >"$ova.key"
say "$ova: $(($(stat -c %s "$ova") / 1000000)) MB"
