/* What core/ does to the words that its threads share, counted while they run: its steps and plain accesses
 * (verify/explore/yields.h, accesses.c) on real threads. */
#ifndef HAK_COUNTS_TALLY_H
#define HAK_COUNTS_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a word or line belongs to. */
enum tally_part {
    TALLY_THREAD,    /* struct hak_thread: what malloc and free write first */
    TALLY_HEAP,      /* heaps with their homes, and the BigCache's table */
    TALLY_MAP,      /* of a granule: slabs, large blocks, free spans */
    TALLY_SUPERSLAB, /* records */
    TALLY_LOCK,
    TALLY_STATIC, /* variables of core/ */
    TALLY_BLOCK,  /* header bytes and links, in blocks */
    TALLY_PARTS
};

struct tally {
    uint64_t blocks;       /* freed or resized, as the pattern says */
    uint64_t changes;      /* atomic read-modify-writes, failed ones too */
    uint64_t exchanges;    /* sequentially consistent stores: x86's xchg */
    uint64_t stores;       /* other atomic stores */
    uint64_t slow_paths;   /* entered */
    uint64_t takes;        /* locks taken; tried, too */
    uint64_t system_calls; /* for memory */
    uint64_t looks;        /* ticks that looked whether threads sleep */
    uint64_t writes[TALLY_PARTS], reads[TALLY_PARTS]; /* that a line had to come for (lines.h) */
};

/* The calling thread's number, below LINES_THREADS. One that follows another on its processor may take over its number. What
 * threads without one do is not seen. */
void tally_thread_begin(unsigned number);

/* Counts from here on, or no longer. Lines are followed all along. */
void tally_set(bool counts);

/* Blocks that the calling thread has freed or resized. */
void tally_add_blocks(uint64_t blocks);

/* The calling thread reads what each malloc and free read in one instruction, which yields.h does not see: the range's
 * base and limit. */
void tally_call(void);

/* The program writes to a block: its line is the thread's, and no fault of the allocator. */
void tally_touch(const void *block, size_t bytes);

/* Of all threads, while they stand still. */
struct tally tally_sum(void);

/* What takes the lock prefix on x86: a lock is one when it is taken and one when it is dropped. */
static inline uint64_t tally_locked(const struct tally *tally) {
    return tally->changes + tally->exchanges + 2 * tally->takes;
}

/* Lines that had to come, blocks' apart. */
uint64_t tally_shared(const uint64_t counts[TALLY_PARTS]);

/* How many slow paths there were, and a line for each word or part that was changed in one or that a line had to come for: per thousand units. */
void tally_print_places(uint64_t units);

/* From here on every few steps another thread gets the processor: two processors do not interleave as many would. */
void tally_begin(bool interleave);

#endif
