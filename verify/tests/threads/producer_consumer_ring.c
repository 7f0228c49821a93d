/* Pairs of a producer and a consumer: blocks of all tiers cross threads in both directions, with
 * their contents. */
#include "threads.h"

enum { PAIRS = 3 };

static struct pair { struct ring there, back; } pairs[PAIRS];
static size_t messages;

static void *produce(void *argument) {
    struct pair *pair = argument;
    uint64_t seed = (uint64_t)(pair - pairs);
    for (size_t i = 0; i < messages; i++) {
        ring_put(&pair->there, letter_new(letter_size(&seed), i));
        if (i >= RING_SLOTS / 2) letter_free(ring_take(&pair->back));
    }
    for (size_t i = 0; i < RING_SLOTS / 2; i++)
        letter_free(ring_take(&pair->back));
    return NULL;
}

/* Answers each letter: sends a third of them back, shrunk to a half, and frees the others and
 * sends a new letter of another size. */
static void *answer(void *argument) {
    struct pair *pair = argument;
    uint64_t seed = (uint64_t)(pair - pairs) + 100;
    for (size_t i = 0; i < messages; i++) {
        struct letter *letter = ring_take(&pair->there);
        CHECK(letter->seed == i, "letter %zu says %zu", i, (size_t)letter->seed);
        if (i % 3 == 0) {
            letter_check(letter);
            size_t size = letter->size / 2 < sizeof *letter ? sizeof *letter : letter->size / 2;
            letter = realloc(letter, size);
            letter->size = size;
            ring_put(&pair->back, letter);
        } else {
            letter_free(letter);
            ring_put(&pair->back, letter_new(letter_size(&seed), i));
        }
    }
    return NULL;
}

int main(void) {
    test_needs_hakmem();
    messages = test_quick() ? 30000 : 300000;
    pthread_t threads[2 * PAIRS];
    for (size_t i = 0; i < PAIRS; i++) {
        threads[2 * i] = thread_start(produce, &pairs[i]);
        threads[2 * i + 1] = thread_start(answer, &pairs[i]);
    }
    for (size_t i = 0; i < 2 * PAIRS; i++)
        thread_join(threads[i]);
    return test_ok("%zu letters sent and answered", messages * PAIRS);
}
