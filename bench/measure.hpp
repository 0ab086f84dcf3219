// Timing two things in turn, so that a machine whose speed drifts does not favour either.
#ifndef HOLDFAST_BENCH_MEASURE_HPP
#define HOLDFAST_BENCH_MEASURE_HPP

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace holdfast::bench {

/// One line of the report. Times in microseconds.
struct row {
    std::string backend;
    std::string kind;
    std::string style;
    double p50_us = 0;
    double p99_us = 0;
    double floor_p50_us = 0;
    /// What `ratio` ought to be at most; 0 where there is no target.
    double target = 0;
    /// What the floor is.
    std::string floor = {};

    double ratio() const noexcept { return floor_p50_us > 0 ? p50_us / floor_p50_us : 0; }
};

/// Durations in microseconds.
using samples = std::vector<double>;

inline double us_since(std::chrono::steady_clock::time_point from) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - from).count();
}

/// The value below which @p share of @p values lie. @pre not empty
double percentile(samples values, double share);

/// Keeps the calling thread, and those it starts, on one processor; false where the system refuses.
bool pin_to(int processor);
void unpin();
/// Keeps all threads of process @p id on one processor, or (-1) lets them run anywhere; false where that is no @p
/// program of this machine (a server elsewhere has processes of the same numbers), or the system refuses.
bool place_process(int id, const std::string& program, int processor);

/// What the program has on its heap.
double heap_bytes();

struct pairing {
    int rounds = 15;
    int per_round = 400;
};

struct paired_result {
    /// Medians over the rounds of each round's percentile.
    double p50 = 0;
    double p99 = 0;
    double floor_p50 = 0;
};

/// Times @p count calls of @p body, each by itself.
samples time_each(const std::function<void()>& body, int count);

/// Times @p ours and @p floor in alternating rounds, each call by itself.
paired_result measure_pairs(const std::function<void()>& ours, const std::function<void()>& floor, const pairing& plan);

/// The same where each round measures itself.
paired_result measure_rounds(const std::function<samples()>& ours, const std::function<samples()>& floor, int rounds);

/// What was measured, as a line.
row make_row(std::string backend, std::string kind, std::string style, const paired_result& measured, double target,
             std::string floor);

}  // namespace holdfast::bench

#endif
