// holdfast, the command.
#include "dispatch.hpp"

int main(int count, char** arguments) {
    return holdfast::cli::dispatch({count, arguments});
}
