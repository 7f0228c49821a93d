/* A plugin that brings its C++ runtime into a program without one. plugin() returns 0 if each form
 * of new that finds no memory does what the standard says, else a number that names the first
 * failure. */
#include <cstddef>
#include <exception>
#include <new>

namespace {

constexpr auto wide = static_cast<std::align_val_t>(64);
using std::nothrow;

int calls;
void *volatile kept; /* so that the compiler does not leave out new */

void give_up_after_three() {
    if (++calls == 3) std::set_new_handler(nullptr);
}

void throw_own() {
    throw 42;
}

void *volatile reserve;

void free_reserve() {
    calls++;
    ::operator delete(reserve);
    reserve = nullptr;
    std::set_new_handler(nullptr);
}

using form = void *(*)(std::size_t size);

const form forms[] = {
    [](std::size_t size) { return ::operator new(size); },
    [](std::size_t size) { return ::operator new[](size); },
    [](std::size_t size) { return ::operator new(size, wide); },
    [](std::size_t size) { return ::operator new[](size, wide); },
    [](std::size_t size) { return ::operator new(size, nothrow); },
    [](std::size_t size) { return ::operator new[](size, nothrow); },
    [](std::size_t size) { return ::operator new(size, wide, nothrow); },
    [](std::size_t size) { return ::operator new[](size, wide, nothrow); },
};
constexpr int throwing = 4, all = 8;

/* 'b' for bad_alloc, 'i' for an int, 0 for a null pointer, 'p' for another pointer */
int outcome(int number, std::size_t size) {
    try {
        kept = forms[number](size);
        return kept == nullptr ? 0 : 'p';
    } catch (const std::bad_alloc &) {
        return 'b';
    } catch (int) {
        return 'i';
    }
}

/* Returns 0, or the number of the demand that failed. */
int demands(int number) {
    volatile std::size_t huge = std::size_t(1) << 46;
    int nothing = number < throwing ? 'b' : 0;
    std::set_new_handler(nullptr);
    if (outcome(number, huge) != nothing) return 1;
    calls = 0;
    std::set_new_handler(give_up_after_three);
    if (outcome(number, huge) != nothing) return 2;
    if (calls != 3) return 3;
    std::set_new_handler(throw_own);
    if (outcome(number, huge) != (number < throwing ? 'i' : 0)) return 4;
    if (std::uncaught_exceptions() != 0) return 5;
    calls = 0;
    reserve = ::operator new(1000);
    std::set_new_handler(free_reserve);
    if (outcome(number, huge) != nothing || calls != 1 || reserve != nullptr) return 6;
    if (outcome(number, 1000) != 'p') return 7;
    ::operator delete(kept);
    return 0;
}

} // namespace

extern "C" int plugin() {
    for (int number = 0; number < all; number++)
        if (int failed = demands(number)) return (number + 1) * 10 + failed;
    return 0;
}

/* From here on, the new handler is the plugin's. */
extern "C" void plugin_sets_handler() {
    calls = 0;
    std::set_new_handler(give_up_after_three);
}

extern "C" int plugin_handler_calls() {
    return calls;
}
