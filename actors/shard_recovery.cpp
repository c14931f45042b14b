#include "actors/shard_recovery.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <caf/send.hpp>

#include "actors/api/gather.hpp"

namespace reseq::actors {

recovery_inquiry::recovery_inquiry(recover wish, std::string pipeline, store::shard_state known, everybody asked)
  : wish_(std::move(wish)), pipeline_(std::move(pipeline)), known_(std::move(known)), asked_(std::move(asked)) {}

void recovery_inquiry::begin() {
  api::gather<record>(
    asked_.receivers.size(),
    [&](std::size_t i, auto done) {
      caf::anon_send(asked_.receivers[i].sink, ask_received{std::move(done), std::nullopt});
    },
    [self = shared_from_this()](const std::vector<result<record>>& answers) { self->looked(answers); });
}

void recovery_inquiry::looked(const std::vector<result<record>>& answers) {
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& who = asked_.receivers[i];
    if (auto fits = check(who, answers[i]); !fits) return refuse(fits.error());
    if (*answers[i]) wish_.received.push_back({who.of.id, **answers[i]});
  }
  caf::anon_send(asked_.reader,
                 ask_other_history{known_, wish_.received,
                                   reply<std::optional<std::string>>(
                                     [self = shared_from_this()](const auto& found) { self->compared(found); })});
}

result<void> recovery_inquiry::check(const receiver& who, const result<record>& answer) const {
  const auto in_words = [&](const error& why) {
    return fail(why.code, "destination " + who.of.name + ": " + why.text());
  };
  if (!answer) return in_words(answer.error());
  if (!*answer) return {};
  const auto& has = **answer;
  if (!wish_.take_over && !store::is_ours(has))
    return fail(errc::conflict, "the receiver of destination " + who.of.name + " " + store::belongs_elsewhere(has));
  if (auto may = store::may_take_over(has, who.of.accepted, who.of.settled); !may) return in_words(may.error());
  return {};
}

void recovery_inquiry::compared(const result<std::optional<std::string>>& other_history) {
  if (!other_history) return refuse(other_history.error());
  if (*other_history) return refuse({errc::conflict, **other_history, {}});
  if (wish_.take_over && !wish_.dry_run) return take_over();
  pass_on();
}

void recovery_inquiry::take_over() {
  std::erase_if(asked_.receivers, [&](const receiver& who) {
    const auto said = std::ranges::find(wish_.received, who.of.id, &store::receiver_seen::id);
    return said == wish_.received.end() || store::is_ours(said->has);
  });
  api::gather<record>(
    asked_.receivers.size(),
    [&](std::size_t i, auto done) {
      caf::anon_send(asked_.receivers[i].sink, ask_received{std::move(done), asked_.receivers[i].of.settled});
    },
    [self = shared_from_this()](const std::vector<result<record>>& answers) { self->taken(answers); });
}

void recovery_inquiry::taken(const std::vector<result<record>>& answers) {
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& who = asked_.receivers[i];
    if (auto fits = check(who, answers[i]); !fits) return refuse(fits.error());
    if (*answers[i]) std::ranges::find(wish_.received, who.of.id, &store::receiver_seen::id)->has = **answers[i];
  }
  pass_on();
}

void recovery_inquiry::pass_on() {
  if (asked_.resequencer)
    caf::anon_send(asked_.resequencer, std::move(wish_), asked_.journal);
  else
    caf::anon_send(asked_.journal, std::move(wish_));
}

void recovery_inquiry::refuse(const error& why) const {
  wish_.done(fail(why.code, why.text(), "pipeline " + pipeline_));
}

} // namespace reseq::actors
