/// A shard with short words for the events that tests feed it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reseq/core/shard.hpp"

namespace reseq::core::test {

using numbers = std::vector<std::uint64_t>;

constexpr time_point t0{std::chrono::hours{1}};
inline time_point after(int ms) { return t0 + std::chrono::milliseconds{ms}; }

inline destination_setup setup(std::uint32_t id) {
  destination_setup d;
  d.id = destination_id{id};
  d.settings.name = "d" + std::to_string(id);
  d.settings.batch = 10;
  d.progress.destination = d.id;
  return d;
}

inline content_ptr body(std::string text = "result") {
  return std::make_shared<content>(content{std::move(text), "", {}});
}

inline message_ptr payload(std::size_t bytes) {
  return std::make_shared<message>("", "", content{std::string(bytes, 'm'), "", {}});
}

struct shard_fixture {
  explicit shard_fixture(std::vector<destination_setup> setups, give_up on_exhausted = give_up::hold,
                         std::optional<resequencing> outside = {})
    : tested(std::move(setups), on_exhausted, 1, t0, epoch{3}, outside) {
    take();
  }

  void take() {
    todo = tested.take();
    for (const auto& w : todo.work) askings[{w.at, w.chain}] = w.asked;
  }
  /// As it was asked for last.
  [[nodiscard]] asking asked(std::uint64_t at, std::uint32_t chain = 0) const {
    const auto found = askings.find({position{at}, chain_index{chain}});
    return found == askings.end() ? asking{} : found->second;
  }

  /// The next message, for those destinations.
  void accept(const std::vector<std::uint32_t>& to, std::size_t bytes = 10, time_point now = t0) {
    accepted_message m{position{++last_position}, payload(bytes), {}};
    for (const auto id : to) m.enrolled.push_back({destination_id{id}, sequence{++last_sequence[id]}});
    tested.accepted({m}, now);
    take();
  }
  void work(std::uint64_t at, content_ptr result = body(), std::uint32_t chain = 0, time_point now = t0) {
    tested.worked({{position{at}, chain_index{chain}, {std::move(result), {}}, asked(at, chain)}}, now);
    take();
  }
  void give_up_at(std::uint64_t at, std::uint32_t chain = 0) {
    tested.gave_up({position{at}, chain_index{chain}, 5, "boom", asked(at, chain)}, t0, wall);
    take();
  }
  void answer(const send_request& request, const receiver_answer& answer, time_point now = t0) {
    tested.answered(request.destination, request.id, answer, now, wall);
    take();
  }
  void save() {
    tested.saved(t0);
    take();
  }
  void tick(time_point now) {
    tested.tick(now);
    take();
  }
  void read_reply(std::uint32_t to, std::uint64_t from, std::uint64_t until, std::size_t bytes = 10) {
    std::vector<backlog_item> items;
    for (auto n = from; n <= until; ++n) items.push_back({sequence{n}, position{n}, payload(bytes)});
    tested.backlog(destination_id{to}, std::move(items), t0);
    take();
  }

  /// The sequences of the only request in `todo`; empty when there is none.
  [[nodiscard]] numbers sent() const {
    numbers sequences;
    for (const auto& request : todo.sends)
      for (const auto& item : request.items) sequences.push_back(item.seq.value());
    return sequences;
  }
  [[nodiscard]] numbers asked() const {
    numbers positions;
    for (const auto& w : todo.work) positions.push_back(w.at.value());
    return positions;
  }
  [[nodiscard]] destination_status status(std::uint32_t id = 1) const { return *tested.status(destination_id{id}); }
  [[nodiscard]] std::string phase(std::uint32_t id = 1) const {
    const auto shown = status(id);
    return shown.head ? shown.head->phase : "";
  }
  [[nodiscard]] std::string find(std::uint64_t seq, std::uint32_t id = 1) const {
    const auto found = tested.find(destination_id{id}, sequence{seq});
    return found ? found->state : "";
  }

  shard tested;
  effects todo;
  std::map<work_key, asking> askings;
  std::uint64_t last_position = 0;
  std::map<std::uint32_t, std::uint64_t> last_sequence;
  wall_time wall{std::chrono::milliseconds{1234}};
};

} // namespace reseq::core::test
