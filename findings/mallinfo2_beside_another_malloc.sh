#!/usr/bin/env bash
# What mallinfo2() and malloc_trim() say where another malloc has been preloaded, or a tool has taken malloc over.
#
# Software   glibc 2.36 with libjemalloc2 5.3.0-1, libmimalloc2.0 2.0.9+ds-2, libtcmalloc-minimal4 2.10-1, valgrind 1:3.19.0-1
#            (Debian 12), and gcc 12's AddressSanitizer
# Guess      who replaces malloc also answers for it: mallinfo2() counts a megabyte that the program has just allocated, as
#            glibc does, at least where malloc_usable_size() is answered by the replacement, too
# Behaviour  mallinfo2() stays glibc's, which knows of no block then: 0 bytes in use, with each of the five, without an error;
#            malloc_trim() tells that there was nothing to give back. malloc_usable_size() is the replacement's
# Met by     programs that watch their own heap by mallinfo2() and are run with another malloc, or under Memcheck
#
# Status 0: all of it is still so; 1: something has changed, and is said.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for package in libjemalloc2=5.3.0-1 libmimalloc2.0=2.0.9+ds-2 libtcmalloc-minimal4=2.10-1 valgrind=1:3.19.0-1; do
    apt-get -q download "$package" >download.log 2>&1 || { cat download.log && exit 2; }
done
for file in ./*.deb; do dpkg-deb -x "$file" root; done

cat >program.c <<'C'
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    char *blocks[1000];
    for (int i = 0; i < 1000; i++) blocks[i] = malloc(1000);
    struct mallinfo2 now = mallinfo2();
    printf("in use: %s; usable: %s; trimmed: %d\n", now.uordblks >= 1000000 ? "a megabyte" : now.uordblks == 0 ? "0" : "else",
           malloc_usable_size(blocks[0]) >= 1000 ? "yes" : "no", malloc_trim(0));
    for (int i = 0; i < 1000; i++) free(blocks[i]);
    return 0;
}
C
gcc -O0 -fno-builtin program.c -o program
gcc -O0 -fno-builtin -fsanitize=address program.c -o sanitized

libraries=$work/root/usr/lib/x86_64-linux-gnu
failed=0
# says EXPECTED NAME COMMAND...
says() {
    local expected=$1 name=$2 output
    shift 2
    output=$("$@" 2>&1) || true
    printf '%-9s %s\n' "$name:" "$output"
    [ "$output" = "$expected" ] || { echo "  changed; it was: $expected" && failed=1; }
}
as_glibc='in use: a megabyte; usable: yes; trimmed: 1'
as_nobody='in use: 0; usable: yes; trimmed: 0'
says "$as_glibc" glibc ./program
says "$as_nobody" jemalloc env LD_PRELOAD="$libraries/libjemalloc.so.2" ./program
says "$as_nobody" mimalloc env LD_PRELOAD="$libraries/libmimalloc.so.2" ./program
says "$as_nobody" tcmalloc env LD_PRELOAD="$libraries/libtcmalloc_minimal.so.4" ./program
says "$as_nobody" memcheck env VALGRIND_LIB="$work/root/usr/libexec/valgrind" "$work/root/usr/bin/valgrind.bin" -q ./program
says "$as_nobody" asan ./sanitized
exit "$failed"
