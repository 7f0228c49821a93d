/* The libc surface. Each function has its libc name and a prefixed name (hakmem.h documents
 * them). */
#include "core/api.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/abort.h"
#include "core/fork_child.h"
#include "core/hooks.h"
#include "core/refill.h"
#include "core/seize.h"
#include "core/stats.h"
#include "core/stderr.h"
#include "core/superslab.h"
#include "core/thread.h"

#define HAK_EXPORT               __attribute__((visibility("default")))
#define HAK_ALIAS(target)        __attribute__((visibility("default"), alias(#target)))
#define HAK_HIDDEN_ALIAS(target) __attribute__((visibility("hidden"), alias(#target)))

/* ---- functions of their own ------------------------------------------------------------------ */

HAK_EXPORT void *hak_malloc(size_t size) {
    return hak_fast_malloc(size);
}

HAK_EXPORT HAK_NOINLINE void hak_free(void *ptr) {
    hak_fast_free(ptr);
}

HAK_EXPORT void *hak_calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return hak_alloc_zeroed(bytes);
}

HAK_EXPORT HAK_NOINLINE void *hak_realloc(void *ptr, size_t size) {
    if (ptr == NULL) return hak_fast_malloc(size);
    if (size != 0) return hak_realloc_block(ptr, size);
    hak_fast_free(ptr);
    return NULL;
}

