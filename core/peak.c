#include "core/peak.h"

void hak_peak_set(_Atomic size_t *peak, size_t now) {
    size_t most = atomic_load_explicit(peak, memory_order_relaxed);
    while (now > most && !atomic_compare_exchange_weak_explicit(
                             peak, &most, now, memory_order_relaxed, memory_order_relaxed)) {
    }
}
