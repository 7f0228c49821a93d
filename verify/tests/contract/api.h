/* The names under test: libc's names in NAME.c, the prefixed names in NAME_linked.c, which includes
 * NAME.c. */
#ifndef HAK_VERIFY_API_H
#define HAK_VERIFY_API_H

#include "../test.h"

#ifdef TEST_LINKED
#define API(name) hak_##name
#else
#define API(name) name
#endif

/* Requests that cannot succeed: around PTRDIFF_MAX and upwards, and more than the address space
 * holds. */
static const size_t impossible_sizes[] = {
    SIZE_MAX,
    SIZE_MAX - 1,
    SIZE_MAX - 7,
    SIZE_MAX - 8,
    SIZE_MAX - 15,
    SIZE_MAX - 16,
    SIZE_MAX - 17,
    SIZE_MAX - 31,
    SIZE_MAX - 64,
    SIZE_MAX - 4095,
    SIZE_MAX - 4096,
    SIZE_MAX - 4097,
    SIZE_MAX - 65536,
    SIZE_MAX - ((size_t)1 << 21),
    SIZE_MAX - ((size_t)1 << 21) + 1,
    SIZE_MAX - ((size_t)1 << 32),
    (size_t)PTRDIFF_MAX + 65536,
    (size_t)PTRDIFF_MAX + 4097,
    (size_t)PTRDIFF_MAX + 17,
    (size_t)PTRDIFF_MAX + 2,
    (size_t)PTRDIFF_MAX + 1,
    (size_t)PTRDIFF_MAX,
    (size_t)PTRDIFF_MAX - 1,
    (size_t)PTRDIFF_MAX - 15,
    (size_t)PTRDIFF_MAX - 4094,
    (size_t)PTRDIFF_MAX - 4095,
    (size_t)1 << 62,
    (size_t)1 << 56,
    (size_t)1 << 48,
};

/* Requests in every tier, on both sides of the bounds of each tier. */
static const size_t tier_sizes[] = {
    1,     2,     7,      8,      9,      15,     16,      17,      24,      31,      32,
    63,    64,    65,     79,     80,     100,    127,     128,     200,     256,     500,
    512,   1000,  1008,   1023,   1024,   1025,   1039,    1040,    1500,    2048,    3000,
    4096,  4097,  5000,   7000,   8175,   8191,   8192,    8193,    9000,    12288,   16384,
    20000, 32768, 40000,  49152,  52000,  53247,  53248,   53249,   60000,   65535,   65536,
    65537, 70000, 100000, 131072, 262144, 300000, 1048576, 2097151, 2097152, 3000000,
};

#endif
