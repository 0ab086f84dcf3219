// Every sequence of answers to a run's questions, one run after the other.
#ifndef HOLDFAST_TEST_SUPPORT_CHOOSER_HPP
#define HOLDFAST_TEST_SUPPORT_CHOOSER_HPP

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

namespace holdfast::explorer {

/// Answers "which of n?" so that repeated runs see every sequence of answers. Beyond its depth the answer is the first.
class chooser {
public:
    explicit chooser(std::size_t depth) : depth_(depth) {}

    std::size_t pick(std::size_t count) {
        if (at_ >= depth_ || count <= 1) return 0;
        if (at_ == path_.size()) path_.push_back({0, count});
        return path_[at_++].picked;
    }

    /// Whether this run is somewhere that the last one was not, with questions left or just answered.
    bool is_elsewhere() const noexcept { return at_ >= path_.size() && !past_; }
    /// Whether a run has been here already, in the very same situation with as many questions left. If so whatever may
    /// follow has been seen, or will be. @pre is_elsewhere
    bool was_here(std::uint64_t situation) {
        past_ = at_ >= depth_;
        return !seen_.insert(situation * 31 + at_).second;
    }

    /// Some of a run's questions are still to be chosen.
    bool chooses() const noexcept { return at_ < depth_; }

    /// Prepares the same run once more.
    void repeat() {
        at_ = 0;
        past_ = true;
    }
    /// Prepares the next run. False when every sequence has been seen.
    bool advance() {
        at_ = 0;
        past_ = false;
        while (!path_.empty()) {
            if (++path_.back().picked < path_.back().count) return true;
            path_.pop_back();
        }
        return false;
    }

private:
    struct choice {
        std::size_t picked = 0;
        std::size_t count = 0;
    };
    std::size_t depth_;
    std::size_t at_ = 0;
    /// All questions that count have been asked.
    bool past_ = false;
    std::vector<choice> path_;
    std::unordered_set<std::uint64_t> seen_;
};

}  // namespace holdfast::explorer

#endif
