#include "measure.hpp"

#include <malloc.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace holdfast::bench {

namespace {

/// @param processor -1: all of them
bool place(int thread, int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; ++i) {
        if (processor < 0 || i == processor) CPU_SET(static_cast<std::size_t>(i), &set);
    }
    return ::sched_setaffinity(thread, sizeof set, &set) == 0;
}

}  // namespace

bool pin_to(int processor) {
    return place(0, processor);
}

void unpin() {
    place(0, -1);
}

bool place_process(int id, const std::string& program, int processor) {
    const std::string process = "/proc/" + std::to_string(id);
    std::string name;
    std::getline(std::ifstream(process + "/comm"), name);
    if (name != program) return false;
    std::error_code failed;
    bool placed = true;
    for (const auto& each : std::filesystem::directory_iterator(process + "/task", failed)) {
        placed = place(std::stoi(each.path().filename().string()), processor) && placed;
    }
    return placed && !failed;
}

double heap_bytes() {
    const auto all = ::mallinfo2();
    return static_cast<double>(all.uordblks + all.hblkhd);
}

}  // namespace holdfast::bench
