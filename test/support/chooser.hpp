// The answers to the questions that a run asks, for one run after the other.
#ifndef HOLDFAST_TEST_SUPPORT_CHOOSER_HPP
#define HOLDFAST_TEST_SUPPORT_CHOOSER_HPP

#include <boost/unordered/unordered_flat_set.hpp>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace holdfast::explorer {

/// Answers "which of n?". Beyond its depth the answer is the first.
class chooser {
public:
    chooser() = default;
    chooser(const chooser&) = delete;
    chooser& operator=(const chooser&) = delete;
    virtual ~chooser() = default;

    /// @param usual how many of them, the first ones, are nothing out of the way
    virtual std::size_t pick(std::size_t count, std::size_t usual) = 0;
    /// Some of a run's questions are still to be chosen.
    virtual bool chooses() const noexcept = 0;
    /// Whether this run may be somewhere that no other one was.
    virtual bool is_elsewhere() const noexcept = 0;
    /// Whether a run has been here already, in the very same situation with as many questions left. If so whatever may
    /// follow has been seen, or will be: without questions left there is one way to go on. @pre is_elsewhere
    virtual bool was_here(std::uint64_t situation) = 0;

    /// Prepares the same run once more.
    virtual void repeat() = 0;
    /// Prepares the next run. False when there is none.
    virtual bool advance() = 0;
};

/// Repeated runs see every sequence of answers.
class every_choice final : public chooser {
public:
    explicit every_choice(std::size_t depth) : depth_(depth) {}

    std::size_t pick(std::size_t count, std::size_t) override {
        if (at_ >= depth_ || count <= 1) return 0;
        if (at_ == path_.size()) path_.push_back({0, count});
        return path_[at_++].picked;
    }
    bool chooses() const noexcept override { return at_ < depth_; }
    bool is_elsewhere() const noexcept override { return at_ >= path_.size() && !repeats_; }
    bool was_here(std::uint64_t situation) override { return !seen_.insert(situation * 31 + at_).second; }
    void repeat() override {
        at_ = 0;
        repeats_ = true;
    }
    bool advance() override {
        at_ = 0;
        repeats_ = false;
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
    const std::size_t depth_;
    std::size_t at_ = 0;
    /// Through what has been seen, to be told of.
    bool repeats_ = false;
    std::vector<choice> path_;
    boost::unordered_flat_set<std::uint64_t> seen_;
};

/// Repeated runs see sequences at random, the same ones each time: for depths of which not every one can be seen.
class random_choice final : public chooser {
public:
    random_choice(std::size_t depth, std::size_t runs) : depth_(depth), runs_(runs) { repeat(); }

    std::size_t pick(std::size_t count, std::size_t usual) override {
        if (at_ >= depth_ || count <= 1) return 0;
        ++at_;
        // Most of what can happen is out of the way: left to chance alone, nothing would come to anything.
        const bool out_of_the_way = usual == 0 || random_() % 2 == 0;
        return random_() % (out_of_the_way ? count : usual);
    }
    bool chooses() const noexcept override { return at_ < depth_; }
    bool is_elsewhere() const noexcept override { return false; }
    bool was_here(std::uint64_t) override { return false; }
    void repeat() override {
        at_ = 0;
        random_.seed(run_);
    }
    bool advance() override {
        ++run_;
        repeat();
        return run_ < runs_;
    }

private:
    const std::size_t depth_;
    const std::size_t runs_;
    std::size_t run_ = 0;
    std::size_t at_ = 0;
    std::mt19937_64 random_;
};

}  // namespace holdfast::explorer

#endif
