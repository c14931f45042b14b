/// Operators who pause, resume, retry and skip, whether that makes sense or not.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "reseq/core/records.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"

namespace reseq::simulation {

class world;

class operators {
public:
  explicit operators(world& with);

  /// One of them does something.
  void act();
  /// Resumes what is paused, retries what is held and skips what is held again, but for what is to be left alone. True
  /// if there was something to do.
  bool tidy_up();
  /// Nobody touches what is held of that key.
  void leave_alone(destination_id d, std::string key);
  void leave_nothing_alone() { left_alone_.reset(); }
  /// The owner is gone: nobody is answered any more.
  void lose_owner();

private:
  enum class kind { pause, resume, retry, skip };

  void ask(kind what, destination_id d, std::optional<sequence> seq);
  void resumed(destination_id d);
  void answered(kind what, destination_id d, std::optional<sequence> seq, const result<std::uint64_t>& got);
  [[nodiscard]] std::optional<sequence> somewhere(destination_id d);
  [[nodiscard]] bool is_left_alone(const core::held_record& held) const;

  world& world_;
  std::uint64_t last_token_ = 0;
  std::uint32_t open_ = 0;             ///< not answered
  std::vector<std::uint32_t> resumes_; ///< asked, by destination
  std::set<std::pair<destination_id, sequence>> retried_;
  std::optional<std::pair<destination_id, std::string>> left_alone_;
};

} // namespace reseq::simulation
