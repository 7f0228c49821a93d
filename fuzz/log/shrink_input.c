#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/log/shrink.h"

/* In memory each unit takes as many bytes as the longer of header and unit; only its own bytes are
 * written to the file. */
static size_t header_bytes, unit_bytes;

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The header is the first unit. */
static size_t length_of(size_t index) {
    return index == 0 ? header_bytes : unit_bytes;
}

void shrink_input_read(const char *path, size_t header, size_t unit, struct shrink_units *units) {
    FILE *file = fopen(path, "r");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        log_die(LOG_EXIT_USAGE, "%s: %s", path, strerror(errno));
    size_t length = (size_t)ftell(file), read = 0;
    rewind(file);
    if (length < header)
        log_die(LOG_EXIT_USAGE, "%s: %zu bytes, and a header has %zu", path, length, header);
    header_bytes = header;
    unit_bytes = unit;
    shrink_input_form.unit = larger(header, unit);
    units->count = 1 + (length - header) / unit;
    units->bytes = log_memory(units->count * shrink_input_form.unit);
    for (size_t i = 0; i < units->count; i++)
        read += fread(units->bytes + i * shrink_input_form.unit, 1, length_of(i), file);
    if (read != header + (units->count - 1) * unit)
        log_die(LOG_EXIT_USAGE, "%s: %s", path, strerror(errno));
    fclose(file);
}

static void write_input(const struct shrink_units *units, const char *path) {
    size_t length = 0;
    uint8_t *bytes = log_memory(units->count * shrink_input_form.unit);
    for (size_t i = 0; i < units->count; i++) {
        memcpy(bytes + length, units->bytes + i * shrink_input_form.unit, length_of(i));
        length += length_of(i);
    }
    shrink_write_file(path, bytes, length);
    log_memory_end(bytes, units->count * shrink_input_form.unit);
}

/* Only the target knows the meaning of the bytes; a lower byte counts as simpler. */
static bool simplify(uint8_t *unit, unsigned step) {
    unsigned byte = step / SHRINK_NUMBER_STEPS;
    if (byte >= shrink_input_form.unit) return false;
    unit[byte] = (uint8_t)shrink_number(unit[byte], step % SHRINK_NUMBER_STEPS);
    return true;
}

/* Sets one byte to 0 in all units except the header. */
static bool simplify_all(struct shrink_units *units, unsigned step) {
    if (step >= unit_bytes) return false;
    for (size_t i = 1; i < units->count; i++)
        units->bytes[i * shrink_input_form.unit + step] = 0;
    return true;
}

struct shrink_form shrink_input_form = {
    .fixed = 1, .simplify = simplify, .simplify_all = simplify_all, .write = write_input};
