/// Producers that submit until they have a receipt, under the same ids; some repeat or contradict themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reseq/model/error.hpp"
#include "reseq/model/submission.hpp"

namespace reseq::simulation {

class world;

class producers {
public:
  explicit producers(world& with);

  /// How many could submit something now.
  [[nodiscard]] std::uint32_t eager() const;
  /// One of them does.
  void submit();
  /// The owner is gone, and with it all connections to it.
  void lose_owner();
  /// Everything has been submitted and receipted.
  [[nodiscard]] bool done() const;

private:
  enum class state { idle, waiting, backing_off };
  struct producer {
    state is = state::idle;
    std::uint64_t request = 0; ///< the answers to others come too late
    std::vector<submission> wanted;
    std::vector<bool> receipted; ///< each had been receipted, to anybody, when it was sent
  };

  [[nodiscard]] submission make();
  [[nodiscard]] submission repeat();
  [[nodiscard]] std::vector<destination_id> routes();
  void send(std::uint32_t who);
  void answered(std::uint32_t who, std::uint64_t request, const result<std::vector<result<receipt>>>& got);
  bool settle(const submission& wanted, bool was_receipted, const result<receipt>& got);
  void check_receipt(const submission& wanted, bool was_receipted, const receipt& got);
  void retry_later(std::uint32_t who);

  world& world_;
  std::vector<producer> all_;
  std::vector<submission> made_; ///< by number in their ids, the first submission of each
  std::vector<bool> receipted_;  ///< likewise: its producer has been told
  std::vector<bool> fresh_;      ///< likewise: a receipt said that it is no duplicate
  std::uint64_t last_request_ = 0;
};

} // namespace reseq::simulation
