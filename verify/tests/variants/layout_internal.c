/* Prints size and member offsets of every structure that fast and slow paths share. They are
 * equal in all variants. */
#include <stddef.h>
#include <stdio.h>

#include "core/heap.h"
#include "core/large_record.h"

#define SIZE(type)           printf("%-32s %zu\n", #type, sizeof(type))
#define OFFSET(type, member) printf("  %-30s %zu\n", #member, offsetof(type, member))

int main(void) {
    SIZE(struct hak_home);
    SIZE(struct hak_heap_class);
    SIZE(struct hak_heap);
    OFFSET(struct hak_heap, free_capacity);
    OFFSET(struct hak_heap, heads[HAK_CLASS_HEADER_FIRST]);
    OFFSET(struct hak_heap, home);
    OFFSET(struct hak_heap, classes);
    OFFSET(struct hak_heap, open);
    OFFSET(struct hak_heap, next_reclaimed);
    OFFSET(struct hak_heap, thread_id);
    SIZE(struct hak_slab);
    OFFSET(struct hak_slab, remote);
    OFFSET(struct hak_slab, home);
    OFFSET(struct hak_slab, freelist);
    OFFSET(struct hak_slab, used);
    OFFSET(struct hak_slab, kind);
    SIZE(struct hak_superslab);
    OFFSET(struct hak_superslab, active);
    OFFSET(struct hak_superslab, in_use);
    SIZE(struct hak_large);
    OFFSET(struct hak_large, kind);
    SIZE(struct hak_policy);
    SIZE(struct hak_class);
    return 0;
}
