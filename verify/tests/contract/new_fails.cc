/* A new that finds no memory calls the new handler again and again, until there is no handler. Then
 * it throws bad_alloc; the nothrow forms return null instead. An exception of the handler itself
 * passes through. */
#include "../test.h"

#include <new>

namespace {

int calls;

void give_up_after_three() {
    if (++calls == 3) std::set_new_handler(nullptr);
}

void throw_own() {
    throw 42;
}

struct Form {
    const char *name;
    void *(*call)(size_t size);
};

constexpr auto wide = static_cast<std::align_val_t>(64);

const Form throwing[] = {
    {"new", [](size_t size) { return ::operator new(size); }},
    {"new[]", [](size_t size) { return ::operator new[](size); }},
    {"aligned new", [](size_t size) { return ::operator new(size, wide); }},
    {"aligned new[]", [](size_t size) { return ::operator new[](size, wide); }},
};

const Form nothrow[] = {
    {"nothrow new", [](size_t size) { return ::operator new(size, std::nothrow); }},
    {"nothrow new[]", [](size_t size) { return ::operator new[](size, std::nothrow); }},
    {"nothrow aligned new", [](size_t size) { return ::operator new(size, wide, std::nothrow); }},
    {"nothrow aligned new[]",
     [](size_t size) { return ::operator new[](size, wide, std::nothrow); }},
};

/* 'b' for bad_alloc, 'i' for an int, 0 for a null pointer, 'p' for another pointer */
int outcome(const Form &form, size_t size) {
    try {
        return test_opaque_pointer(form.call(test_opaque(size))) == nullptr ? 0 : 'p';
    } catch (const std::bad_alloc &) {
        return 'b';
    } catch (int) {
        return 'i';
    }
}

void fails(const Form &form, size_t size, int expected) {
    std::set_new_handler(nullptr);
    int got = outcome(form, size);
    CHECK(got == expected, "%s of %#zx bytes without a handler: %d", form.name, size, got);
    calls = 0;
    std::set_new_handler(give_up_after_three);
    got = outcome(form, size);
    CHECK(got == expected && calls == 3, "%s of %#zx bytes: %d after %d calls of the handler",
          form.name, size, got, calls);
}

} // namespace

int main() {
    test_needs_hakmem();
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 63, (size_t)PTRDIFF_MAX, (size_t)1 << 62,
                                   (size_t)1 << 50};
    for (size_t size : sizes) {
        for (const Form &form : throwing)
            fails(form, size, 'b');
        for (const Form &form : nothrow)
            fails(form, size, 0);
    }
    std::set_new_handler(throw_own);
    for (const Form &form : throwing) {
        int got = outcome(form, SIZE_MAX);
        CHECK(got == 'i', "%s: a handler's exception becomes %d", form.name, got);
    }
    std::set_new_handler(nullptr);
    return test_ok("8 forms fail as the standard says");
}
