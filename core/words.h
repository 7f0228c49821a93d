/* Single words that threads share, as the fast paths use them. On x86-64 each function is one
 * instruction with the word as its memory operand; the compiler would use no such operand for an
 * atomic variable. An aligned access is atomic there. */
#ifndef HAK_WORDS_H
#define HAK_WORDS_H

#include "core/types.h"

#if defined(__x86_64__)

/* ptr - *from, which other threads may change. */
HAK_INLINE uintptr_t hak_word_distance(const _Atomic uintptr_t *from, const void *ptr) {
    uintptr_t distance = (uintptr_t)ptr;
    __asm__("subq %1, %0" : "+r"(distance) : "m"(*from) : "cc");
    return distance;
}

/* number < *word, which other threads may change. */
HAK_INLINE bool hak_word_is_above(const _Atomic uint64_t *word, uint64_t number) {
    bool above;
    __asm__("cmpq %2, %1" : "=@ccb"(above) : "r"(number), "m"(*word));
    return above;
}

#else

HAK_INLINE uintptr_t hak_word_distance(const _Atomic uintptr_t *from, const void *ptr) {
    return (uintptr_t)ptr - atomic_load_explicit(from, memory_order_relaxed);
}

HAK_INLINE bool hak_word_is_above(const _Atomic uint64_t *word, uint64_t number) {
    return number < atomic_load_explicit(word, memory_order_relaxed);
}

#endif

/* For a word that no other thread writes at the same time; a tool must see each access to it. */
#if defined(__x86_64__) && !HAK_ATOMICS_ARE_SEEN

/* Adds to the word. A thread that sees the sum also sees all that this thread wrote before. The
 * compiler moves no access across the addition, in either direction. */
HAK_INLINE void hak_word_add(_Atomic uint32_t *word, uint32_t change) {
    __asm__ volatile("addl %1, %0" : "+m"(*word) : "ri"(change) : "cc", "memory");
}

#else

HAK_INLINE void hak_word_add(_Atomic uint32_t *word, uint32_t change) {
    atomic_store_explicit(word, HAK_OWN_LOAD(word) + change, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

#endif

#endif
