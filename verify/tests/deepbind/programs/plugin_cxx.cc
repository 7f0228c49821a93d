// The plugin in C++.
#include <memory>
#include <string>
#include <vector>

extern "C" {
void *plugin_new();
void plugin_delete(void *block);
size_t plugin_fills(std::vector<std::string> *texts);
}

struct alignas(64) wide {
    char bytes[300];
};

void *plugin_new() {
    return new wide;
}

void plugin_delete(void *block) {
    delete static_cast<wide *>(block);
}

// At first, the memory of the vector was allocated by the host.
size_t plugin_fills(std::vector<std::string> *texts) {
    for (int i = 0; i < 1000; i++)
        texts->push_back(std::string(static_cast<size_t>(i), 'x'));
    return texts->size();
}
