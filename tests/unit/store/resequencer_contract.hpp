/// What every resequencer must do, wherever it keeps the lanes. A test program calls these with its own.
#pragma once

#include <functional>
#include <memory>

#include "reseq/store/resequencer.hpp"

namespace reseq::test {

/// One place where a shard's lanes are kept, whoever owns it.
class resequencer_place {
public:
  virtual ~resequencer_place() = default;
  /// One more owner's access to the same shard. Those before it stay.
  virtual std::unique_ptr<store::resequencer> access() = 0;
};

using place_factory = std::function<std::unique_ptr<resequencer_place>()>;

/// Runs the sections of one Catch test case. Each gets an empty place from `make`.
void check_release(const place_factory& make);
void check_fencing(const place_factory& make);
void check_repetition(const place_factory& make);
void check_results(const place_factory& make);
void check_takeover(const place_factory& make);
/// Random updates, of several owners, against `core::lane_store`: every answer is the same.
void check_against_model(const place_factory& make);

} // namespace reseq::test
