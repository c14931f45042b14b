#include "reseq/core/sequencer.hpp"

#include <optional>
#include <string_view>
#include <utility>

namespace reseq::core {

namespace {

/// One batch being worked through: the heads as they were, and what the batch has moved so far.
class run {
public:
  run(const heads& now, std::span<const submission> batch, const std::unordered_map<std::string, known_id>& known)
    : now_(now), known_(known), last_(now.last) {
    out_.receipts.reserve(batch.size());
    in_batch_.reserve(batch.size());
  }

  void decide(const submission& wanted, std::size_t index) {
    const std::string& id = wanted.message->id();
    if (const auto first = seen(id)) {
      out_.receipts.push_back(repeat(id, *first, wanted.fingerprint));
      return;
    }
    if (auto refused = wanted.only_again ? wanted.only_again : refusal(wanted.routes)) {
      out_.receipts.push_back(tl::unexpected(std::move(*refused)));
      return;
    }
    const position at = wanted.routes.empty() ? position{} : enrol(wanted);
    if (wanted.routes.empty())
      out_.unrouted.push_back(index);
    else
      out_.accepted_from.push_back(index);
    in_batch_.emplace(id, known_id{at, wanted.fingerprint});
    out_.receipts.push_back(receipt{id, false, at});
  }

  sequenced finish() && {
    out_.next.last = last_;
    out_.next.destinations.reserve(moved_.size());
    for (const auto& [destination, last] : moved_) out_.next.destinations.push_back({destination, last});
    return std::move(out_);
  }

private:
  [[nodiscard]] std::optional<known_id> seen(const std::string& id) const {
    if (const auto it = known_.find(id); it != known_.end()) return it->second;
    if (const auto it = in_batch_.find(id); it != in_batch_.end()) return it->second;
    return std::nullopt;
  }

  static result<receipt> repeat(const std::string& id, const known_id& first, const digest& fingerprint) {
    if (first.fingerprint != fingerprint)
      return fail(errc::unprocessable,
                  "message " + id + " was accepted before with another payload, content type, key or destinations",
                  "id");
    return receipt{id, true, first.at};
  }

  [[nodiscard]] std::optional<error> refusal(const std::vector<destination_id>& routes) const {
    for (const auto route : routes) {
      const auto known = now_.destinations.find(route);
      if (known == now_.destinations.end())
        return error{errc::unprocessable, "there is no destination " + std::to_string(route.value()), "destinations"};
      const auto moved = moved_.find(route);
      const sequence last = moved == moved_.end() ? known->second.last : moved->second;
      if (last >= known->second.limit)
        return error{errc::full,
                     "the backlog of destination " + known->second.name + " is full: max_pending messages wait there",
                     known->second.name};
    }
    return std::nullopt;
  }

  position enrol(const submission& wanted) {
    accepted_message accepted{++last_, wanted.message, {}};
    accepted.enrolled.reserve(wanted.routes.size());
    for (const auto route : wanted.routes) {
      auto [moved, first_move] = moved_.try_emplace(route);
      if (first_move) moved->second = now_.destinations.find(route)->second.last;
      accepted.enrolled.push_back({route, ++moved->second});
    }
    out_.accepted.push_back(std::move(accepted));
    return last_;
  }

  const heads& now_;
  const std::unordered_map<std::string, known_id>& known_;
  std::unordered_map<std::string_view, known_id> in_batch_;
  std::map<destination_id, sequence> moved_;
  position last_;
  sequenced out_;
};

} // namespace

void heads::take(const advance& moved) {
  last = moved.last;
  for (const auto& [moved_one, seq] : moved.destinations)
    if (const auto it = destinations.find(moved_one); it != destinations.end()) it->second.last = seq;
}

sequenced sequence_batch(const heads& now, std::span<const submission> batch,
                         const std::unordered_map<std::string, known_id>& known) {
  run decided(now, batch, known);
  for (std::size_t index = 0; index < batch.size(); ++index) decided.decide(batch[index], index);
  return std::move(decided).finish();
}

} // namespace reseq::core
