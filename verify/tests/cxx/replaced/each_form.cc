/* Calls each form of new and delete in a program that replaces some of them (form.c). A form that
 * is not replaced calls the form that the standard names ([new.delete.single], [new.delete.array]),
 * and so on, until a form is replaced or HAKMEM serves the call. */
#include "../../process.h"

#include <exception>
#include <new>

/* Declared here because clang's <new> has the sized forms only with -fsized-deallocation. */
void operator delete(void *block, size_t size) noexcept;
void operator delete[](void *block, size_t size) noexcept;
void operator delete(void *block, size_t size, std::align_val_t alignment) noexcept;
void operator delete[](void *block, size_t size, std::align_val_t alignment) noexcept;

#define WEAK __attribute__((weak))
extern "C" {
extern const char replaced_0 WEAK;
extern const char replaced_1 WEAK;
extern const char replaced_2 WEAK;
extern const char replaced_3 WEAK;
extern const char replaced_4 WEAK;
extern const char replaced_5 WEAK;
extern const char replaced_6 WEAK;
extern const char replaced_7 WEAK;
extern const char replaced_8 WEAK;
extern const char replaced_9 WEAK;
extern const char replaced_10 WEAK;
extern const char replaced_11 WEAK;
extern const char replaced_12 WEAK;
extern const char replaced_13 WEAK;
extern const char replaced_14 WEAK;
extern const char replaced_15 WEAK;
extern const char replaced_16 WEAK;
extern const char replaced_17 WEAK;
extern const char replaced_18 WEAK;
extern const char replaced_19 WEAK;
void *replaced_new(int number, size_t size);
void replaced_delete(int number, void *block);
}

