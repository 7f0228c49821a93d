/* The main thread ends by pthread_exit, and allocates in a destructor that runs after the
 * allocator's own. The kernel knows the main thread until the process ends, so this thread
 * borrows a heap for each operation, and no heap is lost. */
#define TEST_LINKED
#include "threads.h"

#include <limits.h>

#include "core/heap.h"
#include "verify/heap_check.h"

enum { BLOCKS = 300 };

static struct letter *letters[BLOCKS];
static pthread_t main_thread;
static pthread_key_t key;

static void late(void *value) {
    static int round;
    if (++round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(key, value);
        return;
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        letters[i] = letter_new(30 + i * 100, i);
        free(malloc(30 + i * 100));
        CHECK(hak_thread_heap() == &hak_heap_gone, "a heap that nobody will give back");
    }
}

static void count_with_a_thread(struct hak_heap *heap, void *count) {
    *(size_t *)count += heap->state != HAK_HEAP_ABANDONED && heap->state != HAK_HEAP_RECLAIMED;
}

static void *go_on(void *unused) {
    struct hak_heap_check check;
    size_t heaps = 0;
    (void)unused;
    thread_join(main_thread);
    for (size_t i = 0; i < BLOCKS; i++)
        letter_free(letters[i]);
    hak_malloc_trim(0);
    hak_heap_each(count_with_a_thread, &heaps);
    CHECK(heaps == 1, "%zu heaps have a thread, and one allocates", heaps);
    CHECK(hak_check_heap(&check), "%zu equations do not hold", check.faults);
    exit(test_ok("%d blocks of the main thread", BLOCKS));
}

int main(void) {
    hak_free(hak_malloc(1));
    CHECK(pthread_key_create(&key, late) == 0, "no key");
    pthread_setspecific(key, &key);
    main_thread = pthread_self();
    thread_start(go_on, NULL);
    pthread_exit(NULL);
}