HAK_EXPORT HAK_NOINLINE void *hak_aligned_alloc(size_t alignment, size_t size) {
    if (!hak_is_power_of_two(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return hak_alloc_aligned(alignment, size);
}

HAK_EXPORT int hak_posix_memalign(void **out, size_t alignment, size_t size) {
    if (!hak_is_power_of_two(alignment) || alignment % sizeof(void *) != 0) return EINVAL;
    int saved = errno;
    void *user = hak_alloc_aligned(alignment, size);
    errno = saved;
    if (user == NULL) return ENOMEM;
    *out = user;
    return 0;
}

HAK_EXPORT void *hak_memalign(size_t alignment, size_t size) {
    if (alignment > HAK_REQUEST_MAX) {
        errno = EINVAL;
        return NULL;
    }
    size_t power = HAK_ALIGNMENT;
    while (power < alignment)
        power *= 2;
    return hak_alloc_aligned(power, size);
}

/* ---- functions made of others: those with libc's names are made of the public ones, below ---- */

/* *bytes = count * size; false, and errno = ENOMEM, if the product overflows. */
static bool product_is(size_t count, size_t size, size_t *bytes) {
    if (!__builtin_mul_overflow(count, size, bytes)) return true;
    errno = ENOMEM;
    return false;
}

/* `size` rounded up to whole pages, for pvalloc. SIZE_MAX, which no block has, if that
 * overflows. */
static size_t whole_pages(size_t size) {
    size_t page = hak_os_page_size();
    if (size > HAK_REQUEST_MAX) return SIZE_MAX;
    return size == 0 ? page : hak_round_up(size, page);
}

HAK_EXPORT void *hak_reallocarray(void *ptr, size_t count, size_t size) {
    size_t bytes;
    return product_is(count, size, &bytes) ? hak_realloc(ptr, bytes) : NULL;
}

HAK_EXPORT void hak_free_sized(void *ptr, size_t size) {
    (void)size; /* the header has the class */
    hak_free(ptr);
}

HAK_EXPORT void hak_free_aligned_sized(void *ptr, size_t alignment, size_t size) {
    (void)alignment;
    (void)size;
    hak_free(ptr);
}

HAK_EXPORT void *hak_valloc(size_t size) {
    return hak_aligned_alloc(hak_os_page_size(), size);
}

HAK_EXPORT void *hak_pvalloc(size_t size) {
    return hak_aligned_alloc(hak_os_page_size(), whole_pages(size));
}

/* ---- a block's size, and a trim -------------------------------------------------------------- */

HAK_EXPORT size_t hak_malloc_usable_size(const void *ptr) {
    return ptr == NULL ? 0 : hak_usable_size("malloc_usable_size", ptr);
}

HAK_EXPORT int hak_malloc_trim(size_t pad) {
    return hak_purge_now(HAK_PURGE_TRIM, pad) > 0;
}

/* ---- mallopt: what a parameter changes ------------------------------------------------------- */

/* A negative value is a very large number of bytes to glibc, and programs that pass 2 or 3 GiB
 * mean that. */
static void set_trim_threshold(struct hak_policy *policy, int value) {
    policy->trim_disabled = value < 0;
    policy->bigcache_mb =
        value < 0 ? HAK_BIGCACHE_MB_MAX : (uint32_t)(((uint64_t)value + 0xfffff) >> 20);
}

static void set_map_max(struct hak_policy *policy, int value) {
    policy->mmap_disabled = value <= 0;
}

static void set_map_threshold(struct hak_policy *policy, int value) {
    policy->uncached_from = value < 0 ? UINT32_MAX : (uint32_t)value;
}

struct parameter {
    int number;
    void (*change)(struct hak_policy *policy, int value); /* NULL: taken, without effect */
    int least, most;
};

/* hakmem.h lists those without effect. 160 is the most that glibc takes for its fast bins. */
static const struct parameter parameters[] = {
    {M_MXFAST, NULL, 0, 160},
    {M_NLBLKS, NULL, INT_MIN, INT_MAX},
    {M_GRAIN, NULL, INT_MIN, INT_MAX},
    {M_KEEP, NULL, INT_MIN, INT_MAX},
    {M_TRIM_THRESHOLD, set_trim_threshold, INT_MIN, INT_MAX},
    {M_TOP_PAD, NULL, INT_MIN, INT_MAX},
    {M_MMAP_THRESHOLD, set_map_threshold, INT_MIN, INT_MAX},
    {M_MMAP_MAX, set_map_max, INT_MIN, INT_MAX},
    {M_CHECK_ACTION, NULL, INT_MIN, INT_MAX},
    {M_PERTURB, NULL, INT_MIN, INT_MAX},
    {M_ARENA_TEST, NULL, INT_MIN, INT_MAX},
    {M_ARENA_MAX, NULL, INT_MIN, INT_MAX},
};

static const struct parameter *parameter_find(int number) {
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (parameters[i].number == number) return &parameters[i];
    return NULL;
}

HAK_EXPORT const char *hak_version(void) {
    return HAKMEM_VERSION;
}

HAK_EXPORT int hak_mallopt(int number, int value) {
    const struct parameter *parameter = parameter_find(number);
    if (parameter == NULL || value < parameter->least || value > parameter->most) return 0;
    if (parameter->change == NULL) return 1;
    /* makes the range, which is told what is set */
    if (!hak_range_is_there()) hak_free(hak_malloc(1));
    const bool kept = hak_policy_keeps(hak_policy());
    if (!hak_policy_change(parameter->change, value)) return 0;
    if (!kept && hak_policy_keeps(hak_policy())) hak_keep_now();
    return 1;
}

/* ---- figures --------------------------------------------------------------------------------- */

HAK_EXPORT void hak_malloc_stats(void) {
    hak_stats_print(true);
}

HAK_EXPORT int hak_malloc_info(int options, FILE *stream) {
    if (options != 0) return EINVAL;
    hak_stats_write_xml(stream);
    return 0;
}

HAK_EXPORT struct mallinfo2 hak_mallinfo2(void) {
    struct hak_stats stats;
    hak_stats_read(&stats);
    return (struct mallinfo2){
        .arena = stats.heap_bytes,
        .ordblks = hak_stats_rest_count(&stats),
        .smblks = stats.free_blocks,
        .hblks = stats.large.live_blocks,
        .hblkhd = stats.large.mapped_bytes,
        .fsmblks = stats.free_bytes,
        .uordblks = stats.live_bytes,
        .fordblks = stats.heap_bytes - stats.live_bytes,
        .keepcost = stats.cached_bytes + stats.kept_bytes,
    };
}

static int clamp_int(size_t value) {
    return value > INT_MAX ? INT_MAX : (int)value;
}

HAK_EXPORT struct mallinfo hak_mallinfo(void) {
    struct mallinfo2 wide = hak_mallinfo2();
    return (struct mallinfo){
        .arena = clamp_int(wide.arena),
        .ordblks = clamp_int(wide.ordblks),
        .smblks = clamp_int(wide.smblks),
        .hblks = clamp_int(wide.hblks),
        .hblkhd = clamp_int(wide.hblkhd),
        .fsmblks = clamp_int(wide.fsmblks),
        .uordblks = clamp_int(wide.uordblks),
        .fordblks = clamp_int(wide.fordblks),
        .keepcost = clamp_int(wide.keepcost),
    };
}

#if HAK_LIBC_NAMES /* not in libhakmem_prefixed: the program keeps its own malloc */
HAK_ALIAS(hak_malloc) void *malloc(size_t size);
HAK_ALIAS(hak_free) void free(void *ptr);
HAK_ALIAS(hak_calloc) void *calloc(size_t count, size_t size);
HAK_ALIAS(hak_realloc) void *realloc(void *ptr, size_t size);
HAK_ALIAS(hak_aligned_alloc)
__attribute__((malloc, alloc_align(1), alloc_size(2))) void *aligned_alloc(size_t alignment,
                                                                           size_t size);
HAK_ALIAS(hak_posix_memalign) int posix_memalign(void **out, size_t alignment, size_t size);
HAK_ALIAS(hak_memalign) void *memalign(size_t alignment, size_t size);
HAK_ALIAS(hak_malloc_usable_size) size_t malloc_usable_size(void *ptr);
HAK_ALIAS(hak_malloc_trim) int malloc_trim(size_t pad);
HAK_ALIAS(hak_malloc_stats) void malloc_stats(void);
HAK_ALIAS(hak_malloc_info) int malloc_info(int options, FILE *stream);
HAK_ALIAS(hak_mallinfo) struct mallinfo mallinfo(void);
HAK_ALIAS(hak_mallinfo2) struct mallinfo2 mallinfo2(void);
HAK_ALIAS(hak_mallopt) int mallopt(int parameter, int value);
HAK_HIDDEN_ALIAS(hak_malloc) void *hak_own_malloc(size_t size);
HAK_HIDDEN_ALIAS(hak_free) void hak_own_free(void *ptr);
HAK_HIDDEN_ALIAS(hak_aligned_alloc) void *hak_own_aligned_alloc(size_t alignment, size_t size);

/* The functions below call the functions that they are made of by the public name. Tools replace
 * malloc, free, realloc and aligned_alloc, some by name (LD_PRELOAD), some by address
 * (Valgrind), but not every tool replaces the functions below. A tool that has replaced one of
 * these, too, has counted the call before it passes the call on to ours. So ours does not show
 * the call to the tool a second time. Only libc's reallocarray always calls the public realloc,
 * and so does this one. */
HAK_EXPORT void *reallocarray(void *ptr, size_t count, size_t size) {
    size_t bytes;
    return product_is(count, size, &bytes) ? realloc(ptr, bytes) : NULL;
}

HAK_ALIAS(hak_own_free_sized) void free_sized(void *ptr, size_t size);
HAK_HIDDEN void hak_own_free_sized(void *ptr, size_t size);
void hak_own_free_sized(void *ptr, size_t size) {
    (void)size;
    (HAK_IS_OURS(free_sized) ? free : hak_free)(ptr);
}

HAK_ALIAS(hak_own_free_aligned_sized)
void free_aligned_sized(void *ptr, size_t alignment, size_t size);
HAK_HIDDEN void hak_own_free_aligned_sized(void *ptr, size_t alignment, size_t size);
void hak_own_free_aligned_sized(void *ptr, size_t alignment, size_t size) {
    (void)alignment;
    (void)size;
    (HAK_IS_OURS(free_aligned_sized) ? free : hak_free)(ptr);
}

HAK_ALIAS(hak_own_valloc) void *valloc(size_t size);
HAK_HIDDEN void *hak_own_valloc(size_t size);
void *hak_own_valloc(size_t size) {
    /* an aligned_alloc that is not ours may require a multiple of the alignment, as C11 did */
    if (HAK_IS_OURS(valloc) && !HAK_IS_OURS(aligned_alloc))
        return aligned_alloc(hak_os_page_size(), whole_pages(size));
    return hak_aligned_alloc(hak_os_page_size(), size);
}

HAK_ALIAS(hak_own_pvalloc) void *pvalloc(size_t size);
HAK_HIDDEN void *hak_own_pvalloc(size_t size);
void *hak_own_pvalloc(size_t size) {
    return (HAK_IS_OURS(pvalloc) ? aligned_alloc : hak_aligned_alloc)(hak_os_page_size(),
                                                                      whole_pages(size));
}
#endif

/* ---- the process: start, fork, end ----------------------------------------------------------- */

/* No lock is held across a fork. libc takes its stdio lock after all handlers have run, and the
 * handlers of other libraries may wait for threads that allocate. See lock.h. */
static void fork_prepare(void) {
    hak_heap_fork_prepare();
    hak_seize_fork_prepare();
}

static void fork_parent(void) {
    hak_seize_fork_end();
}

static void fork_child(void) {
    hak_os_fork_word_reset();
    hak_locks_after_fork();
    hak_policy_fork_child();
    hak_heap_fork_child();
    hak_seize_fork_end();
}

/* glibc passes the program's arguments and environment to constructors. */
__attribute__((constructor)) static void process_begin(int argc, char **argv, char **environment) {
    (void)argc;
    (void)argv;
    hak_policy_init(environment);
    hak_os_clock_init();
    hak_hook_begin();
    if (hak_policy()->stats) hak_stderr_keep();
    if (hak_range_is_there()) hak_heap_advise(); /* another library has allocated already */
    if (pthread_atfork(fork_prepare, fork_parent, fork_child) != 0) {
        static const char text[] =
            "hakmem: no memory for the handlers of fork: a child loses what other threads had\n";
        hak_os_write_error(text, sizeof text - 1);
        /* a child would look at threads that are gone, whose stacks libc unmaps */
        hak_seize_forbid();
    }
}

__attribute__((destructor)) static void process_end(void) {
    hak_abort_finish();
    hak_stderr_find();
    if (hak_policy()->stats) hak_stats_print(false);
    hak_hook_end();
}
