#include "actors/journal_reader.hpp"

#include <utility>

#include <spdlog/spdlog.h>

namespace reseq::actors {
namespace {

result<std::optional<store::stored_message>> look_up(store::journal& journal, const ask_message& what) {
  if (what.at) return journal.find(what.shard, *what.at);
  const auto at = journal.find_id(what.shard, what.id);
  if (!at) return tl::unexpected(at.error());
  if (!*at) return std::nullopt;
  return journal.find(what.shard, **at);
}

} // namespace

reader_actor::behavior_type reader(reader_actor::stateful_pointer<reader_state> self,
                                   std::shared_ptr<store::journal> journal) {
  return {
    [=](const read_backlog& request, const shard_actor& owner) {
      const auto& what = request.what;
      const auto warn = [](const auto& got) {
        if (!got) spdlog::warn("journal: reading a backlog failed and will be tried again: {}", got.error().text());
      };
      if (!what.keys.empty()) {
        auto found =
          journal->read_keys(request.shard, what.destination, what.keys, what.until, what.max_messages, what.max_bytes);
        warn(found);
        self->send(owner, searched{what.destination, std::move(found)});
        return;
      }
      auto items = journal->read(request.shard, what.destination, what.from, what.max_messages, what.max_bytes);
      warn(items);
      self->send(owner, backlog{what.destination, std::move(items)});
    },
    [=](const ask_message& what) { what.done(look_up(*journal, what)); },
    [=](const ask_dead_letters& what) { what.done(journal->dead_letters(what.shard, what.after, what.limit)); },
    [=](const ask_end& what) { what.done(journal->end_of(what.shard, what.of)); },
    [=](const ask_epoch& what) { what.done(journal->current_epoch(what.shard)); },
    [=](const ask_other_history& what) { what.done(store::find_other_history(*journal, what.shard, what.seen)); },
  };
}

} // namespace reseq::actors
