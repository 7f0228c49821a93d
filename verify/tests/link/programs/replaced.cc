// Replaces some of the operators; the others are HAKMEM's.
#include <cstdio>
#include <cstdlib>
#include <new>

static int calls;

void *operator new(std::size_t size) {
    calls++;
    return std::malloc(size);
}
void operator delete(void *block) noexcept {
    std::free(block);
}

int main() {
    delete new int(1);
    char *volatile aligned = static_cast<char *>(::operator new(100, std::align_val_t(64)));
    ::operator delete(aligned, std::align_val_t(64));
    delete[] new char[10];
    std::puts(calls > 0 ? "ran" : "operator new of the program was not called");
    return calls == 0;
}
