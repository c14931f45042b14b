/// What tests of the journal's actors share.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/journal_reader.hpp"
#include "actors/journal_writer.hpp"
#include "actors/system.hpp"
#include "fakes.hpp"
#include "virtual_system.hpp"

namespace reseq::test {

using namespace reseq::actors;

using receipts = std::vector<result<receipt>>;
using numbers = std::vector<std::uint64_t>;

/// Remembers each commit, gives positions, and refuses on demand: all of a commit, or the messages called "refused".
class memory_journal final : public store::journal {
public:
  struct written {
    numbers shards;
    std::vector<std::string> ids;
    std::size_t held_changes = 0;
  };

  [[nodiscard]] std::string identity() const override { return "in memory"; }

  result<store::shard_state> open(const shard_id&, const store::definition&,
                                  std::span<const store::destination_spec>) override {
    return store::shard_state{};
  }

  result<std::vector<store::shard_committed>> commit(std::span<const store::shard_commit> batch, wall_time) override {
    written now;
    for (const auto& part : batch) {
      now.shards.push_back(part.shard.value());
      for (const auto& s : part.submissions) now.ids.push_back(s.message->id());
      now.held_changes += part.change.unheld.size();
    }
    commits.push_back(now);
    const auto lacks = [&](const auto& back) { return std::ranges::count(now.shards, back.shard.value()) > 0; };
    if (std::ranges::any_of(back, lacks)) return fail(errc::diverged, "it has gone back");
    if (failing) return fail(errc::no_space, "the disk is full");
    if (away) return fail(errc::unavailable, "it is away");
    if (no_messages && (!now.ids.empty() || now.held_changes == 0)) return fail(errc::unavailable, "not messages");
    std::vector<store::shard_committed> done;
    for (const auto& part : batch) done.push_back(store(part));
    if (doubtful) {
      late = std::exchange(done, {}).at(0).accepted;
      return fail(errc::in_doubt, "the connection broke");
    }
    if (done.empty()) return done;
    auto& accepted = done.at(0).accepted;
    accepted.insert(accepted.begin(), late.begin(), late.end());
    late.clear();
    return done;
  }

  result<std::vector<core::backlog_item>> read(store::shard_handle, destination_id destination, sequence from,
                                               std::uint32_t max_messages, std::uint64_t) override {
    if (failing) return fail(errc::unavailable, "it is away");
    std::vector<core::backlog_item> items;
    for (std::uint32_t i = 0; i < max_messages; ++i)
      items.push_back({from + i, position{destination.value()}, make_message("m")});
    return items;
  }

  result<core::key_backlog> read_keys(store::shard_handle, destination_id destination,
                                      std::span<const core::key_cursor> keys, sequence until, std::uint32_t,
                                      std::uint64_t) override {
    if (failing) return fail(errc::unavailable, "it is away");
    return core::key_backlog{{{keys[0].from, position{destination.value()}, make_message("m")}}, until};
  }

  result<std::optional<store::stored_message>> find(store::shard_handle, position at) override {
    if (at == position{404}) return std::nullopt;
    return store::stored_message{at, make_message("m-" + std::to_string(at.value())), {}, {}};
  }
  result<std::optional<position>> find_id(store::shard_handle, const std::string& id) override {
    if (failing) return fail(errc::unavailable, "it is away");
    if (id == "m-17") return position{17};
    return std::nullopt;
  }
  result<std::vector<store::dead_letter>> dead_letters(store::shard_handle, std::optional<core::enrolment>,
                                                       std::uint32_t limit) override {
    return std::vector<store::dead_letter>(limit);
  }
  result<store::recorded_end> end_of(store::shard_handle, core::enrolment) override {
    return store::recorded_end::skipped;
  }
  result<std::vector<store::left_behind>> left_behind_elsewhere() override { return std::vector<store::left_behind>{}; }
  result<epoch> current_epoch(store::shard_handle shard) override { return epoch{100 + shard.value()}; }

