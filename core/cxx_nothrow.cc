// The one thing that C cannot say: an exception ends at the nothrow forms of operator new.

#include "core/cxx.h"

void *hak_null_if_thrown(hak_new_function *function, const struct hak_new *request) {
    try {
        return function(request);
    } catch (...) {
        return nullptr;
    }
}
