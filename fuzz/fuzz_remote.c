/* The protocol of remote frees alone (core/remote.h): a home with a few slabs of few blocks,
 * threads that send chains of blocks home, and the owner, which collects them. Each block is in one
 * place at a time, and the place is written in the block. Only a thread that may access the block
 * may access this field, so the protocol must order these writes, too.
 *
 * With a scheduler the input says which thread runs (fuzz/schedule.h). Under ThreadSanitizer the
 * threads are real, and a missing order between two threads is a race on a block, a slab or a
 * place. There the operations are first done one after the other, in the same order in each run,
 * and then by all threads at once. */
#include <string.h>

#include "core/remote.h"
#include "fuzz/remote_threads.h"

#define SLABS  3u
#define BLOCKS 6u /* of a slab */
#define SLOTS  8u /* blocks that any thread may send home */

enum kind { SEND, TAKE, COLLECT, COLLECT_ONE };

static enum kind kind_of(const struct fuzz_op *op) {
    static const uint8_t kinds[] = {SEND, SEND, SEND, TAKE, TAKE, COLLECT, COLLECT, COLLECT_ONE};
    return (enum kind)kinds[op->kind % sizeof kinds];
}

enum place {
    FREE, /* on the freelist of its slab */
    OUT,  /* in a slot, or held by a thread */
    SENT  /* on a remote list */
};

struct node {
    struct hak_block block;
    enum place place;
    unsigned slab;
};

static struct hak_home home;
static struct hak_slab slabs[SLABS];
static struct node nodes[SLABS][BLOCKS];
static _Atomic(struct node *) slots[SLOTS];
static struct {
    unsigned begun;    /* written by the thread that begins an epoch */
    unsigned notified; /* written by the owner */
} epochs[SLABS];

static struct node *node_of(struct hak_block *block) {
    return (struct node *)(void *)block;
}

static void expect_place(const struct node *node, enum place place) {
    FUZZ_CHECK(node->place == place, "block %td of slab %u is in place %d, not %d",
               node - nodes[node->slab], node->slab, (int)node->place, (int)place);
}

/* ---- any thread ------------------------------------------------------------------------------ */

struct run {
    struct hak_block *head, *tail;
    uint32_t count;
};

static void run_add(struct run *run, struct node *node) {
    expect_place(node, OUT);
    node->place = SENT;
    node->block.next = run->head;
    if (run->count == 0) run->tail = &node->block;
    run->head = &node->block;
    run->count++;
}

static void run_send(struct run *run, unsigned slab) {
    if (run->count == 0) return;
    if (!hak_remote_push(&slabs[slab], run->head, run->tail, run->count)) return;
    epochs[slab].begun++;
    FUZZ_CHECK(epochs[slab].begun == epochs[slab].notified + 1,
               "slab %u: epoch %u begins, and %u have ended", slab, epochs[slab].begun,
               epochs[slab].notified);
    hak_home_notify(&home, &slabs[slab]);
}

/* Sends the blocks of some slots home, one chain for each slab. */
static void send(const struct fuzz_op *op) {
    struct run runs[SLABS] = {{0}};
    for (unsigned i = 0; i <= op->align % 4u; i++) {
        struct node *node = atomic_exchange(&slots[(op->slot + i) % SLOTS], NULL);
        if (node != NULL) run_add(&runs[node->slab], node);
    }
    for (unsigned i = 0; i < SLABS; i++)
        run_send(&runs[(op->slot + i) % SLABS], (op->slot + i) % SLABS);
}

/* ---- the owner ------------------------------------------------------------------------------- */

static void put_back(struct node *node) {
    struct hak_slab *slab = &slabs[node->slab];
    node->place = FREE;
    node->block.next = slab->freelist;
    slab->freelist = &node->block;
    slab->used--;
}

/* Takes blocks off the slab and puts them into slots, where any thread may find them. */
static void take(const struct fuzz_op *op) {
    struct hak_slab *slab = &slabs[op->align % SLABS];
    for (unsigned i = 0; i <= op->size % BLOCKS && slab->freelist != NULL; i++) {
        struct node *node = node_of(slab->freelist);
        expect_place(node, FREE);
        slab->freelist = node->block.next;
        slab->used++;
        node->place = OUT;
        struct node *before = atomic_exchange(&slots[(op->slot + i) % SLOTS], node);
        if (before != NULL) {
            expect_place(before, OUT);
            put_back(before);
        }
    }
}

