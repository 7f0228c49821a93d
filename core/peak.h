/* The highest value that a number has had. Any thread may call these functions. */
#ifndef HAK_PEAK_H
#define HAK_PEAK_H

#include "core/types.h"

HAK_COLD void hak_peak_set(_Atomic size_t *peak, size_t now);

/* Sets the peak to `now` if `now` is higher. */
static inline void hak_peak_raise(_Atomic size_t *peak, size_t now) {
    if (HAK_UNLIKELY(now > atomic_load_explicit(peak, memory_order_relaxed)))
        hak_peak_set(peak, now);
}

#endif
