/// What every journal must do, whatever it is stored in. A test program calls `check_journal` with its own store.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "reseq/store/journal.hpp"

namespace reseq::test {

/// One store that journals are opened on, one after the other, and that keeps what they wrote.
class journal_store {
public:
  virtual ~journal_store() = default;
  /// Opens the journal. The one before must be gone, by its destructor or with its process.
  virtual result<std::unique_ptr<store::journal>> open() = 0;
};

using store_factory = std::function<std::unique_ptr<journal_store>()>;

/// Runs the sections of one Catch test case. Each gets an empty store from `make`.
void check_acceptance(const store_factory& make);
void check_reading(const store_factory& make);
void check_changes(const store_factory& make);
void check_opening(const store_factory& make);
void check_retention(const store_factory& make);
void check_recovery(const store_factory& make);
void check_kill(const store_factory& make);

} // namespace reseq::test
