#!/usr/bin/env bash
# mremap of two mappings, of which the second one may not be moved.
#
# Software   Linux 6.18; since 6.17, mremap moves several mappings at once; mseal since 6.10
# Guess      all or nothing: after an error the range is where it was, as with one mapping
# Behaviour  the first mapping has been moved, with what it holds; the second has not; the call answers EPERM. Only by asking
#            what is mapped where does one learn that
# Met by     an allocator whose realloc moves pages, and copies from the old place where that fails: the old place is gone
#
# Status 0: all of it is still so; 1: something has changed, and is said; 2: another kernel.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

release=$(uname -r)
[[ $release =~ ^([0-9]+)\.([0-9]+) ]]
((BASH_REMATCH[1] * 100 + BASH_REMATCH[2] >= 617)) || { echo "Linux $release: mremap takes one mapping at a time" && exit 2; }
cat >main.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
static const char *mapped(char *start, size_t bytes) {
    unsigned char resident[16];
    return mincore(start, bytes, resident) == 0 ? "mapped" : "unmapped";
}
int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int access = PROT_READ | PROT_WRITE, kind = MAP_PRIVATE | MAP_ANONYMOUS;
    char *range = mmap(NULL, 8 * page, access, kind, -1, 0), *place = mmap(NULL, 8 * page, access, kind, -1, 0);
    memset(range, 1, 8 * page);
    if (syscall(SYS_mseal, range + 4 * page, 4 * page, 0UL) != 0) return perror("mseal"), 1;
    void *got = mremap(range, 8 * page, 8 * page, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    printf("mremap: %s\n", got == MAP_FAILED ? strerrorname_np(errno) : "done");
    printf("the first half is %s where it was\n", mapped(range, 4 * page));
    printf("the second half is %s where it was\n", mapped(range + 4 * page, 4 * page));
    printf("the place for the first half holds %d\n", place[0]);
    return 0;
}
C
gcc -O1 main.c -o main
echo "Linux $release"
./main | tee seen
cat >wanted <<'END'
mremap: EPERM
the first half is unmapped where it was
the second half is mapped where it was
the place for the first half holds 1
END
diff wanted seen || { echo "changed" && exit 1; }
echo "as it was"
