/* Policy: an immutable snapshot of all tunables. Slow paths read the snapshot that is current when they begin
 * and use that one to their end; replacing it is one store.
 *
 * The options come from one table, HAKMEM_* in the environment. */
#ifndef HAK_POLICY_H
#define HAK_POLICY_H

#include "core/range.h"
#include "core/size_class.h"

#define HAK_BIGCACHE_MB_MAX 1048576u

/* X(field, name after HAKMEM_, type, default, least, most, text) */
#define HAK_OPTION_TABLE(X)                                                                        \
    X(p0_enable, "TINY_P0_ENABLE", "0 or 1", 1, 0, 1,                                              \
      "move blocks from slabs to the thread's lists in batches; 0: one at a time")                 \
    X(p0_no_drain, "TINY_P0_NO_DRAIN", "0 or 1", 0, 0, 1,                                          \
      "1: take back what other threads freed only before asking for a new SuperSlab")              \
    X(p0_log, "TINY_P0_LOG", "0 or 1", 0, 0, 1,                                                    \
      "1: log each batch on stderr, with the change of each counter")                              \
    X(arena_mb_init, "POOL_TLS_ARENA_MB_INIT", "MiB", 1, 1, 64,                                    \
      "first chunk of a thread's arena for 8-52 KiB blocks; rounded down to a power of two")       \
    X(arena_mb_max, "POOL_TLS_ARENA_MB_MAX", "MiB", 8, 1, 64, "largest chunk of that arena")       \
    X(arena_levels, "POOL_TLS_ARENA_GROWTH_LEVELS", "number", 3, 0, 6,                             \
      "how often the chunk size doubles as the arena grows")                                       \
    X(purge_delay_ms, "PURGE_DELAY_MS", "milliseconds", 500, 0, 3600000,                           \
      "how long free memory is kept for reuse before it goes back to the system")                  \
    X(remote_trim, "REMOTE_TRIM", "0 or 1", 1, 0, 1,                                               \
      "1: threads at work also return the memory of threads that sleep; 0: each thread returns "   \
      "its own")                                                                                   \
    X(bigcache_mb, "BIGCACHE_MB", "MiB", 128, 0, HAK_BIGCACHE_MB_MAX,                              \
      "most that is kept of freed large blocks")                                                   \
    X(thp, "THP", "0, 1 or 2", 0, 0, 2,                                                            \
      "transparent huge pages: 0 none in the first 256 MiB, then as the kernel is set; 1 ask for " \
      "them; 2 "                                                                                   \
      "ask for none")                                                                              \
    X(deepbind, "DEEPBIND", "0 or 1", 0, 0, 1,                                                     \
      "0: libraries are opened without the flag RTLD_DEEPBIND, for they must share the program's " \
      "malloc; "                                                                                   \
      "1: the flag is left as it is")                                                              \
    X(stats, "STATS", "0 or 1", 0, 0, 1, "1: print statistics on stderr when the program ends")

#define HAK_OPTION_FIELD(field, name, type, standard, least, most, text) uint32_t field;

/* How much a bin may hold and how much it fetches. It begins at the least and doubles with each flush: to limit_max where many
 * blocks go home to others, for they go in larger lots then; to limit_own <= limit_max where nearly all are the thread's own, which
 * go back while caches still hold them. A refill makes free_capacity for twice what it brought, up to limit_max: the next flush takes that
 * back. A bin holds at least a batch: batch_max <= limit_max; and refill takes half of limit_max from a freelist: 2 <= limit_max. */
struct hak_bin_policy {
    uint16_t limit_min, limit_own, limit_max; /* blocks in the TLS SLL */
    uint16_t batch_min, batch_max;            /* blocks of one carve */
};

struct hak_policy {
    HAK_OPTION_TABLE(HAK_OPTION_FIELD)
    /* By mallopt alone: */
    uint32_t never_trims; /* 1: M_TRIM_THRESHOLD is below 0 */
    uint32_t never_maps;  /* 1: M_MMAP_MAX is 0 */
    uint32_t
        map_from; /* M_MMAP_THRESHOLD: bytes of large blocks that do not wait; UINT32_MAX: all do */
    struct hak_bin_policy bins[HAK_CLASSES];
};

/* The current snapshot; the defaults until hak_policy_init. Any thread. */
const struct hak_policy *hak_policy(void);

/* Reads the options from `environment` (as environ); reports what it cannot take and goes on without. Once,
 * from the library's constructor. Reads nothing in a process with raised rights. */
void hak_policy_init(char *const *environment);

/* Installs a snapshot; it must stay for ever. */
void hak_policy_replace(const struct hak_policy *policy);

/* In a child of fork: the parent's thread may have been about to tell the range. */
void hak_policy_fork_child(void);

/* Memory that was used once stays: nothing but an explicit trim gives any back. Free memory waits in the range then, for
 * blocks of any size, and not in the caches of one kind. */
static inline bool hak_policy_keeps(const struct hak_policy *policy) {
    return policy->never_trims != 0 && policy->never_maps != 0;
}

/* How old free memory has to be to go back, where `wanted` is the age if any goes; nothing is UINT32_MAX old. */
static inline uint32_t hak_policy_purge_age(const struct hak_policy *policy, uint32_t wanted) {
    return hak_policy_keeps(policy) ? UINT32_MAX : wanted;
}

/* Most that may wait in the BigCache when a large block of `size` bytes is freed; 0: neither may that block. Where memory is
 * kept none waits there: the range sees to that. */
static inline size_t hak_policy_budget(const struct hak_policy *policy, size_t size) {
    bool waits =
        size < policy->map_from || policy->map_from == UINT32_MAX || policy->never_maps != 0;
    return waits ? (size_t)policy->bigcache_mb << 20 : 0;
}

/* Replaces the snapshot by one that `change` has made of it; false: no memory. Equal snapshots are made once, so that a program
 * may call this as often as it likes. Where several threads do at once, each change is made; `change` may run several times. */
bool hak_policy_change(void (*change)(struct hak_policy *policy, int value), int value);

/* Parses one "HAKMEM_NAME=value" into *policy; false, and one line on stderr, if it cannot be taken. */
bool hak_policy_parse(struct hak_policy *policy, const char *setting);

#endif
