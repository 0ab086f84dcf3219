// The contract with everything but one server on a TCP port: takes minutes, so it is not among the quick tests.
#define HOLDFAST_TEST_OTHER_LAYOUTS
#include "environment.cpp"  // NOLINT(bugprone-suspicious-include): the same source with another macro
