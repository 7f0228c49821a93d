"""Programs that watch memory read malloc_info and malloc_stats in the shape that glibc gives them. Readers of several kinds, each as
such a program has it, find true figures: for small, middle and large blocks, of all threads, live and freed.

Any malloc whose figures are true passes; glibc's does."""
import ctypes
import errno
import os
import re
import sys
import tempfile
import threading
import time
import xml.dom.minidom
import xml.etree.ElementTree

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
libc.fclose.argtypes = [ctypes.c_void_p]
libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.malloc_trim.argtypes = [ctypes.c_size_t]

MB = 1000000


class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]


libc.mallinfo2.restype = Mallinfo2


def expect(good, *what):
    if not good:
        sys.exit("stats_readers: " + " ".join(str(word) for word in what))


def between(what, value, least, most):
    expect(least <= value <= most, f"{what}: {value}, not {least} to {most}")


def info_text():
    with tempfile.NamedTemporaryFile() as file:
        stream = libc.fopen(file.name.encode(), b"w")
        expect(libc.malloc_info(0, stream) == 0, "malloc_info fails")
        libc.fclose(stream)
        return file.read().decode()


def stats_text():
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        libc.malloc_stats()
        os.dup2(saved, 2)
        os.close(saved)
        file.seek(0)
        return file.read().decode()


# Each reader returns (bytes in use, bytes from the system).

def by_path():
    root = xml.etree.ElementTree.fromstring(info_text())

    def size(path):
        return int(root.find(path).attrib["size"])

    system = size("./system[@type='current']") + size("./total[@type='mmap']")
    return system - size("./total[@type='fast']") - size("./total[@type='rest']"), system


def by_heaps():
    """The sum over the heaps, and what is mapped."""
    document = xml.dom.minidom.parseString(info_text())
    used = system = 0
    for heap in document.getElementsByTagName("heap"):
        for element in heap.childNodes:
            if element.nodeName == "system" and element.getAttribute("type") == "current":
                system += int(element.getAttribute("size"))
            if element.nodeName == "total" and element.getAttribute("type") in ("fast", "rest"):
                used -= int(element.getAttribute("size"))
    mapped = [int(element.getAttribute("size")) for element in document.getElementsByTagName("total")
              if element.getAttribute("type") == "mmap"]
    expect(len(mapped) == 1, "elements of mapped memory:", mapped)
    return used + system + mapped[0], system + mapped[0]


def by_pattern():
    """The last of each kind, line by line."""
    text = info_text()
    expect(re.match(r'<malloc version="1"', text), "no root:", text[:60])

    def last(pattern):
        return int(re.findall(pattern, text)[-1])

    system = last(r'<system type="current" size="(\d+)"/>') + last(r'<total type="mmap" count="\d+" size="(\d+)"/>')
    free = sum(last(rf'<total type="{kind}" count="\d+" size="(\d+)"/>') for kind in ("fast", "rest"))
    return system - free, system


def by_stats():
    """The lines after the total."""
    total = stats_text().split("Total (incl. mmap):")[1]
    return tuple(int(re.search(rf"^{name} bytes +=\s*(\d+)$", total, re.M)[1]) for name in ("in use", "system"))


def by_stats_arenas():
    """All that have a number, but for the total."""
    text = stats_text()
    arenas = re.findall(r"Arena \d+:\nsystem bytes     = +(\d+)\nin use bytes     = +(\d+)\n", text)
    total = re.search(r"Total \(incl\. mmap\):\nsystem bytes     = +(\d+)\nin use bytes     = +(\d+)\n"
                      r"max mmap regions = +(\d+)\nmax mmap bytes   = +(\d+)\n", text)
    expect(arenas and total, "malloc_stats prints", text)
    expect(sum(int(system) for system, used in arenas) <= int(total[1]), "the arenas are more than all")
    expect(sum(int(used) for system, used in arenas) <= int(total[2]), "the arenas use more than all")
    return int(total[2]), int(total[1])


def by_mallinfo():
    info = libc.mallinfo2()
    expect(info.uordblks + info.fordblks == info.arena, "arena", info.arena, "is not", info.uordblks, "+",
           info.fordblks)
    expect(info.fsmblks <= info.fordblks and info.keepcost <= info.fordblks, "more than all that is free")
    return info.uordblks + info.hblkhd, info.arena + info.hblkhd


