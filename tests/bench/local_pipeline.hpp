/// A whole pipeline in this process: the journal, the shard, the dispatcher and the lanes as a supervisor has them, a
/// worker that runs its chains on the spot, and receivers in memory. No HTTP, and no other process but the stores'.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/model/submission.hpp"

namespace reseq::bench {

class local_pipeline {
public:
  /// What has been delivered, in order; on whatever thread.
  using handler = std::function<void(destination_id, sequence, time_point)>;
  /// How many were accepted, on the journal's thread; an error when none of them were.
  using receipts = std::function<void(result<std::size_t>)>;

  /// Reads the configuration `file` and starts its only pipeline, which runs the identity. Receivers confirm
  /// everything at once. `slots`: of the worker.
  static result<std::unique_ptr<local_pipeline>> start(const std::string& file, std::uint32_t slots, handler delivered);
  /// Ends it, whatever is under way.
  ~local_pipeline();
  local_pipeline(const local_pipeline&) = delete;
  local_pipeline& operator=(const local_pipeline&) = delete;

  /// For the destinations 1 to N, as the journal counts them.
  void submit(std::vector<submission> messages, receipts told);

private:
  struct parts;
  explicit local_pipeline(std::unique_ptr<parts> made);

  std::unique_ptr<parts> parts_;
};

} // namespace reseq::bench
