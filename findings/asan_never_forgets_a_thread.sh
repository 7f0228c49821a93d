#!/usr/bin/env bash
# What AddressSanitizer and ThreadSanitizer keep of threads that have been joined.
#
# Software   AddressSanitizer of Debian's clang 14.0.6 and gcc 12.2.0, ThreadSanitizer of the former; glibc 2.36
# Guess      what a sanitizer keeps of a thread that was joined is bounded, and its quarantine may be set to nothing: a program that
#            starts and joins one thread after the other stays as large as it is
# Behaviour  without a quarantine, AddressSanitizer grows by about 190 bytes for each thread that ever was, ThreadSanitizer by about
#            350; nothing gives them back. With the usual quarantine the first 100 000 threads also cost some 2 KiB each. Without a
#            sanitizer: nothing
# Met by     who looks for a leak by the resident size of an instrumented server that has a thread for each request, and who fuzzes
#            code that starts threads: a fuzzer's limit of 2 GiB is reached within an hour
#
# Status 0: all of it is still so; 1: something has changed, and is said; 2: other versions.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

[[ $(clang-14 --version) == *"14.0.6"* && $(gcc -dumpfullversion) == 12.2.0 ]] || { echo "other compilers" && exit 2; }
cat >main.c <<'C'
#include <pthread.h>
#include <stdio.h>
static void *nothing(void *unused) { return unused; }
static void one_after_the_other(int threads) {
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, nothing, NULL);
        pthread_join(thread, NULL);
    }
}
static long resident_kib(void) {
    char line[200];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &kib);
    fclose(file);
    return kib;
}
int main(void) {
    one_after_the_other(20000);
    long before = resident_kib();
    one_after_the_other(100000);
    printf("%ld\n", (resident_kib() - before) * 1024 / 100000);
    return 0;
}
C
export ASAN_OPTIONS=quarantine_size_mb=0
failed=0
# measure LEAST MOST COMPILER...: bytes that each thread leaves
measure() {
    local least=$1 most=$2 bytes
    shift 2
    "$@" -O1 main.c -o main -pthread
    bytes=$(./main)
    echo "$*: $bytes bytes for each thread that was"
    ((bytes >= least && bytes <= most)) || { echo "changed: was $least to $most" && failed=1; }
}
measure 0 10 clang-14
measure 120 260 clang-14 -fsanitize=address
measure 120 260 gcc -fsanitize=address
measure 250 500 clang-14 -fsanitize=thread
[ "$failed" -eq 0 ] || exit 1
echo "as it was"
