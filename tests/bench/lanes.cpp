// The lanes in Redis beside bare pipelined commands that write the same sequences and results, alternating in one run.
//
// bench-lanes [messages a round] [rounds] [lanes]
//
// Each batch admits as many messages as it completes, the ones of the batch before. Starts a Redis of its own.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "redis_process.hpp"
#include "reseq/store/redis/redis_resequencer.hpp"

namespace {

using namespace reseq;
using store::redis::client;
using store::redis::command;

struct options {
  std::uint64_t messages = 100'000;
  int rounds = 3;
  std::uint32_t lanes = 1;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench-lanes: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T must(result<T> outcome) {
  if (!outcome) die(outcome.error().text());
  return std::move(*outcome);
}

content_ptr payload() {
  static const auto made = std::make_shared<const content>(content{std::string(1024, 'x'), "application/json", {}});
  return made;
}

/// The messages of one batch, dealt out to the lanes: sequences `first` to `last` of each.
struct batch_range {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
};

/// What has to be written, batch after batch.
class source {
public:
  source(std::uint32_t lanes, std::size_t batch) : lanes_(lanes), each_(std::max<std::uint64_t>(1, batch / lanes)) {}

  void next() {
    completed = admitted;
    admitted = {admitted.last + 1, admitted.last + each_};
  }
  [[nodiscard]] std::uint32_t lanes() const { return lanes_; }
  [[nodiscard]] std::uint64_t messages() const { return each_ * lanes_; }

  batch_range admitted;
  batch_range completed;

private:
  std::uint32_t lanes_;
  std::uint64_t each_;
};

core::work_key key_of(std::uint32_t lane, std::uint64_t seq) { return {position{seq}, core::chain_index{lane}}; }

/// Through the role, each release checked.
class ours {
public:
  ours(const store::redis::server_url& where, std::uint32_t lanes, bool results)
    : lanes_(std::make_shared<client>(where, store::redis::client_options{}), {"bench", places++}, "ours"),
      results_(results) {
    std::vector<core::lane_name> names;
    for (std::uint32_t lane = 1; lane <= lanes; ++lane)
      names.push_back({destination_id{lane}, "d" + std::to_string(lane)});
    must(lanes_.open(epoch{1}, names));
  }

  void write(const source& from) {
    core::lane_updates updates;
    ++step_;
    for (std::uint32_t lane = 1; lane <= from.lanes(); ++lane) {
      core::lane_update one{destination_id{lane}, core::lane_version{1}, core::lane_step{step_}, true, {}, {}, {}, {}};
      for (auto seq = from.admitted.first; seq <= from.admitted.last; ++seq) one.admitted.emplace_back(seq);
      one.reached = from.admitted.last == 0 ? sequence{} : sequence{from.admitted.last};
      for (auto seq = from.completed.first; seq <= from.completed.last; ++seq) {
        one.ready.emplace_back(seq);
        if (!results_) continue;
        updates.results.push_back({key_of(lane, seq), "message-" + std::to_string(seq), {payload(), {}}});
      }
      updates.lanes.push_back(std::move(one));
    }
    updates.unneeded = std::exchange(kept_, {});
    for (const auto& one : updates.results) kept_.push_back(one.key);
    const auto answers = must(lanes_.apply(updates));
    for (std::size_t i = 0; i < updates.lanes.size(); ++i)
      if (answers.lanes[i].released != updates.lanes[i].ready) die("a lane released something else");
  }

private:
  static inline std::uint32_t places = 0;
  store::redis::redis_resequencer lanes_;
  bool results_;
  std::uint64_t step_ = 0;
  std::vector<core::work_key> kept_;
};

/// As few commands as possible, sent together: the least that Redis has to do. Nothing is checked, and nothing fenced.
class bare {
public:
  bare(const store::redis::server_url& where, std::uint32_t /*lanes*/, bool results)
    : client_(where, {}), prefix_("bare:" + std::to_string(places++) + ":"), results_(results) {}

  void write(const source& from) {
    std::vector<command> all;
    command store = command("HSET").add(prefix_ + "results");
    command drop = command("HDEL").add(prefix_ + "results");
    for (std::uint32_t lane = 1; lane <= from.lanes(); ++lane) {
      const auto pending = prefix_ + std::to_string(lane) + ":pending";
      const auto ready = prefix_ + std::to_string(lane) + ":ready";
      all.push_back(add(pending, from.admitted));
      if (from.completed.last == 0) continue;
      all.push_back(add(ready, from.completed));
      const auto count = from.completed.last - from.completed.first;
      for (const auto& set : {pending, ready})
        all.push_back(command("ZREMRANGEBYRANK").add(set).number(0).number(count));
      for (auto seq = from.completed.first; seq <= from.completed.last && results_; ++seq) {
        const auto field = std::to_string(seq) + "." + std::to_string(lane);
        store.add(field).add(payload()->payload);
        drop.add(field);
      }
    }
    if (store.size() > 2) all.push_back(std::move(store));
    if (dropped_.size() > 2) all.push_back(std::move(dropped_));
    dropped_ = std::move(drop);
    must(client_.run(all));
  }

private:
  static command add(const std::string& set, const batch_range& which) {
    command out("ZADD");
    out.add(set);
    for (auto seq = which.first; seq <= which.last; ++seq) out.number(seq).number(seq);
    return out;
  }

