/* Names for return addresses, from a helper process (verify/symbolize/symbolize.cc). */
#ifndef HAK_VERIFY_AUDIT_SYMBOLIZE_H
#define HAK_VERIFY_AUDIT_SYMBOLIZE_H

#include "core/types.h"

/* The stack as strings "#0 ...", "#1 ...", one after the other, and an empty string at the end;
 * valid until the next call. NULL: there is no helper, the helper failed, or another thread uses
 * it. Starts the helper if necessary and keeps it running. Allocates nothing. All answers of the
 * helper together take at most twenty seconds. */
const char *hak_audit_symbolize(const void *const *frames, size_t count);

/* Ends the helper, if the calling thread uses it. */
void hak_audit_symbolize_end(void);

#endif
