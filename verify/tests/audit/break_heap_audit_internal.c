/* Breaks what the check of the whole heap looks at, and asks for that check: by the signal that HAKMEM_AUDIT_SIGNAL names,
 * at level 3 by refills, else by hak_heap_check(). Figures that only their own file can write are broken on their way to
 * the check: the linker leads it to the __wrap_ functions of break_range.h.
 *
 * usage: break_heap_audit_internal KIND */
#include "break_range.h"
#include "break_slabs.h"

static const struct kind kinds[] = {
    KIND(nothing),
    KIND(top_beyond_memory),
    KIND(top_too_high),
    KIND(top_too_low),
    KIND(slots_too_short),
    KIND(records_too_short),
    KIND(limit_too_low),
    KIND(no_memory_for_the_check),
    KIND(list_leaves_the_range),
    KIND(list_enters_large_block),
    KIND(freelist_enters_another_slab),
    KIND(list_enters_another_class),
    KIND(list_enters_the_middle_of_a_block),
    KIND(list_enters_uncarved_memory),
    KIND(listed_header_overwritten),
    KIND(list_is_a_circle),
    KIND(count_too_high),
    KIND(live_header_says_free),
    KIND(carved_above_capacity),
    KIND(used_above_carved),
    KIND(used_below_carved),
    KIND(capacity_too_high),
    KIND(remote_count_too_high),
    KIND(remote_count_above_used),
    KIND(tail_without_kind),
    KIND(tail_leads_elsewhere),
    KIND(slab_without_granules),
    KIND(slab_in_another_superslab),
    KIND(slab_in_another_unit),
    KIND(slab_of_another_home),
    KIND(used_shown_too_high),
    KIND(partial_slab_says_full),
    KIND(partial_slab_of_another_class),
    KIND(partial_slab_of_another_home),
    KIND(partial_slab_without_free_blocks),
    KIND(partial_slab_with_wrong_back_link),
    KIND(partial_slab_lost),
    KIND(partial_slab_lost_as_full),
    KIND(current_slab_says_partial),
    KIND(current_slab_of_another_class),
    KIND(current_slab_of_another_thread),
    KIND(current_slab_lost),
    KIND(notification_lost),
    KIND(notification_too_early),
    KIND(notification_doubled),
    KIND(notification_of_no_slab),
    KIND(notification_elsewhere),
    KIND(superslab_with_another_record),
    KIND(superslabs_too_high),
    KIND(arena_too_large),
    KIND(open_superslab_lost),
    KIND(open_superslab_with_wrong_back_link),
    KIND(open_superslab_of_nobody),
    KIND(open_superslab_without_free_units),
    KIND(open_superslab_of_another_kind),
    KIND(active_too_high),
    KIND(free_unit_lost),
    KIND(used_unit_is_dirty),
    KIND(free_unit_with_a_kind),
    KIND(cached_superslab_with_wrong_back_link),
    KIND(cached_superslab_of_another_size),
    KIND(cached_superslab_with_a_home),
    KIND(cached_superslab_lost),
    KIND(superslab_cache_counts_twice),
    KIND(superslab_cache_above_its_fill),
    KIND(record_of_no_superslab),
    KIND(run_with_wrong_first),
    KIND(run_beyond_the_top),
    KIND(run_with_wrong_last_slot),
    KIND(run_with_two_lengths),
    KIND(run_with_a_kind_inside),
    KIND(runs_side_by_side),
    KIND(run_list_beyond_the_top),
    KIND(run_list_enters_a_slab),
    KIND(run_with_wrong_back_link),
    KIND(run_in_the_list_of_another_length),
    KIND(run_list_with_wrong_bit),
    KIND(runs_lost),
    KIND(large_record_elsewhere),
    KIND(large_header_overwritten),
    KIND(large_block_beyond_its_run),
    KIND(large_block_lost),
    KIND(large_blocks_too_high),
    KIND(large_bytes_too_high),
    KIND(large_mapped_too_high),
    KIND(cached_run_elsewhere),
    KIND(cached_run_beyond_the_top),
    KIND(cached_run_with_wrong_last_slot),
    KIND(cached_runs_side_by_side),
    KIND(bucket_beyond_the_top),
    KIND(bucket_enters_a_slab),
    KIND(bucket_with_wrong_back_link),
    KIND(bucket_of_another_length),
    KIND(bucket_lost),
    KIND(newer_link_wrong),
    KIND(age_list_cut),
    KIND(age_list_lost),
    KIND(bigcache_counts_entry_twice),
    KIND(bigcache_counts_bytes_twice),
};

static void look(void) {
    if (hak_audit_options.signal != 0)
        raise((int)hak_audit_options.signal);
    else if (hak_audit_options.level == 3)
        allocate(0, BLOCKS); /* the audit looks after every refill */
    else if (hak_heap_check() != 0)
        abort();
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: break_heap_audit_internal KIND");
    build();
    return by_hand(kinds, TEST_COUNT(kinds), look, argv[1]);
}
