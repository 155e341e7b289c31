#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: one-object.sh ALL.a OUT.a - joins an archive into one object whose hidden symbols are local, so
# that a program linking libsobre.a sees the public names and nothing else.
set -eu
object=$2.o
ld -r --whole-archive "$1" -o "$object"
objcopy --localize-hidden "$object"
rm -f "$2"
ar rcs "$2" "$object"
rm -f "$object"
