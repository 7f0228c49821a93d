/* Purged memory does not become resident again by huge pages: neither khugepaged nor MADV_COLLAPSE
 * makes a huge page of a region that was purged in part. Once all of the region is in use again,
 * they may.
 *
 * Needs HAKMEM_THP=1. */
#include "verify/tests/test.h"

#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum { BLOCKS = 64 };
static const size_t size = 300000, huge = (size_t)2 << 20;

/* True if the mapping with this address has the flag, a space and two letters as in VmFlags. */
static bool has_flag(const void *address, const char *flag) {
    char line[4096];
    bool inside = false, has = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL, "no /proc/self/smaps");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, until;
        if (sscanf(line, "%lx-%lx ", &from, &until) == 2)
            inside = from <= (uintptr_t)address && (uintptr_t)address < until;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, flag) != NULL;
    }
    fclose(maps);
    return has;
}

static size_t resident(void) {
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm != NULL && fscanf(statm, "%*u %lu", &pages) == 1, "no /proc/self/statm");
    fclose(statm);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Makes huge pages, as khugepaged would in time. Without effect if the kernel has no such call. */
static void collapse(char *const blocks[]) {
    for (size_t i = 0; i < BLOCKS; i++)
        if (blocks[i] != NULL)
            madvise((void *)((uintptr_t)blocks[i] & ~(huge - 1)), huge, MADV_COLLAPSE);
}

int main(void) {
    static char *blocks[BLOCKS];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(size);
            CHECK(blocks[i] != NULL, "no block");
            memset(blocks[i], 1, size);
        }
        CHECK(has_flag(blocks[BLOCKS / 2], " hg"), "no huge page is asked for");
        for (size_t i = 0; i < BLOCKS; i += 2) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
        malloc_trim(0);
        const size_t before = resident();
        collapse(blocks);
        CHECK(resident() <= before + (256 << 10),
              "%zu KiB after the purge, %zu KiB after a collapse", before >> 10, resident() >> 10);
        for (size_t i = 1; i < BLOCKS; i += 2) {
            CHECK(has_flag(blocks[i], " nh"), "block %zu may have huge pages", i);
            free(blocks[i]);
        }
        malloc_trim(0);
        char *whole = malloc(8 * huge);
        CHECK(whole != NULL, "no block");
        memset(whole, 1, 8 * huge);
        CHECK(has_flag(whole + 4 * huge, " hg"), "a region that is used whole has small pages");
        free(whole);
        malloc_trim(0);
    }
    return test_ok("three rounds");
}
