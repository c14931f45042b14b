/// A dispatcher of two pipelines, with fake shards and workers around it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/dispatcher.hpp"
#include "actors/system.hpp"
#include "catch.hpp"
#include "fakes.hpp"
#include "virtual_system.hpp"

namespace reseq::test {

using namespace std::chrono_literals;

struct dispatcher_fixture {
  struct worker {
    std::shared_ptr<worker_mail> mail = std::make_shared<worker_mail>();
    farewell_worker handle;

    [[nodiscard]] const actors::order& only_order() const {
      REQUIRE(mail->orders.size() == 1);
      return mail->orders.front();
    }
  };

  static actors::dispatcher_setup setup() {
    retry_settings prompt;
    prompt.jitter = 0s;
    actors::dispatcher_setup made;
    made.pipelines = {{"orders", "print-o", prompt, {{"billing", destination_id{1}}, {"audit", destination_id{2}}}},
                      {"returns", "print-r", prompt, {{"billing", destination_id{1}}}}};
    made.token = "secret";
    made.seed = 1;
    made.measured = std::make_shared<actors::metrics>();
    return made;
  }

  static actors::hello hello_of(std::uint32_t slots = 8) {
    return {actors::protocol_version, "secret", "node", slots, {"orders"}, {"print-o"}};
  }

  dispatcher_fixture() {
    system.send(dispatcher, orders, system.spawn(fake_shard, shard));
    system.send(dispatcher, returns, system.spawn(fake_shard, returns_shard));
  }

  /// A worker that has said hello, and what it has been answered.
  worker greet(const actors::hello& who) {
    worker made;
    made.handle = system.spawn(fake_worker, made.mail);
    system.send(dispatcher, who, actors::worker_actor{made.handle});
    REQUIRE(made.mail->welcomes.size() == 1);
    return made;
  }

  worker join(const std::string& node = "node", std::uint32_t slots = 8) {
    auto who = hello_of(slots);
    who.node = node;
    auto made = greet(who);
    REQUIRE(made.mail->welcomes[0].accepted);
    return made;
  }

  void want(std::uint64_t at, bool head = false, std::vector<std::uint32_t> chains = {0},
            core::pipeline_index pipeline = orders) {
    actors::work_wanted wanted{pipeline, {}, {}, {}};
    for (const auto chain : chains)
      wanted.work.push_back({position{at}, core::chain_index{chain}, make_message("m" + std::to_string(at)), head,
                             core::asking{static_cast<std::uint32_t>(10 + at)}});
    system.send(dispatcher, std::move(wanted));
  }

  static actors::answer answer_to(const actors::order& job, actors::answer_kind kind, std::uint32_t chain = 0) {
    actors::answer made;
    made.dispatch = job.dispatch;
    made.chain = chain;
    made.kind = kind;
    if (kind == actors::answer_kind::produced)
      made.body = make_body("result of " + job.message->id());
    else if (kind != actors::answer_kind::dropped)
      made.error = "no luck";
    return made;
  }

  void give(const worker& from, actors::answer what) {
    system.send_as(from.handle, dispatcher, actors::answers{{std::move(what)}});
  }
  void finish(const worker& from, const actors::order& job) {
    give(from, answer_to(job, actors::answer_kind::produced));
  }

  void pulse(const worker& from) { system.send_as(from.handle, dispatcher, actors::pulse{}); }
  void kill(const worker& who) { system.kill(who.handle); }
  void say_farewell(const worker& who) { system.send(who.handle, caf::close_atom::value, dispatcher); }

  std::optional<actors::named_task_status> inspect(std::uint64_t at, bool given_up = false) {
    answered<std::optional<actors::named_task_status>> asked;
    system.send(dispatcher, actors::ask_task{{orders, position{at}, core::chain_index{0}}, given_up, asked.reply()});
    return asked.get().value();
  }

  actors::dispatcher_status status() {
    answered<actors::dispatcher_status> asked;
    system.send(dispatcher, actors::ask_dispatcher{asked.reply()});
    return asked.get().value();
  }

  /// The positions of all results that the shard was told of.
  [[nodiscard]] std::vector<std::uint64_t> done() const {
    std::vector<std::uint64_t> all;
    for (const auto& news : shard->work_done)
      for (const auto& item : news.done) all.push_back(item.at.value());
    return all;
  }

  static constexpr core::pipeline_index orders{0};
  static constexpr core::pipeline_index returns{1};
  virtual_system system;
  std::shared_ptr<shard_mail> shard = std::make_shared<shard_mail>();
  std::shared_ptr<shard_mail> returns_shard = std::make_shared<shard_mail>();
  actors::dispatcher_setup used = setup();
  actors::dispatcher_actor dispatcher =
    system.spawn(actors::become<actors::dispatcher_state, actors::dispatcher_actor, actors::dispatcher_setup>, used);
};

} // namespace reseq::test
