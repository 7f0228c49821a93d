/* hakmem-symbolize: names for the return addresses of another process, for the audit's reports.
 *
 * usage: hakmem-symbolize SOCKET PID
 *
 * The audit (verify/audit_symbolize.c) starts this helper from a program that is about to end and
 * whose heap may be broken. Reading debug information needs memory, locks and time, so a process of
 * its own does it.
 *
 *   request   a line of hexadecimal return addresses, the innermost first
 *   answer    "#0 TEXT", "#1 TEXT" ..., a line a frame, also for inlined ones; then an empty line
 *
 * The allocator's own frames are left out. The helper ends when the audit closes its end of the
 * socket, or sends anything but such a request. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr size_t most_addresses = 64, most_request = 4096, most_text = 800;
constexpr unsigned most_seconds = 60; /* longer than the audit waits */

struct place {
    std::string file;
    int line;
};

using frames = std::vector<std::string>;

std::string hex(Dwarf_Addr number) {
    char text[24];
    snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(number));
    return text;
}

std::string last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == nullptr ? path : slash + 1;
}

/* Demangles C++ names; returns other names as they are. */
std::string plain_name(const char *name) {
    if (strncmp(name, "_Z", 2) != 0) return name;
    char *text = abi::__cxa_demangle(name, nullptr, nullptr, nullptr);
    std::string result = text != nullptr ? text : name;
    free(text);
    return result;
}

/* True for the allocator's entry points, under their names and under the second names (hak_own_*)
 * that core/ compares with. All frames before such a frame in a stack are the allocator's. */
bool is_entry_point(const char *name) {
    static const char *const names[] = {
#define HAK_SYMBOL(name) #name, "hak_own_" #name,
#include "core/symbols.def"
#undef HAK_SYMBOL
    };
    for (const char *known : names)
        if (strcmp(known, name) == 0) return true;
    return false;
}

/* A file in the directory where the compiler ran is named relative to this directory. */
std::string file_name(const char *file, const char *folder) {
    size_t length = folder == nullptr ? 0 : strlen(folder);
    if (length > 0 && strncmp(file, folder, length) == 0 && file[length] == '/')
        return file + length + 1;
    return file;
}

std::string with_place(const std::string &function, const place &at) {
    if (at.line == 0) return function;
    return function + " at " + at.file + ":" + std::to_string(at.line);
}

std::string function_name(Dwarf_Die *die) {
    Dwarf_Attribute attribute;
    for (unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name}) {
        const char *text = dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
        if (text != nullptr) return plain_name(text);
    }
    return "??";
}

Dwarf_Word number_of(Dwarf_Die *die, unsigned name) {
    Dwarf_Attribute attribute;
    Dwarf_Word number;
    if (dwarf_formudata(dwarf_attr(die, name, &attribute), &number) != 0) return 0;
    return number;
}

/* The function at `pc` and those that it is inlined into; nothing without debug information. */
frames from_debug_information(Dwfl_Module *module, Dwarf_Addr pc) {
    frames found;
    Dwarf_Addr bias;
    Dwarf_Die *unit = dwfl_module_addrdie(module, pc, &bias);
    Dwfl_Line *line = dwfl_module_getsrc(module, pc);
    if (unit == nullptr || line == nullptr) return found;
    place at{"", 0};
    const char *file = dwfl_lineinfo(line, nullptr, &at.line, nullptr, nullptr, nullptr);
    const char *folder = dwfl_line_comp_dir(line);
    if (file == nullptr) return found;
    at.file = file_name(file, folder);

    /* The scopes of an address lead from an inlined function to its definition. The scopes of the
     * innermost entry lead to its callers. */
    Dwarf_Die *scopes = nullptr, innermost;
    if (dwarf_getscopes(unit, pc - bias, &scopes) <= 0) return found;
    dwarf_offdie(dwfl_module_getdwarf(module, &bias), dwarf_dieoffset(&scopes[0]), &innermost);
    free(scopes);
    scopes = nullptr;
    int count = dwarf_getscopes_die(&innermost, &scopes);
    Dwarf_Files *files = nullptr;
    size_t file_count = 0;
    dwarf_getsrcfiles(unit, &files, &file_count);
    for (int i = 0; i < count; i++) {
        int tag = dwarf_tag(&scopes[i]);
        if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine) continue;
        found.push_back(with_place(function_name(&scopes[i]), at));
        if (tag == DW_TAG_subprogram) break;
        Dwarf_Word number = number_of(&scopes[i], DW_AT_call_file);
        const char *caller =
            number < file_count ? dwarf_filesrc(files, number, nullptr, nullptr) : nullptr;
        at = {caller == nullptr ? "??" : file_name(caller, folder),
              static_cast<int>(number_of(&scopes[i], DW_AT_call_line))};
    }
    free(scopes);
    return found;
}

