/* Breaks what the audit's hooks look at: a slab's counters, a list, a block, or what a batch tells
 * the audit.
 *
 * usage: break_batch_audit_internal KIND */
#include "by_hand.h"

#include "verify/audit_block.h"

static void nothing(void) {}

static void *free_them(void *unused) {
    (void)unused;
    release(0, BLOCKS);
    return NULL; /* the end of the thread sends the blocks home */
}

static void nothing_elsewhere(void) {
    in_a_thread(free_them, NULL);
    allocate(0, BLOCKS);
}

/* ---- counters -------------------------------------------------------------------------------- */

static void used_too_low(void) {
    slab_of(blocks[0])->used--;
}

static void used_too_high(void) {
    slab_of(blocks[0])->used++;
}

static void carved_too_high(void) {
    slab_of(blocks[0])->carved++;
}

static void active_too_low(void) {
    hak_superslab_of(slab_of(blocks[0]))->active--;
}

static void remote_count_too_high(void) {
    atomic_store(&slab_of(blocks[0])->remote,
                 (uint64_t)(uintptr_t)blocks[0] << HAK_REMOTE_COUNT_BITS | 2000);
}

/* The audit's own books must agree with each other, too. */
static void book_of_freelist_too_high(void) {
    hak_audit_slab_of(slab_of(blocks[0]))->free_length++;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_loses_block_and_its_count(void) {
    *list_head() = (*list_head())->next;
    list_count_add(-1);
}

static void look_at_bin(void) {
    hak_hook_bin(hak_thread_heap(), slab_of(blocks[0])->class);
}

static void count_of_bin_too_high(void) {
    list_count_add(1);
    look_at_bin();
}

static void list_links_block(struct hak_block *block) {
    block->next = (*list_head())->next;
    (*list_head())->next = block;
    list_count_add(1);
}

static struct hak_block *block_of_other_class(void) {
    struct hak_block *other = hak_malloc(200);
    hak_header_set(other, HAK_CLASS_HEADER_FREE(slab_of(blocks[0])->class));
    return other;
}

static void list_holds_other_class(void) {
    list_links_block(block_of_other_class());
}

static void list_seen_with_other_class(void) {
    list_links_block(block_of_other_class());
    look_at_bin();
}

/* The header of this address is a byte of the live block around it. */
static void list_seen_inside_of_a_block(void) {
    struct hak_block *inside = (void *)((char *)blocks[0] + 16);
    hak_header_set(inside, HAK_CLASS_HEADER_FREE(slab_of(blocks[0])->class));
    list_links_block(inside);
    look_at_bin();
}

static void list_holds_overwritten_header(void) {
    hak_header_set((*list_head())->next, 0x11);
    look_at_bin();
}

static void list_flushed_with_overwritten_header(void) {
    release_to_slabs(0, BLOCKS);
    allocate(0, 1);
    hak_header_set((*list_head())->next, 0x11);
    hak_flush_all(hak_thread_heap());
}

static void list_holds_block_of_freelist(void) {
    release_to_slabs(0, 100);
    struct hak_block *block = slab_of(blocks[0])->freelist;
    allocate(0, 1); /* refills the bin from another slab or from other blocks of this slab */
    slab_of(blocks[50])->freelist = block->next;
    list_links_block(block);
    look_at_bin();
}

static void freelist_loses_block(void) {
    struct hak_slab *slab = slab_of(blocks[BLOCKS / 2]);
    release_to_slabs(0, BLOCKS / 2); /* some blocks of the slab stay live, so the slab stays */
    CHECK(slab->freelist != NULL && slab->freelist->next != NULL, "nothing to lose");
    slab->freelist = slab->freelist->next;
    allocate(0, BLOCKS / 2);
}

/* ---- what a batch says of itself ------------------------------------------------------------- */

/* A freed block of the first slab that is in no list. The count of the bin, and the audit's count
 * of the bin, still include the block. */
static struct hak_block *freed_block(void) {
    struct hak_block *block = blocks[20];
    hak_free(block);
    CHECK(*list_head() == block, "flushed at once");
    *list_head() = block->next;
    block->next = NULL;
    return block;
}

/* The first block of the freelist of the first slab. The block stays on the freelist. */
static struct hak_block *freelist_block(void) {
    release_to_slabs(0, 10);
    return slab_of(blocks[11])->freelist;
}

/* Tells the audit of a batch of blocks of the first slab. */
static void tell(enum hak_batch batch, void *head, uint32_t count) {
    hak_hook_batch(batch, slab_of(blocks[11]), head, count);
}

static void used_add(uint16_t change) {
    struct hak_slab *slab = slab_of(blocks[11]);
    slab->used = (uint16_t)(slab->used + change);
    hak_superslab_of(slab)->active += (uint32_t)(int16_t)change;
}

static void moved_block_on_the_stack(void) {
    _Alignas(16) char elsewhere[32];
    tell(HAK_BATCH_SEND, elsewhere + 16, 1);
}

static void moved_block_of_another_slab(void) {
    tell(HAK_BATCH_SEND, blocks[BLOCKS - 1], 1);
}

static void moved_block_inside_of_a_block(void) {
    tell(HAK_BATCH_SEND, (char *)blocks[0] + 16, 1);
}

static void moved_block_is_live(void) {
    tell(HAK_BATCH_SEND, blocks[0], 1);
}

static void sends_too_many(void) {
    tell(HAK_BATCH_SEND, NULL, slab_of(blocks[0])->capacity + 1u);
}

static void takes_too_many(void) {
    tell(HAK_BATCH_TAKE, NULL, 1);
}

static void takes_without_an_end(void) {
    struct hak_block *head = freelist_block();
    used_add(1);
    tell(HAK_BATCH_TAKE, head, 1);
}

static void puts_too_many(void) {
    tell(HAK_BATCH_PUT, NULL, slab_of(blocks[0])->used + 1u);
}

static void puts_beyond_capacity(void) {
    slab_of(blocks[11])->capacity--;
    tell(HAK_BATCH_PUT, NULL, 0);
}

static void puts_onto_no_freelist(void) {
    struct hak_block *block = freed_block();
    used_add((uint16_t)-1);
    tell(HAK_BATCH_PUT, block, 1);
}

static void uncarves_more_than_listed(void) {
    tell(HAK_BATCH_UNCARVE, NULL, slab_of(blocks[0])->capacity + 1u);
}

static void resets_with_blocks_out(void) {
    tell(HAK_BATCH_RESET, freed_block(), 1);
}

static void resets_with_used_too_low(void) {
    used_add((uint16_t)-1);
    tell(HAK_BATCH_RESET, NULL, 0);
}

static void carve_again(void) {
    struct hak_slab *slab = slab_of(blocks[BLOCKS - 1]);
    struct hak_block *head;
    slab->carved--;
    slab->used--;
    hak_superslab_of(slab)->active--;
    uint32_t count = hak_slab_carve(slab, 1, &head);
    hak_hook_batch(HAK_BATCH_CARVE, slab, head, count);
}

/* ---- what happens to a slab or a heap -------------------------------------------------------- */

static void new_slab_with_blocks(void) {
    hak_hook_event(HAK_EVENT_SLAB_CREATED, slab_of(blocks[0]));
}

static struct hak_slab *emptied_slab(void) {
    struct hak_slab *slab = slab_of(blocks[0]);
    slab->used = slab->carved = 0;
    return slab;
}

static void new_slab_of_wrong_capacity(void) {
    struct hak_slab *slab = emptied_slab();
    slab->capacity--;
    hak_hook_event(HAK_EVENT_SLAB_CREATED, slab);
}

static void new_slab_over_another(void) {
    hak_hook_event(HAK_EVENT_SLAB_CREATED, emptied_slab());
}

static void gives_up_used_slab(void) {
    hak_hook_event(HAK_EVENT_SLAB_DESTROYED, slab_of(blocks[0]));
}

static void gives_up_slab_with_remote_list(void) {
    struct hak_slab *slab = slab_of(blocks[0]);
    hak_audit_slab_of(slab)->used = 0;
    atomic_store(&slab->remote, 3);
    hak_hook_event(HAK_EVENT_SLAB_DESTROYED, slab);
}

static void gives_up_slab_with_live_blocks(void) {
    struct hak_slab *slab = slab_of(blocks[0]);
    hak_audit_slab_of(slab)->used = 0;
    hak_hook_event(HAK_EVENT_SLAB_DESTROYED, slab);
}

static void switches_to_full_slab(void) {
    hak_hook_event(HAK_EVENT_SLAB_SWITCHED, slab_of(blocks[0]));
}

static void ends_with_full_bins(void) {
    hak_hook_event(HAK_EVENT_HEAP_ENDED, hak_thread_heap());
}

static void reclaims_heap_with_full_bins(void) {
    hak_hook_event(HAK_EVENT_HEAP_RECLAIMED, hak_thread_heap());
}

static void ends_with_current_slabs(void) {
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        hak_bin_set(hak_thread_heap(), bin, NULL, 0, 1);
    hak_hook_event(HAK_EVENT_HEAP_ENDED, hak_thread_heap());
}

static void *lose_the_list(void *unused) {
    (void)unused;
    hak_free(hak_malloc(SIZE));
    hak_bin_set(hak_thread_heap(), slab_of(blocks[0])->class, NULL, 0, 1);
    return NULL;
}

static void thread_ends_without_its_list(void) {
    in_a_thread(lose_the_list, NULL);
}

/* ---- states (level 2) ------------------------------------------------------------------------ */

static void takes_block_of_list(void) {
    freelist_block();
    used_add(1);
    tell(HAK_BATCH_TAKE, freed_block(), 1);
}

/* The slab is full. From here on it has one block more. */
static void slab_add_block(struct hak_slab *slab) {
    slab->capacity++;
    slab->carved++;
}

static void carves_block_of_list(void) {
    struct hak_block *block = freed_block();
    slab_add_block(slab_of(block));
    used_add(1);
    tell(HAK_BATCH_CARVE, block, 1);
}

static void puts_block_of_freelist(void) {
    struct hak_block *block = freelist_block();
    used_add((uint16_t)-1);
    tell(HAK_BATCH_PUT, block, 1);
}

static void sends_block_of_freelist(void) {
    tell(HAK_BATCH_SEND, freelist_block(), 1);
}

static void collects_block_of_list(void) {
    struct hak_block *block = freed_block();
    slab_of(block)->freelist = block;
    used_add((uint16_t)-1);
    tell(HAK_BATCH_COLLECT, block, 1);
}

static void uncarves_block_of_list(void) {
    struct hak_slab *slab = slab_of(freelist_block());
    slab->freelist = slab->freelist->next;
    slab->carved--;
    tell(HAK_BATCH_UNCARVE, freed_block(), 1);
}

static void recarves_block_of_list(void) {
    struct hak_block *block = freed_block();
    slab_add_block(slab_of(block));
    slab_of(block)->freelist = block;
    tell(HAK_BATCH_RECARVE, block, 1);
}

static void resets_block_of_list(void) {
    tell(HAK_BATCH_RESET, freed_block(), slab_of(blocks[0])->used);
}

/* Frees the block, and makes the header say live again. The check of release cannot see this; the
 * audit's state of the block shows it. */
static void forge_live(void *block) {
    hak_free(block);
    hak_header_set(block, HAK_CLASS_HEADER(slab_of(block)->class));
}

static void frees_twice_with_forged_header(void) {
    forge_live(blocks[5]);
    hak_free(blocks[5]);
}

static void resizes_freed_block_with_forged_header(void) {
    forge_live(blocks[5]);
    hak_realloc(blocks[5], SIZE - 1);
}

static void frees_inside_of_a_block(void) {
    char *inside = (char *)blocks[5] + 16;
    hak_header_set(inside, hak_header_of(blocks[5]));
    hak_free(inside);
}

static void *allocate_from(void *head) {
    hak_free(hak_malloc(SIZE));
    *list_head() = head;
    return hak_malloc(SIZE);
}

static void allocates_from_the_list_of_another(void) {
    in_a_thread(allocate_from, *list_head());
}

/* ---- contents (level 2) ---------------------------------------------------------------------- */

static void resizes_beyond_usable(void) {
    hak_hook_resize(blocks[0], 48);
}

static void writes_behind(void) {
    ((char *)blocks[5])[SIZE] = 1;
}

static void writes_behind_and_resizes(void) {
    writes_behind();
    hak_realloc(blocks[5], SIZE - 1);
}

static void writes_behind_a_large_block(void) {
    char *block = hak_malloc(100000);
    block[100000] = 1;
    hak_free(block);
}

static void writes_behind_a_large_block_and_resizes(void) {
    char *block = hak_malloc(100000);
    block[100063] = 1;
    hak_realloc(block, 300000);
}

static void ends_a_large_block_twice(void) {
    char *block = hak_malloc(100000);
    hak_audit_large_ended(block);
    hak_free(block);
}

static void writes_behind_an_aligned_block(void) {
    char *block = hak_aligned_alloc(256, 100);
    block[100] = 1;
    hak_free(block);
}

static void writes_after_free(void) {
    hak_free(blocks[5]);
    ((char *)blocks[5])[SIZE - 10] = 1;
    blocks[5] = hak_malloc(SIZE);
}

static const struct kind kinds[] = {
    KIND(nothing),
    KIND(nothing_elsewhere),
    KIND(used_too_low),
    KIND(used_too_high),
    KIND(carved_too_high),
    KIND(active_too_low),
    KIND(remote_count_too_high),
    KIND(book_of_freelist_too_high),
    KIND(list_loses_block_and_its_count),
    KIND(count_of_bin_too_high),
    KIND(list_holds_other_class),
    KIND(list_seen_with_other_class),
    KIND(list_seen_inside_of_a_block),
    KIND(list_holds_overwritten_header),
    KIND(list_flushed_with_overwritten_header),
    KIND(list_holds_block_of_freelist),
    KIND(freelist_loses_block),
    KIND(moved_block_on_the_stack),
    KIND(moved_block_of_another_slab),
    KIND(moved_block_inside_of_a_block),
    KIND(moved_block_is_live),
    KIND(sends_too_many),
    KIND(takes_too_many),
    KIND(takes_without_an_end),
    KIND(puts_too_many),
    KIND(puts_beyond_capacity),
    KIND(puts_onto_no_freelist),
    KIND(uncarves_more_than_listed),
    KIND(resets_with_blocks_out),
    KIND(resets_with_used_too_low),
    KIND(carve_again),
    KIND(new_slab_with_blocks),
    KIND(new_slab_of_wrong_capacity),
    KIND(new_slab_over_another),
    KIND(gives_up_used_slab),
    KIND(gives_up_slab_with_remote_list),
    KIND(gives_up_slab_with_live_blocks),
    KIND(switches_to_full_slab),
    KIND(ends_with_full_bins),
    KIND(reclaims_heap_with_full_bins),
    KIND(ends_with_current_slabs),
    KIND(thread_ends_without_its_list),
    KIND(takes_block_of_list),
    KIND(carves_block_of_list),
    KIND(puts_block_of_freelist),
    KIND(sends_block_of_freelist),
    KIND(collects_block_of_list),
    KIND(uncarves_block_of_list),
    KIND(recarves_block_of_list),
    KIND(resets_block_of_list),
    KIND(frees_twice_with_forged_header),
    KIND(resizes_freed_block_with_forged_header),
    KIND(frees_inside_of_a_block),
    KIND(allocates_from_the_list_of_another),
    KIND(resizes_beyond_usable),
    KIND(writes_behind),
    KIND(writes_behind_and_resizes),
    KIND(writes_behind_a_large_block),
    KIND(writes_behind_a_large_block_and_resizes),
    KIND(ends_a_large_block_twice),
    KIND(writes_behind_an_aligned_block),
    KIND(writes_after_free),
};

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: break_batch_audit_internal KIND");
    allocate(0, BLOCKS);
    return by_hand(kinds, TEST_COUNT(kinds), go_on, argv[1]);
}