  static inline std::uint32_t places = 0;
  client client_;
  std::string prefix_;
  bool results_;
  command dropped_;
};

struct timing {
  double messages_per_second = 0;
  double own_us = 0;    ///< processor time here, a message
  double server_us = 0; ///< and in Redis
  double p50_us = 0;    ///< of a batch
};

double own_cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

double server_cpu_seconds(client& admin) {
  const auto answers = must(admin.run(std::array{command("INFO").add("cpu")}));
  const std::string said(answers.front().text());
  double seconds = 0;
  for (const std::string field : {"used_cpu_sys:", "used_cpu_user:"})
    seconds += std::strtod(said.c_str() + said.find(field) + field.size(), nullptr);
  return seconds;
}

template <class Store>
timing measure(const store::redis::server_url& where, client& admin, const options& chosen, std::size_t batch,
               bool results) {
  Store into(where, chosen.lanes, results);
  source from(chosen.lanes, batch);
  std::vector<double> each_us;
  std::uint64_t messages = 0;
  const auto own = own_cpu_seconds();
  const auto server = server_cpu_seconds(admin);
  const auto start = std::chrono::steady_clock::now();
  for (auto before = start; messages < chosen.messages; messages += from.messages()) {
    from.next();
    into.write(from);
    const auto now = std::chrono::steady_clock::now();
    each_us.push_back(std::chrono::duration<double, std::micro>(now - before).count());
    before = now;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto count = static_cast<double>(messages);
  std::ranges::sort(each_us);
  return {count / seconds, 1e6 * (own_cpu_seconds() - own) / count, 1e6 * (server_cpu_seconds(admin) - server) / count,
          each_us[each_us.size() / 2]};
}

timing median(std::vector<timing> all) {
  std::ranges::sort(all, {}, &timing::messages_per_second);
  return all[all.size() / 2];
}

void compare(const store::redis::server_url& where, client& admin, const options& chosen, bool results) {
  std::printf("%s\n%6s %12s %12s %6s %10s %10s %10s %10s %10s\n", results ? "with results of 1 KiB" : "sequences only",
              "batch", "bare msg/s", "ours msg/s", "ratio", "own us", "redis us", "bare own", "bare redis", "p50 us");
  for (const std::size_t batch : {1U, 10U, 100U, 1000U}) {
    if (batch < chosen.lanes) continue;
    auto some = chosen;
    if (batch == 1) some.messages = std::max<std::uint64_t>(1, chosen.messages / 5);
    std::vector<timing> theirs;
    std::vector<timing> mine;
    for (int round = 0; round < chosen.rounds; ++round) {
      theirs.push_back(measure<bare>(where, admin, some, batch, results));
      mine.push_back(measure<ours>(where, admin, some, batch, results));
    }
    const auto t = median(theirs);
    const auto m = median(mine);
    std::printf("%6zu %12.0f %12.0f %6.2f %10.2f %10.2f %10.2f %10.2f %10.0f\n", batch, t.messages_per_second,
                m.messages_per_second, m.messages_per_second / t.messages_per_second, m.own_us, m.server_us, t.own_us,
                t.server_us, m.p50_us);
  }
}

} // namespace

int main(int argc, char** argv) {
  options chosen;
  if (argc > 1) chosen.messages = std::strtoull(argv[1], nullptr, 10);
  if (argc > 2) chosen.rounds = std::max(1, std::atoi(argv[2]));
  if (argc > 3) chosen.lanes = static_cast<std::uint32_t>(std::max(1, std::atoi(argv[3])));

  std::string directory = (std::filesystem::temp_directory_path() / "bench-lanes-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) die("cannot make " + directory);
  {
    const test::redis_process server(
      {"--port", "0", "--unixsocket", directory + "/socket", "--dir", directory, "--save", ""});
    const auto where = must(store::redis::parse_server_url("unix://" + directory + "/socket"));
    client admin(where, {});
    std::printf("%u lanes, median of %d rounds of %llu messages\n", chosen.lanes, chosen.rounds,
                static_cast<unsigned long long>(chosen.messages));
    compare(where, admin, chosen, false);
    compare(where, admin, chosen, true);
  }
  std::filesystem::remove_all(directory);
}
