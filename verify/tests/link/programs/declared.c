/* Calls each function that HAKMEM's headers declare, by its prefixed name: link.bats looks for the
 * names in this file. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "core/hakmem.h"
#include "verify/hakmem_audit.h"

#define CHECK(cond)                                                                                \
    ((cond) ? (void)0 : (void)(printf("line %d: %s fails\n", __LINE__, #cond), exit(1)))

static void blocks(void) {
    void *aligned;
    char *block = (char *)hak_calloc(10, 10);
    CHECK(block != NULL && block[99] == 0 && hak_malloc_usable_size(block) >= 100);
    block = (char *)hak_realloc(block, 1000);
    block = (char *)hak_reallocarray(block, 10, 1000);
    hak_free(block);
    hak_free_sized(hak_malloc(10), 10);
    hak_free_aligned_sized(hak_aligned_alloc(64, 10), 64, 10);
    CHECK(hak_posix_memalign(&aligned, 64, 10) == 0);
    hak_free(aligned);
    hak_free(hak_memalign(64, 10));
    hak_free(hak_valloc(10));
    hak_free(hak_pvalloc(10));
}

int main(void) {
    blocks();
    CHECK(strcmp(hak_version(), HAKMEM_VERSION) == 0);
    hak_malloc_stats();
    CHECK(hak_malloc_info(0, stdout) == 0);
    CHECK(hak_mallinfo().arena > 0 && hak_mallinfo2().arena > 0);
    CHECK(hak_mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1);
    hak_malloc_trim(0);
    CHECK((hak_heap_check != NULL) == HAS_AUDIT);
    if (HAS_AUDIT) CHECK(hak_heap_check() == 0);
    puts("ran");
    return 0;
}
