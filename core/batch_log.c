#include "core/batch_log.h"

#include "core/text.h"

/* "NAME BEFORE->AFTER (CHANGE)": the change is the difference of the counters, whatever the
 * batch was meant to do. */
static void log_counter(struct hak_text *line, const char *name, uint32_t before, uint32_t after) {
    hak_text_add(line, name);
    hak_text_add_number(line, before);
    hak_text_add(line, "->");
    hak_text_add_number(line, after);
    hak_text_add(line, after < before ? " (-" : " (+");
    hak_text_add_number(line, after < before ? before - after : after - before);
    hak_text_add(line, ")");
}

HAK_COLD void hak_log_batch(const char *what, const struct hak_slab *slab, uint32_t count,
                            struct hak_counters before) {
    struct hak_counters after = hak_counters_of(slab);
    struct hak_text line;
    line.length = 0;
    hak_text_add(&line, "hakmem: p0 ");
    hak_text_add(&line, what);
    hak_text_add_address(&line, " slab ", hak_slab_start(slab));
    hak_text_add(&line, " stride ");
    hak_text_add_number(&line, hak_classes[slab->class].stride);
    hak_text_add(&line, " blocks ");
    hak_text_add_number(&line, count);
    log_counter(&line, " used ", before.used, after.used);
    log_counter(&line, " carved ", before.carved, after.carved);
    hak_text_add(&line, " of ");
    hak_text_add_number(&line, slab->capacity);
    log_counter(&line, " active ", before.active, after.active);
    hak_text_print(&line);
}

HAK_COLD void hak_log_remote(uint32_t count) {
    struct hak_text line;
    line.length = 0;
    hak_text_add(&line, "hakmem: p0 remote blocks ");
    hak_text_add_number(&line, count);
    hak_text_print(&line);
}
