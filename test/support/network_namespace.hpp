// A network of the tests' own, whose packets can be dropped.
#ifndef HOLDFAST_TEST_SUPPORT_NETWORK_NAMESPACE_HPP
#define HOLDFAST_TEST_SUPPORT_NETWORK_NAMESPACE_HPP

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::test {

/** A namespace with one wire to us. Whoever is in it reaches `address_here()`, until the wire is cut: then
   packets are dropped, in both directions and without a word.

    Needs root, iproute2 and nftables.
*/
class network_namespace {
public:
    /// Why there can be none; "" when there can.
    static std::string missing();

    network_namespace();
    network_namespace(const network_namespace&) = delete;
    network_namespace& operator=(const network_namespace&) = delete;
    ~network_namespace();

    std::string address_here() const { return prefix_ + "1"; }
    std::string address_there() const { return prefix_ + "2"; }
    /// The calling thread, and those that it starts from now on, are in the namespace. For children only.
    void enter() const;
    void cut() const;
    /// Only what goes to these TCP ports here, and what comes from them.
    void cut_from(const std::vector<std::uint16_t>& ports) const;
    void mend() const;

private:
    void run(const std::string& command) const;

    std::string name_;
    std::string prefix_;
};

}  // namespace holdfast::test

#endif
