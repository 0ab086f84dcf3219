// Writing to what others write to as well, and never waiting long for who reads it.
#ifndef HOLDFAST_CLI_SHARED_OUTPUT_HPP
#define HOLDFAST_CLI_SHARED_OUTPUT_HPP

#include <chrono>
#include <cstddef>
#include <string_view>

namespace holdfast::cli {

/** A descriptor whose reader may not read, and which other processes may fill at any moment.

    Between poll's word that a pipe has room and the write, somebody else can take the room, and a blocking write stands
    until the reader comes. O_NONBLOCK is no way out: it is the open file's, and so everybody's who has it, the command
    among them. So a pipe is opened once more, by way of /proc, and a socket is asked each time. Anything else, and a
    pipe that cannot be opened (another user's, no /proc), is written to when poll says that it has room.

    Thread safety: safe.
*/
class shared_output {
public:
    /// For a reader of what must not hold us up.
    static constexpr std::chrono::milliseconds longest_wait{50};

    /// @param descriptor stays the caller's, and open for as long as this lives
    explicit shared_output(int descriptor) noexcept;
    shared_output(const shared_output&) = delete;
    shared_output& operator=(const shared_output&) = delete;
    ~shared_output();

    /** Writes as much as there is room for within @p patience; of what fits into PIPE_BUF all or nothing.

        @return the number of bytes
    */
    std::size_t write(std::string_view text, std::chrono::milliseconds patience) const noexcept;

private:
    int descriptor_;
    bool is_own_ = false;
    bool is_socket_ = false;
};

}  // namespace holdfast::cli

#endif
