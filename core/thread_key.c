#include "core/thread_key.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core/hooks.h"

/* The pthread_key_t + 1; 0: there is no key yet. */
static _Atomic uint64_t key;

void hak_thread_key_init(void) {
    hak_hook_atomic(&key, sizeof key);
}

/* A thread makes the key only when it has a heap, because libc, or a library that wraps the
 * call, may allocate. Two threads may do so at once; the first key is kept. */
bool hak_thread_key_set(void *value, void (*ends)(void *value)) {
    uint64_t known = atomic_load_explicit(&key, memory_order_acquire);
    if (known == 0) {
        pthread_key_t made;
        if (pthread_key_create(&made, ends) != 0) return false;
        bool is_first = atomic_compare_exchange_strong_explicit(
            &key, &known, (uint64_t)made + 1, memory_order_acq_rel, memory_order_acquire);
        if (is_first)
            known = (uint64_t)made + 1;
        else
            pthread_key_delete(made);
    }
    return pthread_setspecific((pthread_key_t)(known - 1), value) == 0;
}

void hak_thread_key_arm(void) {
    uint64_t known = atomic_load_explicit(&key, memory_order_acquire);
    if (known != 0) pthread_setspecific((pthread_key_t)(known - 1), &key);
}
