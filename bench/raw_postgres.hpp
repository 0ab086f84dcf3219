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
    explicit raw_postgres(const std::string& connection);
    raw_postgres(const raw_postgres&) = delete;
    raw_postgres& operator=(const raw_postgres&) = delete;
    ~raw_postgres();

    void try_lock();
    /// Waits in the server.
    void lock();
    void unlock();
    /// Pairs of a try and an unlock on names of their own, in pipelines of a hundred.
    void pipelined_pairs(int count);

private:
    void run(const char* statement);

    pg_conn* const connection_;
};

}  // namespace holdfast::bench

#endif
