/* A correct program for tools that watch blocks: calls every entry point once for each size,
 * ROUNDS times. With `leak` it loses a block of each of the two rarest kinds.
 *
 * usage: every_entry ROUNDS [leak] */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>

extern "C" {
#ifdef TEST_LINKED
#define MAY_BE_MISSING
#else
#define MAY_BE_MISSING                                                                             \
    __attribute__((weak)) /* not in every libc: the preloaded library brings them */
#endif
void free_sized(void *block, size_t size) noexcept MAY_BE_MISSING;
void free_aligned_sized(void *block, size_t alignment, size_t size) noexcept MAY_BE_MISSING;
}
void operator delete(void *block, size_t size) noexcept;
void operator delete[](void *block, size_t size) noexcept;
void operator delete(void *block, size_t size, std::align_val_t alignment) noexcept;
void operator delete[](void *block, size_t size, std::align_val_t alignment) noexcept;

namespace {

constexpr auto wide = static_cast<std::align_val_t>(128);
using std::nothrow;
void *volatile lost;

void *used(void *block, size_t size) {
    if (block == nullptr) abort();
    memset(block, 1, size);
    return block;
}

/* 8 blocks: malloc twice, calloc, realloc twice, reallocarray, posix_memalign, memalign */
void libc_names(size_t size) {
    void *block = used(malloc(size), size);
    if (malloc_usable_size(block) < size) abort();
    free(block);
    free(used(calloc(3, size), 3 * size));
    block = used(realloc(nullptr, size), size);
    block = used(realloc(block, 2 * size), 2 * size);
    block = used(reallocarray(block, 3, size), 3 * size);
    free_sized(block, 3 * size);
    if (posix_memalign(&block, 128, size) != 0) abort();
    free(used(block, size));
    free(used(memalign(256, size), size));
    free(used(malloc(size), size));
}

/* 3 blocks: aligned_alloc, valloc, pvalloc */
void aligned_names(size_t size) {
    free_aligned_sized(used(aligned_alloc(64, 64 * size), 64 * size), 64, 64 * size);
    free(used(valloc(size), size));
    free(used(pvalloc(size), size));
}

/* 6 blocks */
void operators(size_t size) {
    ::operator delete(used(::operator new(size), size));
    ::operator delete(used(::operator new(size), size), size);
    ::operator delete(used(::operator new(size, nothrow), size), nothrow);
    ::operator delete[](used(::operator new[](size), size));
    ::operator delete[](used(::operator new[](size), size), size);
    ::operator delete[](used(::operator new[](size, nothrow), size), nothrow);
}

/* 6 blocks */
void aligned_operators(size_t size) {
    ::operator delete(used(::operator new(size, wide), size), wide);
    ::operator delete(used(::operator new(size, wide), size), size, wide);
    ::operator delete(used(::operator new(size, wide, nothrow), size), wide, nothrow);
    ::operator delete[](used(::operator new[](size, wide), size), wide);
    ::operator delete[](used(::operator new[](size, wide), size), size, wide);
    ::operator delete[](used(::operator new[](size, wide, nothrow), size), wide, nothrow);
}

void reports() {
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere == nullptr || malloc_info(0, nowhere) != 0) abort();
    fclose(nowhere);
    (void)mallinfo2();
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
    (void)malloc_trim(0);
}

} // namespace

int main(int argc, char **argv) {
    static const size_t sizes[] = {1, 40, 1000, 5000, 100000};
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    for (int round = 0; round < rounds; round++)
        for (size_t size : sizes) {
            libc_names(size);
            aligned_names(size);
            operators(size);
            aligned_operators(size);
        }
    reports();
    if (argc > 2 && strcmp(argv[2], "leak") == 0) {
        lost = ::operator new[](4321, nothrow); /* leaked new */
        lost = pvalloc(12345);                  /* leaked pvalloc */
        lost = nullptr;
    }
    puts("ok: every entry");
    return 0;
}
