/* Policy: an immutable snapshot of all options. A change makes a new snapshot and publishes it with
 * one store. A function on a slow path gets the current snapshot once and uses it until it returns.
 *
 * One table describes the options, which are variables HAKMEM_* of the environment. */
#ifndef HAK_POLICY_H
#define HAK_POLICY_H

#include "core/range.h"
#include "core/size_class.h"

#define HAK_BIGCACHE_MB_MAX 1048576u

/* X(field, name after HAKMEM_, type, default, least, most, text) */
#define HAK_OPTION_TABLE(X)                                                                        \
    X(p0_enable, "TINY_P0_ENABLE", "0 or 1", 1, 0, 1,                                              \
      "1: refill a bin of the thread cache with a batch of blocks; 0: with one block at a "        \
      "time")                                                                                      \
    X(p0_no_drain, "TINY_P0_NO_DRAIN", "0 or 1", 0, 0, 1,                                          \
      "1: collect remote frees only before a new SuperSlab is needed")                             \
    X(p0_log, "TINY_P0_LOG", "0 or 1", 0, 0, 1,                                                    \
      "1: log each batch on stderr, with the change of each counter")                              \
    X(arena_mb_init, "POOL_TLS_ARENA_MB_INIT", "MiB", 1, 1, 64,                                    \
      "first chunk of a thread's arena for blocks of 8 to 52 KiB; rounded down to a power "        \
      "of two")                                                                                    \
    X(arena_mb_max, "POOL_TLS_ARENA_MB_MAX", "MiB", 8, 1, 64,                                      \
      "largest chunk of that arena; rounded down to a power of two")                               \
    X(arena_levels, "POOL_TLS_ARENA_GROWTH_LEVELS", "number", 3, 0, 6,                             \
      "how many times the chunk size may double while the arena grows")                            \
    X(purge_delay_ms, "PURGE_DELAY_MS", "milliseconds", 500, 0, 3600000,                           \
      "how long free memory waits for its next use before it goes back to the system")             \
    X(remote_trim, "REMOTE_TRIM", "0 or 1", 1, 0, 1,                                               \
      "1: running threads also return the free memory of sleeping threads; 0: each thread "        \
      "returns its own")                                                                           \
    X(bigcache_mb, "BIGCACHE_MB", "MiB", 128, 0, HAK_BIGCACHE_MB_MAX,                              \
      "most memory that waits in the cache for large blocks and SuperSlabs; more while a "         \
      "program soon asks again for what did not fit")                                              \
    X(thp, "THP", "0, 1 or 2", 0, 0, 2,                                                            \
      "transparent huge pages. 0: none in the first 256 MiB, above them the kernel's "             \
      "setting; 1: ask for them; 2: ask for none")                                                 \
    X(deepbind, "DEEPBIND", "0 or 1", 0, 0, 1,                                                     \
      "0: libraries are opened without the flag RTLD_DEEPBIND, so that they use the "              \
      "program's malloc; 1: the flag is kept")                                                     \
    X(stats, "STATS", "0 or 1", 0, 0, 1, "1: print statistics on stderr when the program ends")

#define HAK_OPTION_FIELD(field, name, type, standard, least, most, text) uint32_t field;

/* Bounds of a bin's limit and of its carves.
 *
 * The limit begins at limit_min and doubles with each flush of the full bin. If many of the flushed
 * blocks went home to other heaps, it grows to limit_max, so that these blocks go in larger
 * batches. If nearly all were the thread's own, it grows to limit_own, or falls to it, so that
 * these blocks go back to their slabs while the processor's caches still hold them. A refill raises
 * the limit to twice the blocks that it brought, up to limit_max; the next flush takes that back.
 *
 * limit_own <= limit_max. A bin can hold a whole carve: carve_max <= limit_max. A refill takes up
 * to limit_max / 2 blocks from a freelist: limit_max >= 2. */
struct hak_bin_bounds {
    uint16_t limit_min, limit_own, limit_max; /* blocks in the bin */
    uint16_t carve_min, carve_max;            /* blocks of one carve */
};

struct hak_policy {
    HAK_OPTION_TABLE(HAK_OPTION_FIELD)
    /* Set by mallopt alone: */
    uint32_t trim_disabled; /* 1: M_TRIM_THRESHOLD is below 0 */
    uint32_t mmap_disabled; /* 1: M_MMAP_MAX is 0 or below */
    /* M_MMAP_THRESHOLD: freed large blocks of so many bytes or more do not enter the cache;
     * UINT32_MAX: all may. */
    uint32_t uncached_from;
    struct hak_bin_bounds bins[HAK_CLASSES];
};

/* The current snapshot; before hak_policy_init it has the defaults. Any thread. */
const struct hak_policy *hak_policy(void);

/* Reads the options from `environment`, which has the form of environ. Reports each unknown option,
 * and each wrong value, with a line on stderr and goes on; an option with a wrong value keeps its
 * default. Reads nothing in a process with raised rights (hak_os_is_secure). Once, from the
 * library's constructor. */
void hak_policy_init(char *const *environment);

/* Makes `policy` the current snapshot. It must never change again, or be freed. */
void hak_policy_replace(const struct hak_policy *policy);

/* In a child of fork: tells the range again whether memory is kept. A thread of the parent may have
 * changed the policy and not told the range yet. */
void hak_policy_fork_child(void);

/* True if memory is kept: only an explicit trim gives memory back to the system. Freed memory then
 * waits in the range, and not in the cache, out of which it goes by itself. */
static inline bool hak_policy_keeps(const struct hak_policy *policy) {
    return policy->trim_disabled != 0 && policy->mmap_disabled != 0;
}

/* The age, in milliseconds, from which free memory is purged: `wanted`, or UINT32_MAX while memory
 * is kept, because no memory ever reaches that age. */
static inline uint32_t hak_policy_purge_age(const struct hak_policy *policy, uint32_t wanted) {
    return hak_policy_keeps(policy) ? UINT32_MAX : wanted;
}

/* The cache's budget in bytes, here when a heap gives up a SuperSlab. */
static inline size_t hak_policy_cache_bytes(const struct hak_policy *policy) {
    return (size_t)policy->bigcache_mb << 20;
}

/* The same when a large block of `size` bytes is freed; 0: it does not enter the cache. The result
 * says nothing about kept memory: the callers ask the range about it. */
static inline size_t hak_policy_budget(const struct hak_policy *policy, size_t size) {
    bool waits = size < policy->uncached_from || policy->uncached_from == UINT32_MAX ||
                 policy->mmap_disabled != 0;
    return waits ? hak_policy_cache_bytes(policy) : 0;
}

/* Makes a copy of the current snapshot, lets `change` alter it, and makes it the current one;
 * false: no memory. Snapshots are never freed, so equal ones share their memory: a program may call
 * this any number of times. If several threads call this at once, each change is made; `change` may
 * then run more than once. Any thread. */
bool hak_policy_change(void (*change)(struct hak_policy *policy, int value), int value);

/* Parses one "HAKMEM_NAME=value" into *policy. False, after a line on stderr: the name is unknown,
 * or the value is wrong; then the option gets its default. */
bool hak_policy_parse(struct hak_policy *policy, const char *setting);

#endif
