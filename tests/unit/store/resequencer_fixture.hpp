/// Short hands for tests that talk to a resequencer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "reseq/store/resequencer.hpp"

namespace reseq::test {

using sequence_list = std::vector<std::uint64_t>;

std::vector<sequence> sequences(const sequence_list& numbers);
sequence_list numbers(const std::vector<sequence>& sequences);
/// `first` to `last`.
sequence_list range(std::uint64_t first, std::uint64_t last);

/// One step of a lane: what it admits, makes ready and settles.
core::lane_update step(std::uint32_t destination, std::uint64_t version, std::uint64_t number,
                       const sequence_list& admitted, const sequence_list& ready = {},
                       const sequence_list& settled = {});

core::work_key key(std::uint64_t at, std::uint32_t chain = 0);
core::stored_result stored(core::work_key of, const std::string& message_id, const std::string& payload = "result");

/// Lanes called d1, d2, …
std::vector<core::lane_name> lanes(std::uint32_t count);

/// One owner of the lanes d1 to d`lanes`.
class lane_owner {
public:
  lane_owner(std::unique_ptr<store::resequencer> access, std::uint64_t number, std::uint32_t count = 2);

  result<core::lane_answers> apply(std::vector<core::lane_update> updates);
  /// One lane's step, which must be taken.
  core::lane_answer must_apply(core::lane_update update);

  store::resequencer& operator*() { return *access_; }
  store::resequencer* operator->() { return access_.get(); }
  core::lanes_found found; ///< by `open`

private:
  std::unique_ptr<store::resequencer> access_;
};

} // namespace reseq::test
