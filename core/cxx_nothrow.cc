// The one thing that C cannot say: an exception of a new-handler ends at the nothrow forms of operator new.

#include "core/cxx.h"

// Most programs have no C++ runtime, and nothing throws there.
__asm__(".weak __cxa_begin_catch\n.weak __cxa_end_catch\n.weak __gxx_personality_v0\n.weak _ZSt9terminatev");

void *hak_new_slow_nothrow(size_t size, size_t align) {
    try {
        return hak_new_slow(size, align);
    } catch (...) {
        return nullptr;
    }
}