  result<store::recovery_findings> findings(store::shard_handle) override { return found; }
  result<void> recover(store::shard_handle shard, const store::recovery& how, wall_time) override {
    if (failing) return fail(errc::unavailable, "it is away");
    recovered.emplace_back(shard.value(), how);
    return {};
  }
  result<std::uint64_t> expire(store::shard_handle shard, wall_time, wall_time, std::uint32_t max_messages) override {
    expired.push_back(shard.value());
    if (failing || away) return fail(errc::unavailable, "it is away");
    const auto gone = std::min<std::uint64_t>(expirable, max_messages);
    expirable -= gone;
    return gone;
  }

  std::vector<store::gone_back> take_gone_back() override {
    return back.empty() || std::exchange(told_back, true) ? std::vector<store::gone_back>{} : back;
  }

  store::recovery_findings found;
  std::vector<store::gone_back> back;
  bool told_back = false;
  std::vector<std::pair<std::uint64_t, store::recovery>> recovered;
  bool failing = false;     ///< the disk is full, and nothing can be read
  bool away = false;        ///< nothing can be written
  bool no_messages = false; ///< only changes can be written, and an empty commit tells
  bool doubtful = false;    ///< everything is done, and nobody told so
  std::vector<core::accepted_message> late;
  std::vector<written> commits;
  numbers expired;
  std::uint64_t expirable = 0;

private:
  store::shard_committed store(const store::shard_commit& part) {
    store::shard_committed done;
    for (const auto& s : part.submissions) {
      const auto& id = s.message->id();
      if (id == "refused") {
        done.receipts.emplace_back(fail(errc::full, "the backlog is full"));
        continue;
      }
      const bool known = positions_.contains(id);
      const auto at = known ? positions_.at(id) : positions_.emplace(id, ++last_).first->second;
      done.receipts.emplace_back(receipt{id, known, at});
      if (!known) done.accepted.push_back({at, s.message, {}});
    }
    return done;
  }

  std::map<std::string, position> positions_;
  position last_;
};

/// A writer on virtual time, with a journal that does what the test wants and a shard that keeps what it hears.
struct writer_fixture {
  explicit writer_fixture(writer_options with = {std::chrono::hours{1}, 1U << 20U, 1U << 20U})
    : writer(system.spawn(
        become<writer_state, journal_actor, std::shared_ptr<store::journal>, writer_options, std::shared_ptr<metrics>>,
        std::shared_ptr<store::journal>{journal}, with, counted)) {
    system.send(writer, one, owner);
  }

  /// Only puts it into the mailbox: nothing runs.
  answered<receipts> post(const std::vector<std::string>& ids, std::size_t bytes = 10,
                          store::shard_handle shard = store::shard_handle{1}) {
    answered<receipts> to;
    submit request{shard, {}, to.reply()};
    for (const auto& id : ids) request.submissions.push_back({make_message(id, std::string(bytes, 'x')), {}, {}});
    caf::anon_send(writer, std::move(request));
    return to;
  }

  void post_save(store::shard_handle shard = store::shard_handle{1}) {
    save change{shard, {}};
    change.change.unheld.push_back({destination_id{1}, sequence{1}});
    caf::anon_send(writer, std::move(change));
  }

  [[nodiscard]] std::vector<std::vector<std::string>> commits() const {
    std::vector<std::vector<std::string>> all;
    for (const auto& one_commit : journal->commits) all.push_back(one_commit.ids);
    return all;
  }

  static constexpr store::shard_handle one{1};
  virtual_system system;
  std::shared_ptr<memory_journal> journal = std::make_shared<memory_journal>();
  std::shared_ptr<metrics> counted = std::make_shared<metrics>();
  std::shared_ptr<shard_mail> mail = std::make_shared<shard_mail>();
  shard_actor owner = system.spawn(fake_shard, mail);
  journal_actor writer;
};

using groups = std::vector<std::vector<std::string>>;

} // namespace reseq::test