readers = [by_path, by_heaps, by_pattern, by_stats, by_stats_arenas, by_mallinfo]
for reader in readers:
    reader()  # the first call imports modules


def used():
    """What they all say; they may differ by what the interpreter does meanwhile."""
    figures = [reader() for reader in readers]
    for reader, figure in zip(readers, figures):
        for own, other in zip(figure, figures[0]):
            between(reader.__name__, own, other - MB // 2, other + MB // 2)
        expect(figure[0] <= figure[1], reader.__name__, "more is in use than there is:", figure)
    return figures[0][0]


def blocks(size, count):
    taken = [libc.malloc(size) for _ in range(count)]
    expect(all(taken), "no memory")
    return taken


def freed(taken):
    for block in taken:
        libc.free(block)


def rises_and_falls(size, count):
    taken = (ctypes.c_void_p * count)()  # one block; Python's own numbers would be many
    before = used()
    for index in range(count):
        taken[index] = libc.malloc(size)
    during = used()
    between(f"{count} blocks of {size} bytes", during - before, size * count * 0.99, size * count * 1.35 + MB)
    freed(taken[::2])
    between("half of them freed", used() - before, size * count * 0.49, size * count * 0.7 + MB)
    freed(taken[1::2])
    between("all of them freed", used() - before, -MB, MB)


for size, count in (24, 200000), (1000, 50000), (7000, 8000), (20000, 3000), (100000, 500), (5 << 20, 20):
    rises_and_falls(size, count)


def threads_blocks():
    """Blocks of threads that are at work, that sleep, and that have ended; the main thread frees them."""
    before = used()
    taken, there, over = [], threading.Barrier(9), threading.Event()

    def body(index):
        mine = blocks(3000, 2000) + blocks(300000, 10)
        taken.extend(mine)
        if index % 2 == 0:
            return there.wait()
        there.wait()
        over.wait()

    threads = [threading.Thread(target=body, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    there.wait()
    bytes_taken = 8 * (3000 * 2000 + 300000 * 10)
    between("blocks of eight threads", used() - before, bytes_taken * 0.99, bytes_taken * 1.25 + MB)
    freed(taken)
    over.set()
    for thread in threads:
        thread.join()
    while len(os.listdir("/proc/self/task")) > 1:  # join returns a little before the thread ends
        time.sleep(0.001)
    between("all of them freed", used() - before, -MB, 2 * MB)


threads_blocks()


def peaks():
    def figures():
        root = xml.etree.ElementTree.fromstring(info_text())
        stats = stats_text()
        return (int(root.find("system[@type='current']").attrib["size"]),
                int(root.find("system[@type='max']").attrib["size"]),
                int(re.search(r"max mmap regions = +(\d+)", stats)[1]),
                int(re.search(r"max mmap bytes   = +(\d+)", stats)[1]))

    small, large = blocks(1000, 100000), blocks(30 << 20, 7)
    current, most, regions, mapped = figures()
    expect(most >= current >= 100 * MB, "in small blocks:", current, "at most", most)
    expect(regions >= 7 and mapped >= 7 * (30 << 20), "mapped at most:", regions, mapped)
    freed(small + large)
    libc.malloc_trim(0)
    later = figures()
    expect(later[0] < current - 50 * MB, "after a trim:", later[0], "before:", current)
    expect(later[1] >= most and later[2] >= regions and later[3] >= mapped, "peaks fell to", later, "from",
           (most, regions, mapped))
    expect(later[3] < mapped + (100 << 20), "peak of mapped bytes:", later[3])


peaks()


def streams():
    """As glibc: other options are refused and nothing is written; a stream that cannot be written is not told."""
    with tempfile.NamedTemporaryFile() as file:
        stream = libc.fopen(file.name.encode(), b"w")
        expect(libc.malloc_info(1, stream) == errno.EINVAL, "malloc_info takes other options")
        libc.fclose(stream)
        expect(file.read() == b"", "it has written something")
    for name, mode in (b"/dev/full", b"w"), (b"/dev/null", b"r"):
        stream = libc.fopen(name, mode)
        libc.setvbuf(stream, None, 2, 0)
        expect(libc.malloc_info(0, stream) == 0, "malloc_info tells that", name, "cannot be written")
        libc.fclose(stream)


streams()
print("ok: readers agree:", len(readers))
