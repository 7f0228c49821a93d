/* What a build can choose, and the fixed geometry.
 *
 * The build defines every switch as 0 or 1 (ci/variants/NAME.mk and `make print-flags`). The code
 * tests a switch with a plain `if`, so all branches compile in every variant. */
#ifndef HAK_CONFIG_H
#define HAK_CONFIG_H

#if !defined(HAK_DEBUG) || !defined(HAK_AUDIT) || !defined(HAK_LIBC_NAMES) ||                      \
    !defined(HAK_ASAN) || !defined(HAK_VALGRIND) || !defined(HAK_VARIANT_NAME)
#error "a variant defines each constant that the head of the Makefile names"
#endif
#if !defined(HAK_POOL_TLS_PHASE1) || !defined(HAK_POOL_TLS_PREWARM) ||                             \
    !defined(HAK_HEADER_CLASSIDX) || !defined(HAK_AGGRESSIVE_INLINE) || !defined(HAK_PREWARM_TLS)
#error "the build defines each flag of `make print-flags`"
#endif

/* Granule: the unit of address space. Slabs and large blocks begin at the start of a granule. */
#define HAK_GRANULE_SHIFT 16
#define HAK_GRANULE       ((size_t)1 << HAK_GRANULE_SHIFT)

/* SuperSlab: 32 units of one granule, or 16. Most Pool TLS arenas begin with one of 16. */
#define HAK_SUPERSLAB_SHIFT     21
#define HAK_SUPERSLAB_SHIFT_MIN 20
#define HAK_UNITS_MAX           32u

/* Bytes of the range: the largest is tried first, then each half. Where the window is a reservation
 * (window.h), the first try is about 16 x the machine's memory. */
#define HAK_RANGE_MAX_SHIFT 43 /* 8 TiB */
#define HAK_RANGE_MIN_SHIFT 24 /* 16 MiB */

#define HAK_ALIGNMENT ((size_t)16)

/* Largest request in bytes: a pointer difference within a block must fit ptrdiff_t, also after the
 * size is rounded up. */
#define HAK_REQUEST_MAX ((size_t)PTRDIFF_MAX - ((size_t)1 << 30))

#define HAK_LIKELY(x)   __builtin_expect(!!(x), 1)
#define HAK_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* For variables and functions that headers declare: they are addressed directly, not through the
 * global offset table. */
#define HAK_HIDDEN   __attribute__((visibility("hidden")))
#define HAK_NOINLINE __attribute__((noinline))
#define HAK_COLD     __attribute__((noinline, cold))

/* 1: a tool sees each atomic operation. */
#if defined(HAK_VIRTUAL_YIELDS_H) || defined(__SANITIZE_THREAD__)
#define HAK_ATOMICS_ARE_SEEN 1
#elif defined(__has_feature)
#define HAK_ATOMICS_ARE_SEEN __has_feature(thread_sanitizer)
#else
#define HAK_ATOMICS_ARE_SEEN 0
#endif

#if HAK_AGGRESSIVE_INLINE
#define HAK_INLINE static inline __attribute__((always_inline))
#else
#define HAK_INLINE static inline
#endif

#endif
