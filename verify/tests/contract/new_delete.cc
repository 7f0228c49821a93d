/* All forms of C++ new and delete: plain, array, nothrow, aligned, sized, and their
 * combinations. */
#include "../pattern.h"

#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

/* Declared here because clang's <new> has the sized forms only with -fsized-deallocation. */
void operator delete(void *block, size_t size) noexcept;
void operator delete[](void *block, size_t size) noexcept;
void operator delete(void *block, size_t size, std::align_val_t alignment) noexcept;
void operator delete[](void *block, size_t size, std::align_val_t alignment) noexcept;

namespace {

struct alignas(64) Line {
    unsigned char bytes[192];
};
struct alignas(4096) Page {
    unsigned char bytes[8192];
};

void *usable(void *block, size_t size, size_t alignment) {
    CHECK(block != nullptr && (uintptr_t)block % alignment == 0, "new of %zu bytes gives %p", size,
          block);
    size_t bytes = test_usable_size(block);
    CHECK(bytes >= size, "new of %zu bytes holds %zu", size, bytes);
    memset(block, 0x3c, size);
    return block;
}

void plain_forms(size_t size) {
    ::operator delete(usable(::operator new(size), size, 16));
    ::operator delete(usable(::operator new(size), size, 16), size);
    ::operator delete(usable(::operator new(size, std::nothrow), size, 16), std::nothrow);
    ::operator delete[](usable(::operator new[](size), size, 16));
    ::operator delete[](usable(::operator new[](size), size, 16), size);
    ::operator delete[](usable(::operator new[](size, std::nothrow), size, 16), std::nothrow);
}

void aligned_forms(size_t size, size_t bytes) {
    auto alignment = static_cast<std::align_val_t>(bytes);
    size_t expected = bytes < 16 ? 16 : bytes;
    ::operator delete(usable(::operator new(size, alignment), size, expected), alignment);
    ::operator delete(usable(::operator new(size, alignment), size, expected), size, alignment);
    ::operator delete(usable(::operator new(size, alignment, std::nothrow), size, expected),
                      alignment, std::nothrow);
    ::operator delete[](usable(::operator new[](size, alignment), size, expected), alignment);
    ::operator delete[](usable(::operator new[](size, alignment), size, expected), size, alignment);
    ::operator delete[](usable(::operator new[](size, alignment, std::nothrow), size, expected),
                        alignment, std::nothrow);
}

/* Checks the alignment and the usable size of an object of `size` bytes. */
template <typename Type> Type *holds(Type *object, size_t size) {
    CHECK((uintptr_t)object % alignof(Type) == 0, "an object that needs alignment %zu is at %p",
          alignof(Type), (void *)object);
    CHECK(test_usable_size(object) >= size, "an object of %zu bytes has %zu", size,
          test_usable_size(object));
    return object;
}

/* Sized delete of over-aligned types, as the compiler emits it. The pointers pass through memory,
 * so that the compiler removes no pair of new and delete. */
template <typename Type> void as_emitted(size_t count) {
    std::vector<Type *> blocks;
    for (size_t i = 0; i < 100; i++)
        blocks.push_back(holds(new Type, sizeof(Type)));
    for (Type *block : blocks)
        delete block;
    Type *array = new Type[count];
    delete[] static_cast<Type *>(test_opaque_pointer(array));
    auto shared = std::make_shared<Type>();
    CHECK((uintptr_t)shared.get() % alignof(Type) == 0, "make_shared gives %p",
          (void *)shared.get());
}

void containers() {
    std::map<std::string, std::vector<Line>> table;
    for (size_t i = 0; i < 500; i++) {
        table[std::to_string(i) + " a key that is longer than a short string"].resize(i % 7 + 1);
        if (i % 3 == 0) table.erase(table.begin());
    }
    for (auto &entry : table)
        CHECK((uintptr_t)entry.second.data() % 64 == 0, "vector of lines at %p",
              (void *)entry.second.data());
}

} // namespace

int main() {
    test_needs_hakmem();
    static const size_t sizes[] = {0,    1,    8,     64,    100,   1000,   1024,
                                   5000, 8192, 20000, 53000, 70000, 3000000};
    for (size_t size : sizes) {
        plain_forms(size);
        for (size_t alignment = 1; alignment <= 65536; alignment *= 2)
            aligned_forms(size, alignment);
    }
    as_emitted<char>(100);
    as_emitted<Line>(10);
    as_emitted<Page>(3);
    as_emitted<std::string>(1000);
    containers();
    return test_ok("all forms of new and delete");
}
