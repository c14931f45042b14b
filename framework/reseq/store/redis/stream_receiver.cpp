#include "reseq/store/redis/stream_receiver.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <utility>

#include "reseq/store/redis/durability.hpp"
#include "reseq/store/redis/scripts.hpp"

namespace reseq::store::redis {

namespace {

/// The core knows when to try again.
client_options options_with(duration timeout) {
  client_options options;
  options.timeout = timeout;
  options.shortest_wait = options.longest_wait = duration{};
  return options;
}

/// What a cluster places a key by.
std::string_view hash_tag(std::string_view key) {
  const auto open = key.find('{');
  if (open == std::string_view::npos) return key;
  const auto close = key.find('}', open);
  return close == std::string_view::npos || close == open + 1 ? key : key.substr(open + 1, close - open - 1);
}

std::string now_as_text() {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%F %T UTC", &parts)};
}

/// 0 when it is empty.
result<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty()) return value;
  if (failed != std::errc{} || end != text.data() + text.size())
    return fail(errc::corrupt, "what is recorded of the destination is no number");
  return value;
}

} // namespace

result<stream_url> parse_stream_url(std::string_view text) {
  constexpr std::string_view key = "stream=";
  std::string server(text.substr(0, text.find('?')));
  auto rest = text.substr(server.size());
  std::string stream;
  char before = '?';
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const auto one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(one.size());
    if (one.starts_with(key)) {
      stream = std::string(one.substr(key.size()));
    } else {
      server += std::exchange(before, '&') + std::string(one);
    }
  }
  if (stream.empty())
    return fail(errc::invalid, "the URL names no stream, as in redis://localhost:6379/0?stream=orders");
  auto read = parse_server_url(server);
  if (!read) return tl::unexpected(std::move(read.error()));
  return stream_url{std::move(*read), std::move(stream)};
}

stream_receiver::stream_receiver(stream_url to, receiver_owner owner, duration timeout)
  : stream_(std::move(to.stream)),
    record_("reseq:{" + std::string(hash_tag(stream_)) + "}:receiver:" + owner.pipeline + ":" + owner.destination),
    owner_(std::move(owner)), server_(std::move(to.server)), client_(server_, options_with(timeout)),
    ours_(owner_.ours) {}

result<receiver_record> stream_receiver::open() { return look(); }

/// On a connection of its own: a user may lack CONFIG, and an error ends a connection.
std::string stream_receiver::durability_risk() { return redis::durability_risk(server_, std::chrono::seconds{1}); }

result<receiver_record> stream_receiver::take_over(sequence settled) {
  auto known = look();
  if (!known || is_ours(*known)) return known;
  if (auto may = may_take_over(*known, owner_.assigned, settled); !may) return tl::unexpected(std::move(may.error()));
  ours_ = known->last;
  auto taken = look(whose::anybodys);
  if (taken && !is_ours(*taken))
    return fail(errc::conflict, "the journal whose record it is wrote meanwhile: it is not gone", "the receiver");
  return taken;
}

result<receiver_record> stream_receiver::look(whose takes) {
  auto read = append({}, takes);
  if (read) known_ = *read;
  if (read && read->last > owner_.assigned) read->last_position = position_of(read->last);
  return read;
}

std::string stream_receiver::field_of(sequence received, std::string_view field) {
  const auto id = std::to_string(received.value()) + "-0";
  const auto found = client_.run(std::array{command("XRANGE").add(stream_).add(id).add(id)});
  if (!found || found->front().size() != 1 || found->front()[0].size() != 2) return {};
  const auto fields = found->front()[0][1];
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2)
    if (fields[i].text() == field) return std::string(fields[i + 1].text());
  return {};
}

position stream_receiver::position_of(sequence received) {
  return position{number(field_of(received, "position")).value_or(0)};
}

std::optional<core::receiver_answer> stream_receiver::find_other(std::span<const received> items) {
  for (const auto& one : items) {
    if (one.item.seq <= compared_) continue;
    const auto theirs = field_of(one.item.seq, "message_id");
    if (!theirs.empty() && theirs != one.item.message->id()) return other_history(one.item, theirs);
    compared_ = one.item.seq;
  }
  return std::nullopt;
}

core::receiver_answer stream_receiver::deliver(std::span<const received> items) {
  // Again, if somebody else (an owner of the same epoch, a server that lost something) was in between.
  for (int tries = 0; tries < 3; ++tries) {
    const bool was_known = known_.has_value();
    if (!was_known) {
      auto read = append({});
      if (!read) return core::failing{read.error().text(), std::nullopt};
      known_ = std::move(*read);
    }
    const auto there = already_received(*known_, items, owner_);
    if (!there) {
      known_.reset(); // it may be out of date; and whoever repairs it is not to restart this program
      if (was_known) continue;
      return there.error();
    }
    if (auto other = find_other(items.first(*there))) return std::move(*other);
    const auto expected = known_->last;
    auto now = append(items.subspan(*there));
    known_.reset(); // what became of a call without an answer is found out anew
    if (!now) return core::failing{now.error().text(), std::nullopt};
    known_ = std::move(*now);
    if (!is_ours(*known_)) continue;
    if (known_->owner > owner_.owner) return core::stale{known_->owner};
    if (known_->last == items.back().item.seq) return core::confirmed{};
    if (*there == items.size() && known_->last == expected) return core::confirmed{};
  }
  known_.reset();
  return core::failing{"somebody else writes to the stream as this destination", std::nullopt};
}

result<receiver_record> stream_receiver::append(std::span<const received> items, whose takes) {
  command call("EVALSHA");
  call.add(append_script.sha1).number(2).add(stream_).add(record_).number(owner_.owner.value());
  if (ours_ == sequence{}) {
    call.add("");
  } else {
    call.number(ours_.value());
  }
  call.add(owner_.journal).add(now_as_text()).add(takes == whose::anybodys ? "take" : "");
  for (const auto& one : items)
    call.number(one.item.seq.value())
      .number(one.item.at.value())
      .add(one.item.message->id())
      .add(one.item.message->key())
      .add(one.headers)
      .add(one.item.body->payload);
  const std::array calls{std::move(call)};
  auto answers = client_.run(append_script, calls);
  if (!answers) return tl::unexpected(std::move(answers.error()));
  const auto& said = answers->front();
  if (said.size() != 5) return fail(errc::internal, "the script answered something else than it does", "Redis");
  const auto epoch_now = number(said[0].text());
  const auto last = number(said[1].text());
  if (!epoch_now || !last) return tl::unexpected((epoch_now ? last : epoch_now).error());
  receiver_record known{epoch{*epoch_now}, sequence{*last}, std::string(said[2].text())};
  const auto journal = said[3].text();
  if (journal.empty() && known.last != sequence{}) known.unclaimed = says_nothing(known.last);
  if (!journal.empty() && journal != owner_.journal) {
    known.foreign = journal;
    known.written = said[4].text();
  }
  if (is_ours(known) && known.owner <= owner_.owner) ours_ = known.last;
  return known;
}

std::string stream_receiver::says_nothing(sequence last) const {
  return unclaimed(last, owner_,
                   record_ + ", the record beside the stream " + stream_ + " (which has come to " +
                     std::to_string(last.value()) + "-0),",
                   "HSET " + record_ + " journal " + owner_.journal);
}

} // namespace reseq::store::redis
