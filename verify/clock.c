#include "verify/clock.h"

#include <stdatomic.h>

#define BEFORE_THE_WRAP 1000u

static _Atomic uint32_t clock_ms = UINT32_MAX - BEFORE_THE_WRAP;

uint32_t __wrap_hak_os_now_ms(void);

/* A relaxed read-modify-write: it orders nothing, and Helgrind and DRD take it for a read. */
void hak_clock_passes(uint32_t milliseconds) {
    atomic_fetch_add_explicit(&clock_ms, milliseconds, memory_order_relaxed);
}

uint32_t __wrap_hak_os_now_ms(void) {
    return atomic_load_explicit(&clock_ms, memory_order_relaxed);
}
