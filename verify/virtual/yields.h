/* Included before each file of core/ in the variants explore, fuzz and counts (clang only): each
 * atomic operation first calls explore_yield. The operation itself stays the same. */
#ifndef HAK_VIRTUAL_YIELDS_H
#define HAK_VIRTUAL_YIELDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum explore_kind {
    EXPLORE_LOAD,
    EXPLORE_STORE,
    EXPLORE_CHANGE, /* an atomic read-modify-write */
    EXPLORE_TAKE,   /* of a lock */
    EXPLORE_DROP,
    EXPLORE_SYSTEM, /* a call to the operating system */
    EXPLORE_BARRIER /* the system call that is a memory barrier in all threads */
};

/* An operation that a thread is about to do. */
struct explore_step {
    enum explore_kind kind;
    const char *word; /* in the words of core/, such as &slab->remote; NULL: no word of core/ */
    const volatile void *address;
    size_t size;
    int order;            /* memory_order_* */
    int failure;          /* the order of a compare-exchange that fails, which is a load then */
    const void *expected; /* NULL: no compare-exchange */
};

/* NULL, or called before each step while a schedule runs (scheduler.h), and before each plain
 * access of core/ in the variant explore. In the variant counts several threads call them at once
 * (verify/counts/tally.h). */
extern void (*explore_step_hook)(struct explore_step *step);
extern void (*explore_access_hook)(void *address, size_t size, bool is_write);

void explore_yield(enum explore_kind kind, const char *word, const volatile void *address,
                   size_t size, int order);
void explore_yield_compare(const char *word, const volatile void *address, size_t size,
                           const void *expected, int order, int failure);

#define EXPLORE_YIELD(kind, object, order)                                                         \
    explore_yield((kind), #object, (object), sizeof *(object), (order))

#undef atomic_load_explicit
#define atomic_load_explicit(object, order)                                                        \
    (EXPLORE_YIELD(EXPLORE_LOAD, object, order), __c11_atomic_load(object, order))

#undef atomic_store_explicit
#define atomic_store_explicit(object, value, order)                                                \
    (EXPLORE_YIELD(EXPLORE_STORE, object, order), __c11_atomic_store(object, value, order))

#undef atomic_exchange_explicit
#define atomic_exchange_explicit(object, value, order)                                             \
    (EXPLORE_YIELD(EXPLORE_CHANGE, object, order), __c11_atomic_exchange(object, value, order))

#undef atomic_fetch_add_explicit
#define atomic_fetch_add_explicit(object, value, order)                                            \
    (EXPLORE_YIELD(EXPLORE_CHANGE, object, order), __c11_atomic_fetch_add(object, value, order))

#undef atomic_fetch_sub_explicit
#define atomic_fetch_sub_explicit(object, value, order)                                            \
    (EXPLORE_YIELD(EXPLORE_CHANGE, object, order), __c11_atomic_fetch_sub(object, value, order))

#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure)         \
    (explore_yield_compare(#object, (object), sizeof *(object), (expected), (success), (failure)), \
     __c11_atomic_compare_exchange_strong(object, expected, value, success, failure))

/* Always the strong operation, because a weak one may fail by chance. */
#undef atomic_compare_exchange_weak_explicit
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit

#endif
