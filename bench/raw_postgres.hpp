// What advisory locks cost without Holdfast: the same statements, prepared, over libpq.
#ifndef HOLDFAST_BENCH_RAW_POSTGRES_HPP
#define HOLDFAST_BENCH_RAW_POSTGRES_HPP

#include <string>

struct pg_conn;

namespace holdfast::bench {

/// One connection that blocks.
class raw_postgres {
public:
    /// @param connection a connection string of libpq
    /// @param sequence   what tokens are drawn from; empty: none
    explicit raw_postgres(const std::string& connection, std::string sequence = {});
    raw_postgres(const raw_postgres&) = delete;
    raw_postgres& operator=(const raw_postgres&) = delete;
    ~raw_postgres();

    /// Draws a token as well where there is a sequence.
    void try_lock();
    /// Waits in the server.
    void lock();
    void unlock();
    /// Pairs of a try and an unlock on names of their own, in pipelines of a hundred.
    void pipelined_pairs(int count);
    /// Puts those processes of the server that serve this program on one processor. False where the server is on
    /// another machine, or not ours to place.
    bool place_backends(int processor);

private:
    void run(const char* statement);

    pg_conn* const connection_;
    const std::string sequence_;
};

}  // namespace holdfast::bench

#endif