static void collect_slab(struct hak_slab *slab) {
    unsigned number = (unsigned)(slab - slabs);
    FUZZ_CHECK(number < SLABS, "a slab that is none is notified");
    /* Counted before the list is taken: a new epoch may begin as soon as it is taken. */
    epochs[number].notified++;
    FUZZ_CHECK(epochs[number].begun == epochs[number].notified,
               "slab %u: %u notifications in %u epochs", number, epochs[number].notified,
               epochs[number].begun);
    uint64_t word = hak_remote_take(slab);
    uint32_t count = hak_remote_word_count(word), found = 0;
    FUZZ_CHECK(count > 0 && count <= slab->used, "slab %u: %u blocks come home, and %u are out",
               number, count, slab->used);
    for (struct hak_block *block = hak_remote_word_head(word), *next; block != NULL;
         block = next, found++) {
        next = block->next;
        expect_place(node_of(block), SENT);
        FUZZ_CHECK(node_of(block)->slab == number, "a block of slab %u comes home to %u",
                   node_of(block)->slab, number);
        put_back(node_of(block));
    }
    FUZZ_CHECK(found == count, "slab %u: %u blocks come home, and the list has %u", number, count,
               found);
}

/* Collects up to `most` notified slabs; the others wait for the owner's next collect. */
static void collect(unsigned most) {
    static struct hak_slab *rest;
    if (rest == NULL) rest = hak_home_take_notified(&home);
    for (; rest != NULL && most > 0; most--) {
        struct hak_slab *slab = rest;
        rest = slab->notify_next; /* first: a new epoch may begin as soon as the list is taken */
        collect_slab(slab);
    }
}

static void run_op(const struct fuzz_op *op) {
    enum kind kind = kind_of(op);
    if (kind == SEND || fuzz_remote_thread() != 0)
        send(op);
    else if (kind == TAKE)
        take(op);
    else
        collect(kind == COLLECT ? SLABS : 1);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static void begin(void) {
    memset(nodes, 0, sizeof nodes);
    memset(epochs, 0, sizeof epochs);
    for (unsigned s = 0; s < SLABS; s++) {
        slabs[s] = (struct hak_slab){.home = &home, .capacity = BLOCKS};
        for (unsigned i = 0; i < BLOCKS; i++) {
            nodes[s][i].slab = s;
            nodes[s][i].block.next = slabs[s].freelist;
            slabs[s].freelist = &nodes[s][i].block;
        }
    }
}

/* All blocks must be on the freelist of their slab: none is lost, none is there twice. */
static void expect_home(unsigned s) {
    unsigned count = 0;
    FUZZ_CHECK(hak_remote_count(&slabs[s]) == 0 && slabs[s].used == 0,
               "slab %u: %u blocks wait, %u are out", s, hak_remote_count(&slabs[s]),
               slabs[s].used);
    FUZZ_CHECK(epochs[s].begun == epochs[s].notified, "slab %u: %u epochs, %u notifications", s,
               epochs[s].begun, epochs[s].notified);
    for (struct hak_block *block = slabs[s].freelist; block != NULL && count <= BLOCKS;
         block = block->next) {
        expect_place(node_of(block), FREE);
        count++;
    }
    FUZZ_CHECK(count == BLOCKS, "slab %u: %u blocks in its list", s, count);
}

static void end(void) {
    for (unsigned i = 0; i < SLABS + 1; i++)
        collect(SLABS); /* first the slabs that were left over, then newly notified ones */
    for (unsigned i = 0; i < SLOTS; i++) {
        struct node *node = atomic_exchange(&slots[i], NULL);
        if (node != NULL) put_back(node);
    }
    for (unsigned s = 0; s < SLABS; s++)
        expect_home(s);
    FUZZ_CHECK(hak_home_take_notified(&home) == NULL,
               "a slab is notified, and nothing waits in it");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin();
    fuzz_remote_run(data, size, run_op);
    end();
    return 0;
}

#ifndef FUZZ_REAL_THREADS
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_schedule_mutate(data, size, max_size, seed);
}
#endif
