// What the commands that look at a backend have in common.
#ifndef HOLDFAST_CLI_INSPECTION_HPP
#define HOLDFAST_CLI_INSPECTION_HPP

#include "backends.hpp"

#include <functional>
#include <optional>
#include <string>

namespace holdfast::cli {

/** Opens the provider that @p address names (none: HOLDFAST_URL, or this user's own lock directory; "@FILE": the URL
   in that file) and gives it to @p look.

    @param verb for messages: "list"
    @return the exit status: what @p look returns, or that of the error, which has been printed; also of what @p look
            has written to standard output, and did not get there
*/
int inspect(const std::string& verb, const std::optional<std::string>& address, const program_arguments& all,
            const std::function<int(const provider&)>& look);

}  // namespace holdfast::cli

#endif
