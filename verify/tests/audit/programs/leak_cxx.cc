/* Leaks blocks in a C++ template, which an inlined function calls. */
namespace shop {

struct item {
    int parts[30];
};

static void *volatile last;

template <class T> __attribute__((noinline)) void make(int) {
    last = new T;
}

static inline __attribute__((always_inline)) void order(int number) {
    make<item>(number);
    last = nullptr;
}

__attribute__((noinline)) static void open_shop() {
    for (int i = 0; i < 3; i++)
        order(i);
    last = nullptr; /* not a tail call: this function keeps its frame during the call */
}

} // namespace shop

int main() {
    shop::open_shop();
    shop::last = nullptr;
}
