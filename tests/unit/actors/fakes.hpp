/// Actors that remember what they are sent and do nothing of themselves, and short hands for what the tests of the real
/// ones begin with. A mailbox outlives no test: declare it after the `virtual_system`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/protocol.hpp"
#include "virtual_system.hpp"

namespace reseq::test {

inline constexpr destination_id billing{1};
inline constexpr destination_id audit{2};

/// Where a `reply` leaves its result.
template <class T>
struct answered {
  std::shared_ptr<std::vector<result<T>>> all = std::make_shared<std::vector<result<T>>>();

  [[nodiscard]] actors::reply<T> reply() const {
    return actors::reply<T>([to = all](result<T> value) { to->push_back(std::move(value)); });
  }
  [[nodiscard]] bool empty() const { return all->empty(); }
  /// The only answer.
  [[nodiscard]] const result<T>& get() const {
    return all->size() == 1 ? all->front() : throw std::logic_error{"not one answer"};
  }
};

struct shard_mail {
  std::vector<actors::accepted> accepted;
  std::vector<bool> saved;
  std::vector<actors::work_done> work_done;
  std::vector<actors::delivered> delivered;
  std::vector<actors::backlog> backlogs;
  std::vector<actors::searched> searches;
  std::vector<std::string> gone_back;
};

inline actors::shard_actor::behavior_type fake_shard(actors::shard_actor::pointer, std::shared_ptr<shard_mail> mail) {
  return {
    [=](const actors::accepted& m) { mail->accepted.push_back(m); },
    [=](const actors::saved& m) { mail->saved.push_back(m.durable); },
    [=](const actors::backlog& m) { mail->backlogs.push_back(m); },
    [=](const actors::searched& m) { mail->searches.push_back(m); },
    [=](const actors::work_done& m) { mail->work_done.push_back(m); },
    [=](const actors::delivered& m) { mail->delivered.push_back(m); },
    [](const actors::lanes_told&) {},
    [](const actors::results_loaded&) {},
    [](const actors::still_owned&) {},
    [](const actors::no_later_owner&) {},
    [=](const actors::journal_gone_back& m) { mail->gone_back.push_back(m.why); },
    [](const actors::operate&) {},
    [](const actors::recover&) {},
    [](const actors::ask_status&) {},
    [](const actors::ask_sequences&) {},
    [](const actors::drain&) {},
    [](actors::probe) {},
    [](const actors::wake&) {},
  };
}

struct journal_mail {
  std::vector<store::shard_handle> shards; ///< whose owners it knows
  std::vector<actors::save> saves;
  std::size_t saves_of_nobody = 0; ///< who is never told what became of them
  std::vector<std::uint64_t> taken_bytes;
  std::vector<actors::refuse> refused;
  std::vector<actors::recover> recoveries;
};

inline actors::journal_actor::behavior_type fake_journal_writer(actors::journal_actor::pointer,
                                                                std::shared_ptr<journal_mail> mail) {
  return {
    [=](store::shard_handle shard, const actors::shard_actor&) { mail->shards.push_back(shard); },
    [](const actors::submit&) {},
    [=](const actors::save& m) {
      if (std::ranges::find(mail->shards, m.shard) == mail->shards.end()) ++mail->saves_of_nobody;
      mail->saves.push_back(m);
    },
    [=](const actors::accepted_taken& m) { mail->taken_bytes.push_back(m.bytes); },
    [=](const actors::refuse& m) { mail->refused.push_back(m); },
    [=](const actors::recover& m) { mail->recoveries.push_back(m); },
    [](actors::flush) {},
    [](actors::probe) {},
    [](const actors::wake&) {},
  };
}

struct reader_mail {
  std::vector<std::pair<actors::read_backlog, actors::shard_actor>> reads;
  std::vector<actors::ask_epoch> epochs;
  std::optional<epoch> owner; ///< what it answers to these, if it does
  std::vector<actors::ask_other_history> histories;
  result<std::optional<std::string>> other_history{}; ///< what it answers to these
};

inline actors::reader_actor::behavior_type fake_reader(actors::reader_actor::pointer,
                                                       std::shared_ptr<reader_mail> mail) {
  return {
    [=](const actors::read_backlog& m, const actors::shard_actor& owner) { mail->reads.emplace_back(m, owner); },
    [](const actors::ask_message&) {},
    [](const actors::ask_dead_letters&) {},
    [](const actors::ask_end&) {},
    [=](const actors::ask_epoch& m) {
      mail->epochs.push_back(m);
      if (mail->owner) m.done(*mail->owner);
    },
    [=](const actors::ask_other_history& m) {
      mail->histories.push_back(m);
      m.done(mail->other_history);
    },
  };
}

struct dispatcher_mail {
  std::vector<actors::work_wanted> wanted;

