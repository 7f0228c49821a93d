/* For test programs with one fault each, which a program has only if it is run with the argument
 * "fault". All allocate through hakmem.h. The lines that a report must name carry the comment
 * "allocated here", "freed here" or "fault". */
#ifndef PLANTED_H
#define PLANTED_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/hakmem.h"

static inline bool planted(int argc, char **argv) {
    return argc > 1 && strcmp(argv[1], "fault") == 0;
}

#endif