namespace {

constexpr auto wide = static_cast<std::align_val_t>(64);
constexpr size_t bytes = 100;
using std::nothrow;

enum { NONE = -1 };

struct form {
    const char *name;
    const char *mark; /* NULL: not replaced */
    int calls;        /* the form that it calls by default */
    void *(*allocate)(size_t size);
    void (*release)(void *block);
};

const form forms[] = {
    {"new", &replaced_0, NONE, [](size_t size) { return ::operator new(size); }, nullptr},
    {"new[]", &replaced_1, 0, [](size_t size) { return ::operator new[](size); }, nullptr},
    {"nothrow new", &replaced_2, 0, [](size_t size) { return ::operator new(size, nothrow); },
     nullptr},
    {"nothrow new[]", &replaced_3, 1, [](size_t size) { return ::operator new[](size, nothrow); },
     nullptr},
    {"aligned new", &replaced_4, NONE, [](size_t size) { return ::operator new(size, wide); },
     nullptr},
    {"aligned new[]", &replaced_5, 4, [](size_t size) { return ::operator new[](size, wide); },
     nullptr},
    {"nothrow aligned new", &replaced_6, 4,
     [](size_t size) { return ::operator new(size, wide, nothrow); }, nullptr},
    {"nothrow aligned new[]", &replaced_7, 5,
     [](size_t size) { return ::operator new[](size, wide, nothrow); }, nullptr},
    {"delete", &replaced_8, NONE, nullptr, [](void *block) { ::operator delete(block); }},
    {"delete[]", &replaced_9, 8, nullptr, [](void *block) { ::operator delete[](block); }},
    {"sized delete", &replaced_10, 8, nullptr,
     [](void *block) { ::operator delete(block, bytes); }},
    {"sized delete[]", &replaced_11, 9, nullptr,
     [](void *block) { ::operator delete[](block, bytes); }},
    {"nothrow delete", &replaced_12, 8, nullptr,
     [](void *block) { ::operator delete(block, nothrow); }},
    {"nothrow delete[]", &replaced_13, 9, nullptr,
     [](void *block) { ::operator delete[](block, nothrow); }},
    {"aligned delete", &replaced_14, NONE, nullptr,
     [](void *block) { ::operator delete(block, wide); }},
    {"aligned delete[]", &replaced_15, 14, nullptr,
     [](void *block) { ::operator delete[](block, wide); }},
    {"sized aligned delete", &replaced_16, 14, nullptr,
     [](void *block) { ::operator delete(block, bytes, wide); }},
    {"sized aligned delete[]", &replaced_17, 15, nullptr,
     [](void *block) { ::operator delete[](block, bytes, wide); }},
    {"nothrow aligned delete", &replaced_18, 14, nullptr,
     [](void *block) { ::operator delete(block, wide, nothrow); }},
    {"nothrow aligned delete[]", &replaced_19, 15, nullptr,
     [](void *block) { ::operator delete[](block, wide, nothrow); }},
};

alignas(64) char own[256]; /* the one block that all replaced forms give and take */
int called, times;
bool throws;

bool is_replaced(int number) {
    return *static_cast<const char *const volatile *>(&forms[number].mark) != nullptr;
}

int expected(int number) {
    while (number != NONE && !is_replaced(number))
        number = forms[number].calls;
    return number;
}

const char *name_of(int number) {
    return number == NONE ? "HAKMEM" : forms[number].name;
}

void was_called(int number) {
    int wanted = expected(number);
    CHECK(called == wanted && times == (wanted != NONE), "%s calls %s %d times, not %s",
          forms[number].name, name_of(called), times, name_of(wanted));
}

void reset() {
    called = NONE;
    times = 0;
}

void gives(int number) {
    reset();
    void *block = test_opaque_pointer(forms[number].allocate(bytes));
    was_called(number);
    if (called != NONE) {
        CHECK(block == own, "%s gives %p, not the program's block", forms[number].name, block);
        return;
    }
    CHECK(test_usable_size(block) >= bytes, "%s gives %p", forms[number].name, block);
    free(block);
}

/* If the replaced form throws, nothrow forms return null, and the others let the exception pass. */
void fails(int number) {
    bool is_nothrow = strstr(forms[number].name, "nothrow") != nullptr;
    if (expected(number) == NONE || (is_nothrow && is_replaced(number))) return;
    bool thrown = false;
    void *block = own;
    reset();
    throws = true;
    try {
        block = test_opaque_pointer(forms[number].allocate(bytes));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    throws = false;
    was_called(number);
    CHECK(thrown == !is_nothrow && (thrown || block == nullptr), "%s: thrown %d, block %p",
          forms[number].name, thrown, block);
    CHECK(std::uncaught_exceptions() == 0, "%s leaves %d exceptions", forms[number].name,
          std::uncaught_exceptions());
}

void takes(int number) {
    reset();
    size_t before = process_live_bytes();
    bool is_aligned = strstr(forms[number].name, "aligned") != nullptr;
    void *block = expected(number) != NONE ? own
                  : is_aligned             ? aligned_alloc(64, 128)
                                           : malloc(bytes);
    forms[number].release(test_opaque_pointer(block));
    was_called(number);
    size_t after = process_live_bytes();
    CHECK(after == before, "%s: %zu bytes live, %zu before", forms[number].name, after, before);
}

} // namespace

void *replaced_new(int number, size_t size) {
    CHECK(size == bytes, "%s is asked for %zu bytes", forms[number].name, size);
    called = number;
    times++;
    if (throws) throw std::bad_alloc();
    return own;
}

void replaced_delete(int number, void *block) {
    CHECK(block == own, "%s is given %p", forms[number].name, block);
    called = number;
    times++;
}

int main() {
    test_needs_hakmem();
    int replaced = 0;
    for (int i = 0; i < (int)TEST_COUNT(forms); i++) {
        replaced += is_replaced(i);
        if (forms[i].allocate == nullptr) {
            takes(i);
            continue;
        }
        gives(i);
        fails(i);
    }
    return test_ok("%d forms replaced", replaced);
}
