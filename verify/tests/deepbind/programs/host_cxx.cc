// A C++ program and a C++ plugin, opened with RTLD_DEEPBIND, each delete objects of the other.
#include <dlfcn.h>
#include <stdio.h>

#include <string>
#include <vector>

struct alignas(64) wide {
    char bytes[300];
};

template <typename function> static function *find(void *plugin, const char *name) {
    return reinterpret_cast<function *>(dlsym(plugin, name));
}

int main(int, char **argv) {
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND);
    if (plugin == nullptr) return 2;
    for (int i = 0; i < 1000; i++) {
        delete static_cast<wide *>(find<void *()>(plugin, "plugin_new")());
        find<void(void *)>(plugin, "plugin_delete")(new wide);
    }
    std::vector<std::string> texts(10, std::string(100, 'y'));
    if (find<size_t(std::vector<std::string> *)>(plugin, "plugin_fills")(&texts) != 1010) return 3;
    texts.clear();
    texts.shrink_to_fit();
    puts("ok: deleted");
    return 0;
}
