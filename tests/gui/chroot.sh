#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up a folder with a whole small Debian in it, and windowed Blender: chroot.sh SUITE FOLDER
# python3-venv: Debian's Python cannot make an environment without it; Blender's own can.
# trixie has Blender 4.3, sid 5.2. Needs root and a Debian; five minutes and 2 GB. Done once; says so with FOLDER/ready.
set -euo pipefail
suite=$1 folder=$2
[ -e "$folder/ready" ] && exit 0
[ "$(id -u)" = 0 ] || { echo "windowed Blender is set up in a chroot, which only root can make" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
tools=(debootstrap xvfb xdotool tesseract-ocr tesseract-ocr-eng)
dpkg -s "${tools[@]}" >/dev/null 2>&1 || { apt-get update -qq; apt-get install -y -qq --no-install-recommends "${tools[@]}"; }
mirror=$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
if grep -q " $(realpath -m "$folder")/" /proc/self/mountinfo; then
  echo "something is still mounted below $folder: umount it first" >&2
  exit 1
fi
rm -rf --one-file-system "$folder"
mkdir -p "$folder"
debootstrap --variant=minbase --include=ca-certificates "$suite" "$folder" "${mirror:-http://deb.debian.org/debian}" \
  >"$folder.log"
cp /etc/resolv.conf "$folder/etc/"
for settings in /etc/apt/apt.conf.d/99*; do # a proxy, if this machine needs one
  [ -e "$settings" ] && cp "$settings" "$folder/etc/apt/apt.conf.d/"
done
trap 'umount -l "$folder/proc" "$folder/dev" 2>/dev/null || true' EXIT
mount --bind /proc "$folder/proc"
mount --bind /dev "$folder/dev"
chroot "$folder" sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends blender python3-cattr \
  python3-requests python3-numpy python3-venv libgl1 libegl1 libgl1-mesa-dri' >>"$folder.log" 2>&1
touch "$folder/ready"
