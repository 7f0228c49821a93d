#!/usr/bin/env bash
# What mallopt answers to values above those that its manual names, and to numbers that are no parameter.
#
# Software   glibc 2.36-9+deb12u14 (Debian 12); its manual page is mallopt(3) of man-pages 6.03
# Guess      M_MMAP_THRESHOLD has an upper limit of 32 MiB, says the page, and above it mallopt gives 0; so it does for a number
#            that is no parameter
# Behaviour  both give 1. The threshold is taken: with 128 MiB, a block of 100 MiB lies in the heap, and not in a mapping of its own
# Met by     who tells by the result whether a setting has been taken, and who replaces malloc, and wants to refuse what glibc refuses
#
# Status 0: all of it is still so; 1: something has changed, and is said.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

apt-get -q download libc6=2.36-9+deb12u14 >download.log 2>&1 || { cat download.log && exit 2; }
dpkg-deb -x ./*.deb root
libraries=$work/root/lib/x86_64-linux-gnu
cat >main.c <<'C'
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    printf("glibc %s\n", gnu_get_libc_version());
    printf("M_MMAP_THRESHOLD, 128 MiB: %d\n", mallopt(M_MMAP_THRESHOLD, 128 << 20));
    void *volatile block = malloc(100 << 20);
    struct mallinfo2 info = mallinfo2();
    printf("a block of 100 MiB: %s\n", info.hblkhd == 0 && info.arena > 100 << 20 ? "in the heap" : "in a mapping of its own");
    printf("the parameter 12345: %d\n", mallopt(12345, 1));
    free(block);
    return 0;
}
C
gcc -O1 main.c -o main
"$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" ./main | tee seen
cat >wanted <<'END'
glibc 2.36
M_MMAP_THRESHOLD, 128 MiB: 1
a block of 100 MiB: in the heap
the parameter 12345: 1
END
diff wanted seen || { echo "changed" && exit 1; }
echo "as it was"
