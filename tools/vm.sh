# shellcheck shell=bash
# Brings the programs that build and run the virtual machine. Sourced by ./run after tools/docker-engine.sh.

# $1: what for; then pairs of a program and the Debian package that has it.
vm_programs() {
  local what=$1 missing=()
  shift
  while [ $# -gt 0 ]; do
    command -v "$1" >/dev/null || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! is_root || ! is_debian_like; then die "$EX_UNAVAILABLE" "$what needs: apt-get install ${missing[*]}"; fi
  apt_install "${missing[@]}"
}

vm_builder() {
  is_root || die "$EX_UNAVAILABLE" "the files of the virtual machine belong to root: run ./run vm as root"
  vm_programs "the virtual machine" mmdebstrap mmdebstrap qemu-img qemu-utils grub-mkimage grub-common sfdisk fdisk mke2fs e2fsprogs
  [ -f /usr/lib/grub/i386-pc/boot.img ] || vm_programs "the virtual machine" boot.img grub-pc-bin
}

vm_emulator() { vm_programs "running the virtual machine" qemu-system-x86_64 qemu-system-x86 qemu-img qemu-utils; }
