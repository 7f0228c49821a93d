#include "core/window.h"

#include "core/hooks.h"

static struct {
    void *reserved; /* start of the reservation; NULL: only committed pages are mapped */
    size_t bytes;
} window;

/* ---- where it lies --------------------------------------------------------------------------- */

#define TRIES 4u

/* A bijection in which each bit of the input changes many bits: the finalizer of splitmix64
 * (Steele, Lea, Flood 2014). */
static uint64_t spread(uint64_t word) {
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    return word ^ (word >> 31);
}

/* As hard to guess as the addresses at which the kernel has put the first stack and HAKMEM's code.
 * The same each time if the user has switched the kernel's random addresses off. */
static uint64_t chance(unsigned attempt) {
    return spread(hak_os_first_stack() + spread((uintptr_t)&chance + attempt));
}

/* The first stack lies in the upper half of the addresses that a process may have, which gives
 * their number. Programs, libraries, stacks and the kernel's own choices lie above five eighths of
 * them. Mappings that ask for low addresses, and the shadow memory of AddressSanitizer, lie below a
 * quarter. */
static void window_borders(uintptr_t *low, uintptr_t *high) {
    const uintptr_t half = (uintptr_t)1 << hak_log2(hak_os_first_stack());
    *low = half / 2;
    *high = half + half / 4;
}

static uintptr_t window_choose(size_t bytes, unsigned attempt) {
    const size_t align = (size_t)1 << HAK_SUPERSLAB_SHIFT;
    uintptr_t low, high;
    window_borders(&low, &high);
    HAK_ASSERT(low % align == 0 && bytes < high - low);
    uint64_t places = (high - low - bytes) / align;
    return low + chance(attempt) % places * align;
}

size_t hak_window_max_bytes(void) {
    uintptr_t low, high;
    window_borders(&low, &high);
    return (high - low) / 2;
}

bool hak_window_open(size_t bytes, struct hak_area *first) {
    HAK_CHECK(window.reserved == NULL && first->committed == 0);
    if (hak_os_has_sanitizer() || bytes > hak_window_max_bytes()) return false;
    for (unsigned attempt = 0; attempt < TRIES; attempt++) {
        first->start = window_choose(bytes, attempt);
        enum hak_placed placed = hak_area_grow(first, first->most);
        if (placed == HAK_PLACED) return true;
        if (placed == HAK_PLACE_REFUSED) return false;
    }
    return false;
}

bool hak_window_reserve(size_t bytes, struct hak_area *first) {
    HAK_CHECK(window.reserved == NULL && first->committed == 0);
    window.reserved = hak_os.reserve(bytes);
    window.bytes = bytes;
    if (window.reserved == NULL) return false;
    first->start = (uintptr_t)window.reserved;
    if (hak_area_grow(first, first->most) == HAK_PLACED) return true;
    hak_os.unmap(window.reserved, bytes);
    window.reserved = NULL;
    return false;
}

bool hak_window_fits(size_t bytes) {
    void *probe = hak_os.reserve(bytes);
    return probe != NULL && hak_os.unmap(probe, bytes);
}

void hak_window_close(struct hak_area *const *areas, size_t count) {
    for (size_t i = 0; i < count; i++) {
        hak_area_shrink(areas[i], 0);
        areas[i]->committed = 0;
    }
    if (window.reserved != NULL) hak_os.unmap(window.reserved, window.bytes);
    window.reserved = NULL;
}

/* ---- areas ----------------------------------------------------------------------------------- */

enum hak_placed hak_window_commit(uintptr_t start, size_t bytes) {
    enum hak_placed placed = HAK_PLACED;
    HAK_ASSERT(bytes > 0 && (start | bytes) % hak_os_page_size() == 0);
    if (window.reserved == NULL)
        placed = hak_os.place((void *)start, bytes);
    else if (!hak_os.commit((void *)start, bytes))
        placed = HAK_PLACE_REFUSED;
    if (placed == HAK_PLACED) hak_hook_fresh((void *)start, bytes);
    return placed;
}

enum hak_placed hak_area_grow(struct hak_area *area, size_t bytes) {
    bytes = hak_round_up(bytes, hak_os_page_size());
    if (bytes <= area->committed) return HAK_PLACED;
    if (bytes > area->most) return HAK_PLACE_REFUSED;
    area->changing = bytes;
    enum hak_placed placed =
        hak_window_commit(area->start + area->committed, bytes - area->committed);
    if (placed == HAK_PLACED) area->committed = bytes;
    area->changing = 0;
    return placed;
}

void hak_area_look_again(struct hak_area *area) {
    if (window.reserved == NULL && area->changing > area->committed) {
        void *start = (void *)(area->start + area->committed);
        if (hak_os_is_mapped(start, area->changing - area->committed))
            area->committed = area->changing;
    }
    area->changing = 0;
}

void hak_area_count_unmapped(struct hak_area *area, size_t bytes) {
    HAK_CHECK(bytes <= area->most - area->committed);
    area->committed += bytes;
}

void hak_area_shrink(struct hak_area *area, size_t bytes) {
    const size_t before = area->committed;
    HAK_ASSERT(bytes % hak_os_page_size() == 0);
    if (window.reserved != NULL || bytes >= before) return;
    area->changing = before;
    /* First: a child of fork must not take unmapped pages for committed ones. */
    area->committed = bytes;
    if (!hak_os.unmap((void *)(area->start + bytes), before - bytes)) area->committed = before;
    area->changing = 0;
}

void hak_area_end_at(struct hak_area *area, size_t bytes) {
    HAK_CHECK(bytes <= area->committed && bytes % hak_os_page_size() == 0);
    area->committed = bytes;
}

bool hak_window_is_reserved(void) {
    return window.reserved != NULL;
}

bool hak_window_unmap(uintptr_t start, size_t bytes) {
    HAK_ASSERT(bytes > 0 && (start | bytes) % hak_os_page_size() == 0);
    return window.reserved == NULL && hak_os.unmap((void *)start, bytes);
}