  /// As what the work at that position was asked for last.
  [[nodiscard]] core::asking asked(position at) const {
    core::asking last;
    for (const auto& all : wanted)
      for (const auto& one : all.work)
        if (one.at == at) last = one.asked;
    return last;
  }
};

inline actors::dispatcher_actor::behavior_type fake_dispatcher(actors::dispatcher_actor::pointer,
                                                               std::shared_ptr<dispatcher_mail> mail) {
  return {
    [](const actors::hello&, const actors::worker_actor&) {},
    [](const actors::answers&) {},
    [](const actors::pulse&) {},
    [](const actors::farewell&) { return caf::ok_atom::value; },
    [](core::pipeline_index, const actors::shard_actor&) {},
    [=](const actors::work_wanted& m) { mail->wanted.push_back(m); },
    [](const actors::ask_task&) {},
    [](const actors::ask_dispatcher&) {},
    [](const actors::wake&) {},
  };
}

struct sink_mail {
  std::vector<core::send_request> requests;
  result<std::optional<store::receiver_record>> received{}; ///< what it says that its receiver remembers
  std::optional<store::receiver_record> taken{};            ///< what it says once it was told to take that over
  bool taken_over = false;                                  ///< it was
};

inline actors::sink_actor::behavior_type fake_sink(actors::sink_actor::pointer, std::shared_ptr<sink_mail> mail) {
  return {[=](const actors::deliver& m) { mail->requests.push_back(m.request); },
          [=](const actors::ask_received& m) {
            mail->taken_over = mail->taken_over || m.take_over.has_value();
            if (mail->taken_over && mail->taken) mail->received = mail->taken;
            m.done(mail->received);
          }};
}

struct worker_mail {
  std::vector<actors::welcome> welcomes;
  std::vector<actors::order> orders;
  std::vector<actors::dismissed> dismissals;
  int farewells_confirmed = 0;
};

/// A worker that says farewell to the dispatcher it is sent.
using farewell_worker = actors::worker_actor::extend<caf::reacts_to<caf::close_atom, actors::dispatcher_actor>>;

inline farewell_worker::behavior_type fake_worker(farewell_worker::pointer self, std::shared_ptr<worker_mail> mail) {
  return {
    [=](const actors::welcome& m) { mail->welcomes.push_back(m); },
    [=](const actors::orders& m) { mail->orders.insert(mail->orders.end(), m.items.begin(), m.items.end()); },
    [=](const actors::dismissed& m) { mail->dismissals.push_back(m); },
    [=](caf::close_atom, const actors::dispatcher_actor& to) {
      self->request(to, std::chrono::seconds{5}, actors::farewell{"it stops"}).then([=](caf::ok_atom) {
        ++mail->farewells_confirmed;
      });
    },
  };
}

inline message_ptr make_message(std::string id, std::string payload = "payload") {
  return std::make_shared<const message>(std::move(id), "", content{std::move(payload), "text/plain", {}});
}

inline content_ptr make_body(std::string payload = "result") {
  return std::make_shared<const content>(content{std::move(payload), "text/plain", {}});
}

} // namespace reseq::test
