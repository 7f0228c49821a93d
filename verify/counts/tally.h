/* Counts what core/ does to words that threads share. The counts come from the steps and plain
 * accesses of core/ (verify/virtual/yields.h, accesses.c) on real threads. */
#ifndef HAK_COUNTS_TALLY_H
#define HAK_COUNTS_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part of the allocator's memory that a word or line belongs to. */
enum tally_part {
    TALLY_THREAD,    /* struct hak_thread: what malloc and free write first */
    TALLY_HEAP,      /* heaps with their homes, and the cache's table */
    TALLY_MAP,       /* page map entries: slabs, large blocks, free spans */
    TALLY_SUPERSLAB, /* records of SuperSlabs */
    TALLY_LOCK,
    TALLY_STATIC, /* variables of core/ */
    TALLY_BLOCK,  /* header bytes and links, in blocks */
    TALLY_PARTS
};

struct tally {
    uint64_t blocks;       /* freed or resized, as the pattern says */
    uint64_t changes;      /* atomic read-modify-writes, failed ones too */
    uint64_t exchanges;    /* sequentially consistent stores, which are xchg on x86 */
    uint64_t stores;       /* other atomic stores */
    uint64_t slow_paths;   /* entered */
    uint64_t takes;        /* of locks; a failed try counts, too */
    uint64_t system_calls; /* for memory */
    uint64_t looks;        /* ticks that looked for sleeping threads */
    uint64_t writes[TALLY_PARTS], reads[TALLY_PARTS]; /* that needed a transfer (lines.h) */
};

/* Gives the calling thread a number below LINES_THREADS. Threads that never run at the same time
 * may share a number, as if they shared a processor. Threads without a number are not followed. */
void tally_thread_begin(unsigned number);

/* Switches counting on or off. The lines are followed in both cases. */
void tally_set(bool counts);

/* Adds blocks that the calling thread has freed or resized. */
void tally_add_blocks(uint64_t blocks);

/* Adds the reads of the range's base and limit by a malloc or free: these are operands of
 * instructions, which yields.h does not see. */
void tally_call(void);

/* The program writes to a block. The thread gets the block's lines; no transfer is counted, because
 * the program causes it. */
void tally_touch(const void *block, size_t bytes);

/* The sum of all threads, while they stand still. */
struct tally tally_sum(void);

/* Instructions with x86's lock prefix. A lock has two: one when it is taken, one when it is
 * dropped. */
static inline uint64_t tally_locked(const struct tally *tally) {
    return tally->changes + tally->exchanges + 2 * tally->takes;
}

/* The sum of the counts over all parts but the blocks. */
uint64_t tally_shared(const uint64_t counts[TALLY_PARTS]);

/* Prints the number of slow paths, and a line for each word and part with changes, locks or
 * transfers: per thousand units. */
void tally_print_places(uint64_t units);

/* To be called before there are threads. `interleave`: threads give up the processor at every few
 * steps, because two processors do not interleave threads as many processors would. */
void tally_begin(bool interleave);

#endif
