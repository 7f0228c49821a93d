#include "verify/record_slots.h"

#include <stddef.h>
#include <sys/mman.h>

#include "fuzz/oplog.h"

struct slot {
    uintptr_t address; /* of the block that it holds, or held last */
    uint32_t next;     /* of a free slot: the slot below it on the stack of free slots */
};

static struct slot *slots;
static uint32_t slot_count, slot_room, free_top = RECORD_NO_SLOT;

/* Hash table with open addressing: slot + 1 of a live block, or 0. At most half full. */
static uint32_t *places;
static size_t place_room, place_used;

static void *from_system(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t home_of(uintptr_t address) {
    return (size_t)((uint64_t)address * 0x9e3779b97f4a7c15u >> 20) & (place_room - 1);
}

static size_t place_after(size_t place) {
    return (place + 1) & (place_room - 1);
}

/* The place of the address, or the empty place where it belongs. */
static size_t place_of(uintptr_t address) {
    size_t place = home_of(address);
    while (places[place] != 0 && slots[places[place] - 1].address != address)
        place = place_after(place);
    return place;
}

static bool places_grow(void) {
    size_t old_room = place_room;
    uint32_t *old = places,
             *wider = from_system((old_room == 0 ? 1 << 16 : old_room * 2) * sizeof *places);
    if (wider == NULL) return false;
    places = wider;
    place_room = old_room == 0 ? 1 << 16 : old_room * 2;
    for (size_t i = 0; i < old_room; i++)
        if (old[i] != 0) places[place_of(slots[old[i] - 1].address)] = old[i];
    if (old_room != 0) munmap(old, old_room * sizeof *old);
    return true;
}

static bool slots_grow(void) {
    size_t old = slot_room * sizeof *slots, new = old == 0 ? 1 << 20 : old * 2;
    void *wider = old == 0 ? from_system(new) : mremap(slots, old, new, MREMAP_MAYMOVE);
    if (wider == NULL || wider == MAP_FAILED) return false;
    slots = wider;
    slot_room = (uint32_t)(new / sizeof *slots);
    return true;
}

uint32_t record_slot_take(void) {
    if (free_top != RECORD_NO_SLOT) {
        uint32_t slot = free_top;
        free_top = slots[slot].next;
        return slot;
    }
    if (slot_count == OPLOG_SLOTS || (slot_count == slot_room && !slots_grow()))
        return RECORD_NO_SLOT;
    return slot_count++;
}

void record_slot_drop(uint32_t slot) {
    slots[slot].next = free_top;
    free_top = slot;
}

bool record_slot_fill(uint32_t slot, const void *block) {
    if (place_used >= place_room / 2 && !places_grow()) return false;
    slots[slot].address = (uintptr_t)block;
    places[place_of((uintptr_t)block)] = slot + 1;
    place_used++;
    return true;
}

uint32_t record_slot_of(const void *block) {
    if (place_room == 0) return RECORD_NO_SLOT;
    return places[place_of((uintptr_t)block)] - 1;
}

/* Entries behind the gap move into it, except those that would then lie before their home place. */
static void place_clear(size_t gap) {
    for (size_t place = place_after(gap); places[place] != 0; place = place_after(place)) {
        size_t home = home_of(slots[places[place] - 1].address);
        if (((place - home) & (place_room - 1)) < ((place - gap) & (place_room - 1))) continue;
        places[gap] = places[place];
        gap = place;
    }
    places[gap] = 0;
    place_used--;
}

void record_slot_empty(uint32_t slot) {
    place_clear(place_of(slots[slot].address));
}

uint32_t record_slot_that_held(const void *block) {
    for (uint32_t slot = free_top; slot != RECORD_NO_SLOT; slot = slots[slot].next)
        if (slots[slot].address == (uintptr_t)block) return slot;
    return RECORD_NO_SLOT;
}
