/* C++ destructors of thread_local and static objects, and atexit handlers, free and allocate
 * while threads and the program end. */
#include "../process.h"

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<size_t> destroyed;

struct Holder {
    std::map<int, std::string> table;
    std::vector<std::vector<char>> blocks;

    void use(int seed) {
        for (int i = 0; i < 50; i++) {
            table[i] = std::string(static_cast<size_t>(20 + i * 40),
                                   static_cast<char>('a' + (seed + i) % 26));
            blocks.emplace_back(static_cast<size_t>(i * i * 37 + 1), static_cast<char>(i));
        }
    }

    ~Holder() {
        for (auto &entry : table)
            for (char letter : entry.second)
                CHECK(letter == entry.second[0], "a string of thread-local data is damaged");
        std::vector<std::string> last(100,
                                      "allocated and freed while the thread is being torn down");
        table.clear();
        destroyed++;
    }
};

thread_local Holder first;
thread_local Holder second;
Holder of_the_program;

void at_exit() {
    std::vector<std::string> late(1000, "allocated and freed by an atexit handler");
    CHECK(late.back().size() > 30, "a string of %zu bytes", late.back().size());
}

void work(int seed) {
    second.use(seed); /* constructed first, destroyed last */
    first.use(seed + 1);
}

} // namespace

int main() {
    test_needs_hakmem();
    atexit(at_exit);
    of_the_program.use(0);
    int rounds = test_quick() ? 40 : 200;
    for (int i = 0; i < rounds; i++) {
        std::thread one(work, i), two(work, i + 1);
        one.join();
        two.join();
    }
    CHECK(destroyed == static_cast<size_t>(rounds) * 4, "%zu objects destroyed", destroyed.load());
    work(1);
    return test_ok("%zu thread-local objects destroyed", destroyed.load());
}
