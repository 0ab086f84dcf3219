// Holdfast: everything but the backends.
#ifndef HOLDFAST_CORE_HPP
#define HOLDFAST_CORE_HPP

#include <holdfast/acquire_all.hpp>
#include <holdfast/capabilities.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/error.hpp>
#include <holdfast/fencing_token.hpp>
#include <holdfast/inspection.hpp>
#include <holdfast/lock.hpp>
#include <holdfast/lock_handle.hpp>
#include <holdfast/lock_request.hpp>
#include <holdfast/memory.hpp>
#include <holdfast/observer.hpp>
#include <holdfast/open.hpp>
#include <holdfast/provider.hpp>
#include <holdfast/reader_writer_lock.hpp>
#include <holdfast/semaphore.hpp>
#include <holdfast/std_lock.hpp>
#include <holdfast/timeout.hpp>
#include <holdfast/upgradeable_reader_writer_lock.hpp>
#include <holdfast/url.hpp>

#endif
