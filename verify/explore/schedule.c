#include "verify/explore/schedule.h"

#include <stdio.h>
#include <string.h>

void explore_schedule_print(const struct explore_schedule *schedule, char *text, size_t bytes) {
    size_t at = (size_t)snprintf(text, bytes, "%s", schedule->count == 0 ? "-" : "");
    for (unsigned i = 0; i < schedule->count && at < bytes; i++) {
        const struct explore_deviation *deviation = &schedule->list[i];
        at += (size_t)snprintf(text + at, bytes - at, "%s%u:%u", i == 0 ? "" : ",",
                               deviation->number, deviation->fiber);
        if (deviation->held != 0 && at < bytes)
            at += (size_t)snprintf(text + at, bytes - at, "^%u", deviation->held);
    }
}

/* Reads a decimal number up to `most`, and moves *text behind it. */
static bool number_parse(const char **text, uint32_t most, uint32_t *number) {
    uint64_t value = 0;
    if (**text < '0' || **text > '9') return false;
    for (; **text >= '0' && **text <= '9'; ++*text) {
        value = value * 10 + (uint64_t)(**text - '0');
        if (value > most) return false;
    }
    *number = (uint32_t)value;
    return true;
}

static bool deviation_parse(const char **text, struct explore_deviation *deviation) {
    uint32_t number, fiber, held = 0;
    if (!number_parse(text, EXPLORE_STEPS_MAX, &number) || **text != ':') return false;
    ++*text;
    if (!number_parse(text, EXPLORE_FIBERS - 1, &fiber)) return false;
    if (**text == '^') {
        ++*text;
        if (!number_parse(text, UINT16_MAX, &held) || held == 0) return false;
    }
    *deviation = (struct explore_deviation){
        .number = number, .fiber = (uint8_t)fiber, .held = (uint16_t)held};
    return true;
}

bool explore_schedule_parse(const char *text, struct explore_schedule *schedule, size_t *bad) {
    const char *at = text;
    schedule->count = 0;
    *bad = 0;
    if (strcmp(text, "-") == 0) return true;
    for (;;) {
        struct explore_deviation next;
        bool ok = schedule->count < EXPLORE_DEVIATIONS_MAX && deviation_parse(&at, &next);
        *bad = (size_t)(at - text);
        if (!ok ||
            (schedule->count > 0 && next.number <= schedule->list[schedule->count - 1].number))
            return false;
        schedule->list[schedule->count++] = next;
        if (*at == '\0') return true;
        if (*at++ != ',') return false;
    }
}
