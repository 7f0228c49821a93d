#!/usr/bin/env bash
# dprintf to a file descriptor, in a program that counts its allocations.
#
# Software   glibc 2.36 (Debian 12: libc6 2.36-9+deb12u*)
# Guess      as snprintf it needs no heap, for there is no stream whose buffer would stay
# Behaviour  each call allocates a buffer of the file's block size (4096 bytes for a pipe or a file) and frees it
# Met by     who reports from within malloc, from a hook or a signal handler, and chose dprintf because printf allocates; who tests
#            an allocator and prints between a free and the fault that comes next: the buffer may lie where the block was
#
# Status 0: all of it is still so; 1: something has changed, and is said; 2: another libc.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

[ "$(getconf GNU_LIBC_VERSION 2>/dev/null)" = "glibc 2.36" ] || { echo "not glibc 2.36" && exit 2; }
cat >main.c <<'C'
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
void *__libc_malloc(size_t size);
static int count;
static size_t most;
void *malloc(size_t size) {
    count++;
    if (size > most) most = size;
    return __libc_malloc(size);
}
static void say(const char *what) {
    char line[100];
    int length = snprintf(line, sizeof line, "%s: %d, the largest %zu\n", what, count, most);
    if (write(STDOUT_FILENO, line, (size_t)length) != length) _exit(1);
    count = 0;
    most = 0;
}
int main(void) {
    char text[100];
    count = 0;
    snprintf(text, sizeof text, "%d", 7);
    say("snprintf");
    dprintf(STDERR_FILENO, "%d\n", 7);
    say("the first dprintf");
    dprintf(STDERR_FILENO, "%d\n", 7);
    say("the second one");
    return 0;
}
C
gcc -O1 -fno-builtin main.c -o main
getconf GNU_LIBC_VERSION
./main 2>said | tee seen
cat >wanted <<'END'
snprintf: 0, the largest 0
the first dprintf: 1, the largest 4096
the second one: 1, the largest 4096
END
diff wanted seen || { echo "changed" && exit 1; }
echo "as it was"
