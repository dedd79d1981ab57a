#!/bin/sh
# Assembles the root file system of our images from Debian packages and one Node binary: root-fs.sh FOLDER NODE.
# Runs on Debian 12 (also in the first stage of base.Dockerfile). Nothing is installed on the machine that runs it.
set -eu

folder=$1
node=$(realpath "$2")
# What Node needs (it brings its own certificates and time zones), an init, a shell with small tools, the packet filter of the egress guard.
packages='libc6 libgcc-s1 libstdc++6 tini busybox-static iptables libip4tc2 libip6tc2 libxtables12 libmnl0 libnftnl11'

mkdir -p "$folder"
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
chmod 755 "$downloads"
# shellcheck disable=SC2086 # a list of names
(cd "$downloads" && apt-get -o APT::Sandbox::User=root download $packages >&2)

cd "$folder"
# Debian's merged /usr, as its base-files package makes it.
mkdir -p usr/bin usr/sbin usr/lib usr/lib64 usr/local/bin etc tmp run root var/lib/dpkg/status.d var/lib/iexec-worker proc sys dev
for name in bin sbin lib lib64; do [ -e "$name" ] || ln -s "usr/$name" "$name"; done
for package in "$downloads"/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink \
    --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/lintian' --exclude='./usr/lib/*/gconv' \
    --exclude='./usr/share/doc/*/changelog*' --exclude='./usr/share/gcc' --exclude='./usr/share/gdb'
  # Where scanners look for the packages of an image without dpkg.
  dpkg-deb --field "$package" >"var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done
# busybox calls itself by many names; what a package brought is kept.
for applet in $(./bin/busybox --list); do
  [ -e "usr/bin/$applet" ] || [ -e "usr/sbin/$applet" ] || ln -s busybox "usr/bin/$applet"
done
for flavour in nft legacy; do
  for tool in iptables iptables-save iptables-restore; do
    ln -sf "xtables-$flavour-multi" "usr/sbin/$(echo "$tool" | sed "s/iptables/iptables-$flavour/")"
  done
done
ln -sf xtables-nft-multi usr/sbin/iptables
ln -sf xtables-nft-multi usr/sbin/iptables-restore
install -m 755 "$node" usr/local/bin/node

cat >etc/passwd <<'TEXT'
root:x:0:0:root:/root:/bin/sh
iexec:x:10001:10001:iexec:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/tmp:/bin/false
TEXT
cat >etc/group <<'TEXT'
root:x:0:
iexec:x:10001:
nogroup:x:65534:
TEXT
printf 'hosts: files dns\n' >etc/nsswitch.conf
printf 'PRETTY_NAME="iexec-ts on Debian 12"\nID=debian\nVERSION_ID="12"\n' >etc/os-release
chmod 1777 tmp
chmod 700 root
