// lock_section <file> <participant>: passes once through the shared section. To be run by flock(1).
#include "process/overlap_section.hpp"

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    holdfast::test::overlap_section::map(argv[1]).pass(std::atoi(argv[2]));  // NOLINT(cert-err34-c)
    return 0;
}
