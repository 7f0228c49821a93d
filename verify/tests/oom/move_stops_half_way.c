/* A block grows, and the kernel moves one of its mappings and then refuses the next one, which is
 * sealed (mseal). The block keeps its contents, and the sealed pages are not used for anything
 * else. */
#include "../pattern.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462 /* Linux 6.10 */
#endif

int main(void) {
    const size_t size = (size_t)8 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
    bool sealed = true;
    for (size_t part = 1; part < 8; part++) { /* eighths of the block before the seal */
        char *block = malloc(size), *behind = malloc(size);
        CHECK(block != NULL && behind != NULL, "no blocks");
        pattern_fill(block, size, part);
        char *from = (char *)(((uintptr_t)block + part * size / 8) & ~(page - 1));
        sealed = sealed && syscall(SYS_mseal, from, page, 0UL) == 0;
        block = realloc(block, 2 * size);
        CHECK(block != NULL, "no longer block");
        PATTERN_CHECK(block, size, part);
        pattern_fill(block, 2 * size, part);
        for (size_t i = 0; i < 4; i++) {
            char *other = malloc(size);
            CHECK(other != NULL, "no other block");
            pattern_fill(other, size, 99);
            free(other);
        }
        PATTERN_CHECK(block, 2 * size, part);
        free(behind);
        free(block);
    }
    return test_ok(sealed ? "seven seals" : "no seals: the kernel has none");
}
