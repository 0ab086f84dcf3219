#include "measure.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace holdfast::bench {

samples time_each(const std::function<void()>& body, int count) {
    samples taken;
    taken.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        const auto from = std::chrono::steady_clock::now();
        body();
        taken.push_back(us_since(from));
    }
    return taken;
}

double percentile(samples values, double share) {
    const auto last = static_cast<double>(values.size() - 1);
    const auto at = values.begin() + std::lround(share * last);
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

paired_result measure_rounds(const std::function<samples()>& ours, const std::function<samples()>& floor, int rounds) {
    samples p50;
    samples p99;
    samples floors;
    // The first round of each warms caches up and does not count.
    for (int i = 0; i <= rounds; ++i) {
        const samples mine = ours();
        const samples raw = floor();
        if (i == 0) continue;
        p50.push_back(percentile(mine, 0.5));
        p99.push_back(percentile(mine, 0.99));
        floors.push_back(percentile(raw, 0.5));
    }
    return {percentile(p50, 0.5), percentile(p99, 0.5), percentile(floors, 0.5)};
}

paired_result measure_pairs(const std::function<void()>& ours, const std::function<void()>& floor,
                            const pairing& plan) {
    return measure_rounds([&] { return time_each(ours, plan.per_round); },
                          [&] { return time_each(floor, plan.per_round); }, plan.rounds);
}

row make_row(std::string backend, std::string kind, std::string style, const paired_result& measured, double target,
             std::string floor) {
    return {std::move(backend), std::move(kind),    std::move(style), measured.p50,
            measured.p99,       measured.floor_p50, target,           std::move(floor)};
}

}  // namespace holdfast::bench
