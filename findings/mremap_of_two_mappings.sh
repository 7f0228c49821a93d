#!/usr/bin/env bash
# mremap of a range that is two mappings to the kernel, such as two parts of one allocation with different advice.
#
# Software   Linux 6.18; since 6.17, mremap moves several mappings at once
# Guess      from 6.17 on, a range of two mappings can be moved, kept or made longer as one mapping can, or else each of these is EFAULT
# Behaviour  moved without a change of length: done. Kept as it is, with the same length and no flag: done, as if it were one. Made
#            longer, in place or to a fixed one: EFAULT; and then the fixed place is still mapped, where older kernels have unmapped
#            it by the time that they say so
# Met by     who grows memory by mremap, and asks first, by a change of length that is none, whether the range is one mapping; and
#            who mends the fixed place after an error
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
#include <unistd.h>
static void say(const char *what, void *got) {
    printf("%s: %s\n", what, got == MAP_FAILED ? strerrorname_np(errno) : "done");
}
int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int access = PROT_READ | PROT_WRITE, kind = MAP_PRIVATE | MAP_ANONYMOUS;
    char *range = mmap(NULL, 64 * page, access, kind, -1, 0), *place = mmap(NULL, 64 * page, access, kind, -1, 0);
    unsigned char resident[16];
    madvise(range + 4 * page, 4 * page, MADV_SEQUENTIAL); /* the other half of eight pages */
    memset(range, 1, 8 * page);
    say("the same length, no flag", mremap(range, 8 * page, 8 * page, 0));
    say("longer, to anywhere", mremap(range, 8 * page, 16 * page, MREMAP_MAYMOVE));
    say("longer, to a fixed place", mremap(range, 8 * page, 16 * page, MREMAP_MAYMOVE | MREMAP_FIXED, place));
    printf("that place is %s\n", mincore(place, 16 * page, resident) == 0 ? "mapped" : "unmapped");
    say("the same length, to a fixed place", mremap(range, 8 * page, 8 * page, MREMAP_MAYMOVE | MREMAP_FIXED, place));
    printf("the last page there holds %d\n", place[7 * page]);
    return 0;
}
C
gcc -O1 main.c -o main
echo "Linux $release"
./main | tee seen
cat >wanted <<'END'
the same length, no flag: done
longer, to anywhere: EFAULT
longer, to a fixed place: EFAULT
that place is mapped
the same length, to a fixed place: done
the last page there holds 1
END
diff wanted seen || { echo "changed" && exit 1; }
echo "as it was"
