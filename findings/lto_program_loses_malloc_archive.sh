#!/usr/bin/env bash
# A static allocator linked into a program that gcc optimises at link time.
#
# Software   gcc 12.2 and GNU ld 2.40 (Debian 12), libjemalloc-dev 5.3.0-1
# Guess      `gcc -flto main.c libjemalloc.a` gives the program jemalloc's malloc, as `gcc main.c libjemalloc.a` does
# Behaviour  it gives it libc's, without a word: the compiler does not tell the linker that main.c needs malloc, for it knows malloc as
#            a function of its own, and when code is there that calls it, archives have been searched. `-Wl,-u,malloc` helps
# Met by     who links an allocator statically and switches link-time optimisation on: the program works, on another malloc
#
# Status 0: all of it is still so; 1: something has changed, and is said.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

apt-get -q download libjemalloc-dev=5.3.0-1 >download.log 2>&1 || { cat download.log && exit 2; }
dpkg-deb -x ./*.deb root
archive=$work/root/usr/lib/x86_64-linux-gnu/libjemalloc.a
cat >main.c <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    char *volatile block = malloc((size_t)argc * 100);
    printf("%s: %s\n", argv[0], block != NULL ? "works" : "no memory");
    free(block);
    return 0;
}
C

failed=0
# has WANTED OPTIONS...: whether the program contains a malloc of its own
has() {
    local wanted=$1 found=no
    shift
    gcc -O2 "$@" main.c "${undefined[@]}" "$archive" -pthread -lm -ldl -lstdc++ -o main
    ./main >/dev/null
    nm main >symbols
    ! grep -q ' T malloc$' symbols || found=yes
    printf '%-32s contains a malloc: %s\n' "gcc $* ${undefined[*]}" "$found"
    [ "$found" = "$wanted" ] || { echo "  changed; it was: $wanted" && failed=1; }
}
undefined=()
has yes -fno-lto
has no -flto
undefined=('-Wl,-u,malloc')
has yes -flto
exit "$failed"
