#include "local_pipeline.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/send.hpp>

#include "actors/dispatcher.hpp"
#include "actors/journal_reader.hpp"
#include "actors/journal_writer.hpp"
#include "actors/open_stores.hpp"
#include "actors/opening.hpp"
#include "actors/shard.hpp"
#include "actors/shard_start.hpp"
#include "actors/system.hpp"
#include "actors/watch.hpp"
#include "actors/worker.hpp"
#include "reseq/config/load.hpp"
#include "reseq/net/loop.hpp"
#include "reseq/pipeline/registry.hpp"

namespace reseq::bench {
namespace {

using namespace actors;

constexpr std::uint64_t max_result = 16U << 20U;

sink_actor::behavior_type memory_sink(sink_actor::pointer self, local_pipeline::handler delivered_to) {
  return {
    [self, delivered_to](const deliver& wanted) {
      const auto at = std::chrono::steady_clock::now();
      const auto& request = wanted.request;
      for (const auto& item : request.items) delivered_to(request.destination, item.seq, at);
      self->send(caf::actor_cast<shard_actor>(self->current_sender()),
                 delivered{request.destination, request.id, core::confirmed{}});
    },
    [](const ask_received& question) { question.done(std::optional<store::receiver_record>{}); },
  };
}

/// Answers all orders of a message together.
worker_actor::behavior_type local_worker(worker_actor::pointer self, dispatcher_actor dispatcher,
                                         std::shared_ptr<const runnable_pipeline> runs) {
  return {
    [](const welcome&) {},
    [self, dispatcher, runs](const orders& work) {
      answers done;
      for (const auto& job : work.items)
        run_job(job, *runs, max_result, [&](answer one) { done.items.push_back(std::move(one)); });
      self->send(dispatcher, std::move(done));
    },
    [](const dismissed&) {},
  };
}

} // namespace

struct local_pipeline::parts {
  config::settings settings;
  registry definitions;
  std::shared_ptr<metrics> measured = std::make_shared<metrics>();
  std::shared_ptr<store::journal> journal;
  net::loop loop;
  escalation on_end;
  system_config actor_config;
  std::unique_ptr<caf::actor_system> system;
  store::shard_handle handle{};
  journal_actor writer;
  reader_actor reader;
  dispatcher_actor dispatcher;
  shard_actors beside;
  std::vector<sink_actor> sinks;
  worker_actor worker;
  shard_actor shard;

  result<void> open(const std::string& file);
  result<void> start(std::uint32_t slots, const handler& delivered);
  void stop();
};

local_pipeline::local_pipeline(std::unique_ptr<parts> made) : parts_(std::move(made)) {}
local_pipeline::~local_pipeline() { parts_->stop(); }

result<void> local_pipeline::parts::open(const std::string& file) {
  config::source from;
  from.path = file;
  auto loaded = config::load(from);
  if (!loaded.problems.empty()) return fail(errc::invalid, loaded.problems.front().text());
  settings = std::move(loaded.value);
  auto opened = open_journal(settings);
  if (!opened) return tl::unexpected(opened.error());
  journal = std::move(*opened);
  return {};
}

result<void> local_pipeline::parts::start(std::uint32_t slots, const handler& delivered) {
  system = std::make_unique<caf::actor_system>(actor_config);
  auto opened = open_pipelines(settings, definitions, *journal);
  if (!opened) return tl::unexpected(opened.error());
  auto& only = opened->front();
  const auto runs = make_runnable(definitions, only.settings);
  if (!runs) return tl::unexpected(runs.error());
  writer = system->spawn<caf::detached>(
    become<writer_state, journal_actor, std::shared_ptr<store::journal>, writer_options, std::shared_ptr<metrics>>,
    journal, writer_options{settings.store.retention}, measured);
  reader = system->spawn<caf::detached>(actors::reader, journal);
  dispatcher_setup dispatching{{}, {}, 1, measured};
  dispatching.pipelines.push_back({only.settings.name, only.fingerprint, only.settings.retry, only.ids()});
  dispatcher = system->spawn(become<dispatcher_state, dispatcher_actor, dispatcher_setup>, std::move(dispatching));
  shard_starter starter(
    {settings, definitions, *journal, *system, loop, on_end, writer, reader, dispatcher, measured, [] {}, beside});
  auto setup = starter.prepare(only, core::pipeline_index{0});
  if (!setup) return tl::unexpected(setup.error());
  for (auto& [destination, sink] : setup->sinks) // those that were made for its URLs are ended with `beside`
    sink = sinks.emplace_back(system->spawn(memory_sink, delivered));
  handle = setup->handle;
  shard = system->spawn(become<actors::shard_state, shard_actor, shard_setup>, std::move(*setup));
  caf::anon_send(writer, handle, shard);
  caf::anon_send(dispatcher, core::pipeline_index{0}, shard);
  worker = system->spawn(local_worker, dispatcher, std::make_shared<const runnable_pipeline>(*runs));
  caf::anon_send(dispatcher, hello{protocol_version, {}, "local", slots, {only.settings.name}, {only.fingerprint}},
                 worker);
  return {};
}

void local_pipeline::parts::stop() {
  on_end.stop();
  if (!system) return;
  end(worker);
  end(shard);
  for (auto& one : sinks) end(one);
  beside.end();
  end(dispatcher);
  end(reader);
  end(writer);
  system->await_all_actors_done();
  system.reset();
}

result<std::unique_ptr<local_pipeline>> local_pipeline::start(const std::string& file, std::uint32_t slots,
                                                              handler delivered) {
  auto made = std::make_unique<parts>();
  auto started = made->open(file).and_then([&] { return made->start(slots, delivered); });
  std::unique_ptr<local_pipeline> whole{new local_pipeline{std::move(made)}};
  if (!started) return tl::unexpected(started.error());
  return whole;
}

void local_pipeline::submit(std::vector<submission> messages, receipts told) {
  reply<std::vector<result<receipt>>> done([told = std::move(told)](result<std::vector<result<receipt>>> answered) {
    if (!answered) return told(tl::unexpected(answered.error()));
    for (const auto& one : *answered)
      if (!one) return told(tl::unexpected(one.error()));
    told(answered->size());
  });
  caf::anon_send(parts_->writer, actors::submit{parts_->handle, std::move(messages), std::move(done)});
}

} // namespace reseq::bench
