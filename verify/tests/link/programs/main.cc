// Allocates only by new. A request that cannot be met throws, or gives NULL with std::nothrow.
#include <cstdint>
#include <cstdio>
#include <new>

int main() {
    volatile std::size_t too_much = SIZE_MAX / 4;
    int *volatile block = new int[100];
    block[99] = 1;
    delete[] block;
    // Calls the functions, because compilers may leave out the allocation of a new expression.
    if (::operator new(too_much, std::nothrow) != nullptr) return 1;
    try {
        void *volatile never = ::operator new(too_much);
        ::operator delete(never);
    } catch (const std::bad_alloc &) {
        std::puts("ran");
        return 0;
    }
    return 1;
}