/* "function+0x12 (library.so+0x1234)", or "library.so+0x1234" if there is no symbol. */
std::string from_symbols(Dwfl_Module *module, Dwarf_Addr address, const char *name,
                         GElf_Off offset) {
    const char *path = nullptr;
    const char *module_name =
        dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, &path, nullptr);
    Dwarf_Addr bias = 0;
    dwfl_module_getelf(module, &bias);
    std::string where = last_part(path != nullptr ? path : module_name) + "+" + hex(address - bias);
    return name == nullptr ? where : plain_name(name) + "+" + hex(offset) + " (" + where + ")";
}

/* Adds the frames of one return address. Drops all frames so far if the address lies in an entry
 * point of the allocator. */
void add_frames(Dwfl *dwfl, Dwarf_Addr address, frames &stack) {
    /* An address in the call, which may be the last instruction of its line or function. */
    Dwarf_Addr pc = address - 1;
    Dwfl_Module *module = dwfl_addrmodule(dwfl, pc);
    if (module == nullptr) {
        stack.push_back(hex(address));
        return;
    }
    GElf_Off offset = 0;
    GElf_Sym symbol;
    const char *name =
        dwfl_module_addrinfo(module, pc, &offset, &symbol, nullptr, nullptr, nullptr);
    if (name != nullptr && is_entry_point(name)) {
        stack.clear();
        return;
    }
    frames found = from_debug_information(module, pc);
    if (found.empty()) found.push_back(from_symbols(module, address, name, offset + 1));
    stack.insert(stack.end(), found.begin(), found.end());
}

/* The audit prints the lines as they are, so control characters are replaced. */
std::string answer(const frames &stack) {
    std::string text;
    for (size_t i = 0; i < stack.size() && i < most_addresses; i++) {
        text += "#" + std::to_string(i) + " ";
        for (char c : stack[i].substr(0, most_text))
            text += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
        text += "\n";
    }
    return text + "\n";
}

/* Reads the addresses of a request; false if it has another form. */
bool request_parse(const char *text, std::vector<Dwarf_Addr> &addresses) {
    while (addresses.size() < most_addresses) {
        if (strspn(text, "0123456789abcdef") == 0) return false;
        char *end;
        addresses.push_back(strtoull(text, &end, 16));
        if (*end == '\0') return true;
        if (*end != ' ') return false;
        text = end + 1;
    }
    return false;
}

/* Reads the next line, without its newline; false if there is none. */
bool line_read(int from, char *line, size_t bytes) {
    for (size_t length = 0; length < bytes; length++) {
        if (read(from, line + length, 1) != 1 || line[length] == '\0') return false;
        if (line[length] != '\n') continue;
        line[length] = '\0';
        return true;
    }
    return false;
}

bool send_whole(int to, const std::string &text) {
    for (size_t sent = 0; sent < text.size();) {
        ssize_t done = send(to, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (done <= 0) return false;
        sent += static_cast<size_t>(done);
    }
    return true;
}

/* Closes all inherited descriptors but the socket: a pipe of the program must not stay open because
 * of this process. Returns the socket's new number. */
int keep_only(int socket) {
    int kept = fcntl(socket, F_DUPFD_CLOEXEC, 3);
    if (kept < 0) return -1;
    if (kept > 3) close_range(3, static_cast<unsigned>(kept) - 1, 0);
    close_range(static_cast<unsigned>(kept) + 1, ~0u, 0);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int standard = 0; standard < 3; standard++)
        dup2(nothing, standard);
    return kept;
}

Dwfl *process_open(pid_t pid) {
    static char *no_path = nullptr;
    static const Dwfl_Callbacks callbacks = {dwfl_linux_proc_find_elf, dwfl_standard_find_debuginfo,
                                             nullptr, &no_path};
    Dwfl *dwfl = dwfl_begin(&callbacks);
    if (dwfl == nullptr || dwfl_linux_proc_report(dwfl, pid) != 0) return nullptr;
    return dwfl_report_end(dwfl, nullptr, nullptr) == 0 ? dwfl : nullptr;
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: hakmem-symbolize SOCKET PID (the audit starts it)\n");
        return 2;
    }
    alarm(most_seconds);
    int socket = keep_only(atoi(argv[1]));
    Dwfl *dwfl = process_open(atoi(argv[2]));
    char request[most_request];
    while (socket >= 0 && dwfl != nullptr && line_read(socket, request, sizeof request)) {
        std::vector<Dwarf_Addr> addresses;
        if (!request_parse(request, addresses)) return 1;
        frames stack;
        for (Dwarf_Addr address : addresses)
            add_frames(dwfl, address, stack);
        if (!send_whole(socket, answer(stack))) return 1;
    }
    return 0;
}
