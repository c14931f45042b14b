/// The half of a journal that is the same in every database: which shard a handle means, and which part of it each
/// operation may touch meanwhile.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reseq/store/journal.hpp"
#include "reseq/store/owned_shard.hpp"

namespace reseq::store {

/// Threads are as `journal` says: what reads runs beside what writes; of those that write, one at a time has
/// `writing_`.
///
/// `Shard` is an `owned_shard`; `Reader` has the reading operations of `journal`, with a shard in place of its handle.
template <class Shard, class Reader>
class shard_journal : public journal {
public:
  result<std::vector<shard_committed>> commit(std::span<const shard_commit> batch, wall_time now) final {
    const std::lock_guard writing(writing_);
    std::vector<part_of<Shard>> parts;
    parts.reserve(batch.size());
    for (const auto& wanted : batch) {
      Shard* const found = look_up(wanted.shard);
      if (found == nullptr) return unknown(wanted.shard);
      parts.push_back({found, &wanted});
    }
    return write(parts, now);
  }

  result<std::vector<core::backlog_item>> read(shard_handle shard, destination_id destination, sequence from,
                                               std::uint32_t max_messages, std::uint64_t max_bytes) final {
    return ask(shard, &Reader::read, destination, from, max_messages, max_bytes);
  }

  result<core::key_backlog> read_keys(shard_handle shard, destination_id destination,
                                      std::span<const core::key_cursor> keys, sequence until,
                                      std::uint32_t max_messages, std::uint64_t max_bytes) final {
    return ask(shard, &Reader::read_keys, destination, keys, until, max_messages, max_bytes);
  }

  result<std::optional<stored_message>> find(shard_handle shard, position at) final {
    return ask(shard, &Reader::find, at);
  }

  result<std::optional<position>> find_id(shard_handle shard, const std::string& message_id) final {
    return ask(shard, &Reader::find_id, message_id);
  }

  result<std::vector<dead_letter>> dead_letters(shard_handle shard, std::optional<core::enrolment> after,
                                                std::uint32_t limit) final {
    return ask(shard, &Reader::dead_letters, after, limit);
  }

  result<recorded_end> end_of(shard_handle shard, core::enrolment what) final {
    return ask(shard, &Reader::end_of, what);
  }

  result<epoch> current_epoch(shard_handle shard) final { return ask(shard, &Reader::current_epoch); }

  result<recovery_findings> findings(shard_handle shard) final {
    const std::lock_guard writing(writing_);
    Shard* const found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return look_at(*found);
  }

  result<void> recover(shard_handle shard, const recovery& how, wall_time now) final {
    const std::lock_guard writing(writing_);
    Shard* const found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return write_recovery(*found, how, now);
  }

  result<std::uint64_t> expire(shard_handle shard, wall_time before, wall_time now, std::uint32_t max_messages) final {
    const std::lock_guard writing(writing_);
    Shard* const found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return write_expiry(*found, before, now, max_messages);
  }

protected:
  std::mutex writing_; ///< the writer's connection, and the writer's half of each shard

  /// Those that were opened. Under `writing_`.
  [[nodiscard]] const std::vector<std::unique_ptr<Shard>>& shards() const { return shards_; }

  /// Under `writing_`.
  [[nodiscard]] shard_handle handle_of(const Shard& opened) const {
    const auto at = std::ranges::find(shards_, &opened, &std::unique_ptr<Shard>::get);
    return shard_handle{static_cast<std::uint32_t>(at - shards_.begin() + 1)};
  }

  /// Lets an opened shard be used, by the handle that it gets. Under `writing_`.
  shard_state keep(std::unique_ptr<Shard> opened, shard_state state) {
    const std::lock_guard listing(listing_);
    shards_.push_back(std::move(opened));
    state.handle = shard_handle{static_cast<std::uint32_t>(shards_.size())};
    return state;
  }

private:
  virtual Reader& reading() = 0;

  /// Under `writing_`, as `findings` says.
  virtual result<recovery_findings> look_at(Shard& shard) { return shard.findings(); }

  /// Under `writing_`, as `commit`, `recover` and `expire` say.
  virtual result<std::vector<shard_committed>> write(std::span<const part_of<Shard>> parts, wall_time now) = 0;
  virtual result<void> write_recovery(Shard& shard, const recovery& how, wall_time now) = 0;
  virtual result<std::uint64_t> write_expiry(Shard& shard, wall_time before, wall_time now,
                                             std::uint32_t max_messages) = 0;

  template <class Answer, class... Parameters, class... Arguments>
  Answer ask(shard_handle shard, Answer (Reader::*question)(const Shard&, Parameters...),
             const Arguments&... arguments) {
    const Shard* const found = look_up(shard);
    if (found == nullptr) return unknown(shard);
    return (reading().*question)(*found, arguments...);
  }

  Shard* look_up(shard_handle shard) {
    const std::lock_guard listing(listing_);
    return shard.value() == 0 || shard.value() > shards_.size() ? nullptr : shards_[shard.value() - 1].get();
  }

  static tl::unexpected<error> unknown(shard_handle shard) {
    return fail(errc::internal, "no shard was opened as " + std::to_string(shard.value()), "shard");
  }

  std::mutex listing_; ///< `shards_`; what it holds is never removed
  std::vector<std::unique_ptr<Shard>> shards_;
};

} // namespace reseq::store
