#!/usr/bin/env bash
# Builds squares.sif (about 1 MB) without a network: a statically linked busybox (Debian: busybox-static) is the system.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/root/{bin,etc,proc,sys,dev,tmp,var/tmp,input,distribute_save,work-area}
cp "$(command -v busybox)" "$work/root/bin/busybox"
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$work/root/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$work/root/etc/passwd"
cp squares.def "$work"
image=$PWD/squares.sif
cd "$work"
# Root inside a container lacks capabilities that a build as root asks for; in a user namespace of its own it has them.
if [ "$(id -u)" = 0 ]; then unshare -r apptainer build --force "$image" squares.def; else apptainer build --force "$image" squares.def; fi
