/* The kernel unmaps the place that pages are moved to, or that is mapped anew, and may fail only
 * then. Here a handler of SIGSYS does the same in the kernel's place, at the calls that HAKMEM
 * really makes. The range stays one mapping with one advice. If another thread maps memory into the
 * hole meanwhile, HAKMEM does not write to it, does not map over it, and puts no block there.
 *
 * usage: remapping_fails_half_way_internal move|renew EINVAL|ENOMEM|hole|taken
 *   EINVAL   the call is refused; nothing is unmapped
 *   ENOMEM   the number of mappings is at its limit; nothing is unmapped
 *   hole     the place is unmapped, then the call fails
 *   taken    the same, and another thread has mapped memory there */
#define TEST_LINKED
#include "../process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "../filter.h"
#include "core/spans.h"
#include "verify/heap_check.h"

#define BLOCK    MIB
#define FOREIGN  0x5a
#define NH_LIMIT ((size_t)256 << 20) /* bytes from the range's start, advised against huge pages */

static enum { REFUSED, FULL, HOLE, TAKEN } way;
static unsigned failures;
static char *place; /* what the last failed call was to map */
static size_t place_bytes;

/* The handler's own mmap is not trapped, because it has no MAP_NORESERVE. */
static void at_call(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    bool moves = info->si_syscall == SYS_mremap;
    (void)number;
    failures++;
    place = (char *)registers[moves ? REG_R8 : REG_RDI];
    place_bytes = (size_t)registers[moves ? REG_RDX : REG_RSI];
    registers[REG_RAX] = way == REFUSED ? -EINVAL : -ENOMEM;
    if (way == REFUSED || way == FULL) return;
    CHECK(munmap(place, place_bytes) == 0, "munmap: errno %d", errno);
    if (way == HOLE) return;
    /* As another thread would map memory into the hole. */
    void *got = mmap(place, place_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(got == place, "the place is not free: errno %d", errno);
    memset(got, FOREIGN, place_bytes);
}

/* From here on all mremap calls (`moves`), or all calls that map anew, fail in this way. */
static void fail_from_here_on(bool moves) {
    const struct filter_rule rules[] = {
        {SYS_mmap, 3, MAP_FIXED | MAP_NORESERVE, MAP_FIXED | MAP_NORESERVE, SECCOMP_RET_TRAP},
        {SYS_mremap, 3, MREMAP_FIXED, MREMAP_FIXED, SECCOMP_RET_TRAP},
    };
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = at_call;
    CHECK(sigaction(SIGSYS, &action, NULL) == 0, "sigaction: errno %d", errno);
    filter_install(&rules[moves ? 1 : 0], 1);
}

/* Number of mappings in the 32 MiB behind the range's first SuperSlab. Checks that each is advised
 * against huge pages. */
static size_t mappings_with_advice(void) {
    char line[4096];
    uintptr_t start = (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST + HAK_UNITS_MAX),
              end = start + (32u << 20);
    size_t count = 0;
    bool inside = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL, "no /proc/self/smaps");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, until;
        if (sscanf(line, "%lx-%lx ", &from, &until) == 2) {
            inside = from < end && until > start;
            count += inside;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            CHECK(strstr(line, " nh") != NULL, "a part of the range is not advised: %s", line);
        }
    }
    fclose(maps);
    return count;
}

static bool has_advice(void) {
    return access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
}

/* Grows a block, which must keep its contents. The first block cannot grow in place. */
static void *grow(void) {
    static unsigned number;
    char *block = hak_malloc(BLOCK), *behind = hak_malloc(BLOCK);
    CHECK(block != NULL && behind != NULL, "no blocks");
    memset(block, 7, BLOCK);
    char *longer = hak_realloc(block, 4 * BLOCK);
    CHECK(longer != NULL && (number++ > 0 || longer != block), "%p became %p", (void *)block,
          (void *)longer);
    for (size_t i = 0; i < BLOCK; i++)
        CHECK(longer[i] == 7, "byte %zu is lost", i);
    hak_free(behind);
    return longer;
}

static void use_all_memory(void) {
    static unsigned char *blocks[40];
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        size_t size = (i + 1) * 100000;
        blocks[i] = hak_calloc(1, size);
        CHECK(blocks[i] != NULL, "no block");
        for (size_t at = 0; at < size; at += 61)
            CHECK(blocks[i][at] == 0, "byte %zu of a new block is not zero", at);
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        hak_free(blocks[i]);
    hak_malloc_trim(0);
}

int main(int argc, char **argv) {
    struct hak_heap_check check;
    CHECK(argc == 3,
          "usage: remapping_fails_half_way_internal move|renew EINVAL|ENOMEM|hole|taken");
    const bool moves = strcmp(argv[1], "move") == 0;
    way = strcmp(argv[2], "EINVAL") == 0   ? REFUSED
          : strcmp(argv[2], "ENOMEM") == 0 ? FULL
          : strcmp(argv[2], "hole") == 0   ? HOLE
                                           : TAKEN;
    use_all_memory();
    const size_t before = has_advice() ? mappings_with_advice() : 0;
    void *moved = moves ? NULL : grow(); /* mapped anew when it is freed */
    fail_from_here_on(moves);
    if (moves) moved = grow();
    hak_free(moved);
    CHECK(failures == 1, "%u failures", failures);
    for (int n = 0; n < 8; n++) {
        hak_free(grow());
        use_all_memory();
    }
    CHECK(hak_check_heap(&check), "%zu equations do not hold", check.faults);
    if (way == FULL)
        CHECK(failures > 1 && hak_range_lost() == 0, "%u failures, %zu bytes lost", failures,
              hak_range_lost());
    else if (way != HOLE)
        CHECK(failures == 1, "the system was asked %u times for what it refuses", failures);
    for (size_t i = 0; way == TAKEN && i < place_bytes; i++)
        CHECK(place[i] == FOREIGN, "byte %zu of what another thread has mapped is %#x", i,
              place[i]);
    if (way != TAKEN && (moves || way == HOLE || way == FULL) && has_advice())
        CHECK(mappings_with_advice() <= before, "%zu mappings, then %zu", before,
              mappings_with_advice());
    return test_ok("%u failures", failures);
}
