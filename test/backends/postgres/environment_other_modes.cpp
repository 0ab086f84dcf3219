// The contract with fencing tokens, and with a connection or a transaction for each lock: takes minutes, so it is not
// among the quick tests.
#define HOLDFAST_TEST_OTHER_MODES
#include "environment.cpp"  // NOLINT(bugprone-suspicious-include): the same source with another macro
