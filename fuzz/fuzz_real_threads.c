/* Real threads, under AddressSanitizer and under ThreadSanitizer. Each thread does its part of the
 * input's operations on slots that all threads share, so threads free, resize and read blocks that
 * other threads allocated. The system schedules the threads: an input that found an error once need
 * not find it again. */
#include <pthread.h>
#include <string.h>

#include "core/hakmem.h"
#include "verify/virtual/system.h"
#include "verify/heap_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOTS   32u
#define THREADS 3u

struct op {
    uint8_t kind, slot;
    uint16_t size;
};

/* The beginning of each block. The bytes after it, up to 256 of them, are `fill`. */
struct block {
    uint32_t size, fill;
};

static _Atomic(struct block *) slots[SLOTS];

struct input {
    const uint8_t *data;
    size_t ops;
    pthread_barrier_t together;
};

struct part {
    struct input *input;
    unsigned thread;
};

static size_t size_of(uint16_t code) {
    size_t n = code & 0xfff;
    size_t sizes[] = {n % 64, n % 512, n, n * 16, n * 32, (n % 4) * 1000, n % 1024, n * 8};
    return sizeof(struct block) + sizes[code >> 13];
}

static void fill(struct block *block, size_t size) {
    if (block == NULL) return;
    *block = (struct block){.size = (uint32_t)size, .fill = (uint32_t)size * 31 % 255};
    size_t rest = size - sizeof *block;
    memset(block + 1, (int)block->fill, rest < 256 ? rest : 256);
}

static void expect_kept(const struct block *block, size_t size) {
    const unsigned char *bytes = (const unsigned char *)(block + 1);
    size_t rest = size - sizeof *block;
    for (size_t i = 0; i < rest && i < 256; i++)
        FUZZ_CHECK(bytes[i] == block->fill, "byte %zu of %u changed", i, block->size);
}

static void give(struct block *block) {
    if (block == NULL) return;
    expect_kept(block, block->size);
    hak_free(block);
}

static struct block *again(struct block *block, size_t size) {
    size_t kept = block != NULL && block->size < size ? block->size : size;
    struct block *resized = hak_realloc(block, size);
    FUZZ_CHECK(resized != NULL, "realloc to %zu bytes failed", size);
    if (block != NULL) expect_kept(resized, kept);
    return resized;
}

static void run_op(const struct op *op) {
    size_t size = size_of(op->size);
    struct block *block = NULL;
    switch (op->kind % 8) {
    case 0:
    case 1:
    case 2:
        fill(block = hak_malloc(size), size);
        break;
    case 3:
        fill(block = hak_calloc(1, size), size);
        break;
    case 4:
        fill(block = hak_aligned_alloc((size_t)16 << op->kind / 8 % 10, size), size);
        break;
    case 5:
        fill(block = again(atomic_exchange(&slots[op->slot % SLOTS], NULL), size), size);
        break;
    case 6:
        if (op->kind == 6) hak_malloc_trim(0);
        break;
    default:
        break;
    }
    give(atomic_exchange(&slots[op->slot % SLOTS], block));
}

static void *run_part(void *argument) {
    const struct part *part = argument;
    pthread_barrier_wait(&part->input->together);
    for (size_t i = part->thread; i < part->input->ops; i += THREADS) {
        struct op op;
        memcpy(&op, part->input->data + i * sizeof op, sizeof op);
        run_op(&op);
    }
    return NULL;
}

static void run_threads(struct input *input) {
    pthread_t threads[THREADS];
    struct part parts[THREADS];
    int bad = pthread_barrier_init(&input->together, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        parts[i] = (struct part){.input = input, .thread = i};
        bad |= pthread_create(&threads[i], NULL, run_part, &parts[i]);
    }
    FUZZ_CHECK(bad == 0, "no threads");
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&input->together);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {.data = data, .ops = size / sizeof(struct op)};
    run_threads(&input);
    for (unsigned i = 0; i < SLOTS; i++)
        give(atomic_exchange(&slots[i], NULL));
    hak_malloc_trim(0);
    struct hak_heap_check check;
    FUZZ_CHECK(hak_check_heap(&check), "%zu equations do not hold", check.faults);
    FUZZ_CHECK(check.live + check.large + check.slabs == 0,
               "%zu blocks, %zu large ones and %zu slabs are left", check.live, check.large,
               check.slabs);
    return 0;
}
