// What C cannot express: an exception ends at the nothrow forms of operator new.

#include "core/cxx.h"

// Weak, because most programs have no C++ runtime. Nothing throws there.
__asm__(".weak __cxa_begin_catch\n.weak __cxa_end_catch\n.weak __gxx_personality_v0\n.weak "
        "_ZSt9terminatev");

void *hak_null_if_thrown(hak_new_function *function, const struct hak_new *request) {
    try {
        return function(request);
    } catch (...) {
        return nullptr;
    }
}
