// Holdfast: what every public header needs first.
#ifndef HOLDFAST_CONFIG_HPP
#define HOLDFAST_CONFIG_HPP

#include <holdfast/version.hpp>

#include <boost/version.hpp>

// Asio types stand in our signatures and in compiled objects on both sides, so two Boost versions in one program would
// disagree about their layout without any linker noticing.
#if BOOST_VERSION != HOLDFAST_BOOST_VERSION
#error "Holdfast was built with another version of Boost than the one included here; see HOLDFAST_BOOST_VERSION"
#endif

#if defined(_WIN32)
#if defined(HOLDFAST_SHARED) && defined(HOLDFAST_BUILDING)
#define HOLDFAST_API __declspec(dllexport)
#elif defined(HOLDFAST_SHARED)
#define HOLDFAST_API __declspec(dllimport)
#else
#define HOLDFAST_API
#endif
#else
#define HOLDFAST_API __attribute__((visibility("default")))
#endif

#endif
