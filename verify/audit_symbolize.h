/* Names for return addresses, from a helper process (verify/symbolize/symbolize.cc). */
#ifndef HAK_VERIFY_AUDIT_SYMBOLIZE_H
#define HAK_VERIFY_AUDIT_SYMBOLIZE_H

#include "core/types.h"

/* The stack as strings "#0 ...", "#1 ...", one behind the other, then an empty one; valid until the next call. NULL:
 * there is no helper, it failed, or another thread talks to it. Starts the helper, if need be, and keeps it.
 * Allocates nothing; the helper's answers together take at most a few seconds. */
const char *hak_audit_symbolize(const void *const *frames, size_t count);

/* The calling thread needs no more names: ends the helper. */
void hak_audit_symbolize_end(void);

#endif
