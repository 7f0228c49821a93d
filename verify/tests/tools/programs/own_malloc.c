/* A whole allocator without the rare names, which is loaded before HAKMEM. Its blocks lie in one
 * array, each has a mark, and none is used again. A block that is not its own ends the program. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct header {
    size_t size;
    size_t mark;
};
enum { MARK = 0x6f776e };

static char memory[64 << 20] __attribute__((aligned(4096)));
static size_t taken;

void *aligned_alloc(size_t alignment, size_t size) {
    size_t start = (taken + sizeof(struct header) + alignment - 1) & ~(alignment - 1);
    if (size % alignment != 0) _exit(7); /* C11 */
    if (size > sizeof memory || start + size > sizeof memory) {
        errno = ENOMEM;
        return NULL;
    }
    taken = start + size;
    struct header header = {.size = size, .mark = MARK};
    memcpy(memory + start - sizeof header, &header, sizeof header);
    return memory + start;
}

void *malloc(size_t size) {
    return size == 0 ? NULL : aligned_alloc(16, (size + 15) & ~(size_t)15);
}

void *memalign(size_t alignment, size_t size) {
    return aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    *out = memalign(alignment, size);
    return *out == NULL ? ENOMEM : 0;
}

static struct header *own(void *block) {
    struct header *header = (struct header *)block - 1;
    if ((char *)block < memory || (char *)block >= memory + sizeof memory || header->mark != MARK) {
        static const char text[] = "own_malloc: a foreign block\n";
        _exit(write(STDERR_FILENO, text, sizeof text - 1) < 0 ? 8 : 7);
    }
    return header;
}

void free(void *block) {
    if (block != NULL) own(block)->mark = 0;
}

size_t malloc_usable_size(void *block) {
    return block == NULL ? 0 : own(block)->size;
}

void *calloc(size_t count, size_t size) {
    return malloc(count * size); /* memory of the array that was never used: zero */
}

void *realloc(void *block, size_t size) {
    void *moved = malloc(size);
    if (block == NULL || moved == NULL) return moved;
    size_t old = own(block)->size;
    memcpy(moved, block, old < size ? old : size);
    free(block);
    return moved;
}
