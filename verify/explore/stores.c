#include "verify/explore/stores.h"

#include <string.h>

#define STORES_MAX 4096u /* since a fiber began to run; later stores are visible at once */
#define HELD_MAX   4096u

struct store {
    unsigned char *address;
    uint32_t size;
    bool releases;
    bool held;
    unsigned char bytes[16]; /* the old contents; while the store is held back, the new contents */
};

static enum explore_memory memory;
static struct store stores[STORES_MAX];
static unsigned count;
static struct {
    struct store stores[HELD_MAX];
    unsigned count;
} held_back[EXPLORE_FIBERS];

void explore_stores_begin(enum explore_memory wanted) {
    memory = wanted;
    count = 0;
    for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
        held_back[i].count = 0;
}

static bool overlap(const struct store *store, const unsigned char *address, size_t size) {
    return address < store->address + store->size && store->address < address + size;
}

static void keep(unsigned char *address, size_t size, bool releases) {
    if (memory == EXPLORE_SC || count == STORES_MAX || size > sizeof stores[0].bytes) return;
    struct store *store = &stores[count++];
    *store = (struct store){.address = address, .size = (uint32_t)size, .releases = releases};
    memcpy(store->bytes, address, size);
}

/* Makes the stores to these bytes visible. If one of them releases, also all stores before it. */
static void drain_word(const unsigned char *address, size_t size) {
    unsigned from = 0, left = 0;
    for (unsigned i = 0; i < count; i++)
        if (stores[i].releases && overlap(&stores[i], address, size)) from = i + 1;
    for (unsigned i = from; i < count; i++)
        if (!overlap(&stores[i], address, size)) stores[left++] = stores[i];
    count = left;
}

/* Does the stores of the fiber that were held back. */
static void done(unsigned fiber) {
    for (unsigned i = held_back[fiber].count; i-- > 0;) /* the list has the newest store first */
        memcpy(held_back[fiber].stores[i].address, held_back[fiber].stores[i].bytes,
               held_back[fiber].stores[i].size);
    held_back[fiber].count = 0;
}

void explore_stores_step(const struct explore_step *step) {
    unsigned char *address = (unsigned char *)(uintptr_t)step->address;
    bool sequential = step->order == memory_order_seq_cst;
    bool releases =
        sequential || step->order == memory_order_release || step->order == memory_order_acq_rel;
    switch (step->kind) {
    case EXPLORE_LOAD:
        return;
    case EXPLORE_STORE:
        if (sequential)
            count = 0;
        else
            keep(address, step->size, releases);
        return;
    case EXPLORE_CHANGE:
    case EXPLORE_TAKE:
        if (memory == EXPLORE_TSO || releases)
            count = 0;
        else
            drain_word(address, step->size);
        return;
    case EXPLORE_BARRIER:
        for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
            done(i);
        count = 0;
        return;
    case EXPLORE_DROP:
    case EXPLORE_SYSTEM:
        count = 0;
    }
}

void explore_stores_write(void *address, size_t size) {
    keep(address, size, false);
}

unsigned explore_stores_count(void) {
    return count;
}

uintptr_t explore_stores_address(unsigned number) {
    return (uintptr_t)stores[number - 1].address;
}

/* Marks the store `first`, and all stores that may not become visible before it. */
static void mark(unsigned first) {
    for (unsigned i = first; i < count; i++) {
        stores[i].held = i == first || memory == EXPLORE_TSO || stores[i].releases;
        for (unsigned j = first; j < i && !stores[i].held; j++)
            stores[i].held =
                stores[j].held && overlap(&stores[j], stores[i].address, stores[i].size);
    }
}

void explore_stores_leave(unsigned fiber, unsigned held) {
    held_back[fiber].count = 0;
    if (held == 0) return;
    EXPLORE_CHECK(held <= count, "the schedule holds back store %u, of %u", held, count);
    mark(held - 1);
    /* The newest store is undone first: several stores may go to the same bytes. */
    for (unsigned i = count; i-- > held - 1;) {
        struct store *store = &stores[i];
        if (!store->held) continue;
        unsigned char after[sizeof store->bytes];
        memcpy(after, store->address, store->size);
        memcpy(store->address, store->bytes, store->size);
        memcpy(store->bytes, after, store->size);
        held_back[fiber].stores[held_back[fiber].count++] = *store;
    }
}

void explore_stores_return(unsigned fiber) {
    count = 0;
    done(fiber);
}
