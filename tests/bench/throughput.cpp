// How many messages a second go in over HTTP, through the identity and out over HTTP, singly or in batches, through a
// real supervisor; and what a message costs, beside bare inserts of the same messages into SQLite or PostgreSQL.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <deque>
#include <filesystem>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include "bare_postgres.hpp"
#include "bare_sqlite.hpp"
#include "programs.hpp"
#include "quantile.hpp"
#include "receiver.hpp"
#include "report.hpp"
#include "reseq/net/http_client.hpp"
#include "reseq/net/loop.hpp"
#include "reseq/net/url.hpp"
#include "store_servers.hpp"

namespace {

using namespace reseq;
using namespace reseq::bench;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

struct options {
  std::size_t messages = 100'000;
  std::size_t submit = 500;
  std::size_t connections = 4;
  std::uint32_t deliver = 256;
  std::uint32_t window = 1024;
  std::uint32_t destinations = 1;
  std::size_t in_flight = 8192;
  bool production = false;
  std::uint32_t commit_delay_us = 0;
  int rounds = 3;
  std::string supervisor;
  std::string scratch = std::filesystem::temp_directory_path().string();
};

double seconds(duration d) { return std::chrono::duration<double>(d).count(); }

/// Submits so many messages, each connection its next batch as soon as the last is accepted and not too many are under
/// way, and waits for all of them at the receiver. All functions but `wait` run on the loop's thread.
class transfer {
public:
  transfer(const options& chosen, std::size_t messages, ids& from)
    : batch_(chosen.submit), destinations_(chosen.destinations), to_submit_(messages), unanswered_(messages),
      missing_(messages), in_flight_(chosen.in_flight), from_(&from) {}

  void submit_next(net::http_client& over) {
    const auto lines = std::min(batch_, to_submit_);
    if (lines == 0) return;
    const auto under_way = missing_ - to_submit_;
    if (in_flight_ > 0 && under_way > 0 && under_way + lines > in_flight_) return waiting_.push_back(&over);
    to_submit_ -= lines;
    auto answered = [this, lines, &over](const auto& got) {
      if (auto all = accepted(got, lines); !all) return end(std::move(all));
      last_receipt = clock::now();
      unanswered_ -= lines;
      submit_next(over);
      end_if_complete();
    };
    if (batch_ > 1) return over.post("application/x-ndjson", {}, envelopes(lines), 60s, std::move(answered));
    static const auto body = std::make_shared<const std::string>(payload());
    header_list headers{{"Idempotency-Key", from_->next()}, {"traceparent", trace}};
    if (destinations_ > 1) headers.push_back({"Reseq-Destinations", next_destination()});
    over.post("application/json", std::move(headers), body, 60s, std::move(answered));
  }

  void take(const arrival& one) {
    if (missing_ == 0) return end(fail(errc::internal, "a message came twice"));
    if (first_delivery == time_point{}) first_delivery = one.at;
    last_delivery = one.at;
    --missing_;
    if (!waiting_.empty() && missing_ - to_submit_ + std::min(batch_, to_submit_) <= in_flight_) resume();
    end_if_complete();
  }

  result<void> wait() {
    auto done = done_.get_future();
    if (done.wait_for(5min) == std::future_status::ready) return done.get();
    return fail(errc::unavailable, "messages are missing");
  }

  time_point last_receipt{};
  time_point first_delivery{};
  time_point last_delivery{};

private:
  void resume() {
    auto& over = *waiting_.front();
    waiting_.pop_front();
    submit_next(over);
  }

  static constexpr const char* trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  std::string next_destination() { return "d" + std::to_string(destination_++ % destinations_); }

  std::string envelopes(std::size_t lines) {
    std::string body;
    body.reserve(lines * (payload().size() + 200));
    for (std::size_t i = 0; i < lines; ++i) {
      body += R"({"id":")" + from_->next();
      if (destinations_ > 1)
        body += R"(","destinations":[")" + next_destination() + R"("])";
      else
        body += '"';
      body += R"(,"headers":{"content-type":"application/json","traceparent":")";
      body += trace;
      body += R"("},"payload":)";
      body += payload();
      body += "}\n";
    }
    return body;
  }

  static result<void> accepted(const result<net::client_answer>& got, std::size_t lines) {
    if (!got) return tl::unexpected(got.error());
    constexpr std::string_view receipt = R"("duplicate":false)";
    std::size_t receipts = 0;
    for (auto at = got->body.find(receipt); at != std::string::npos; at = got->body.find(receipt, at + 1)) ++receipts;
    if (receipts == lines) return {};
    return fail(errc::internal, std::to_string(got->status) + " " + got->body.substr(0, 200), "receipts");
  }

  /// A delivery can be faster than its receipt.
  void end_if_complete() {
    if (missing_ == 0 && unanswered_ == 0) end({});
  }

  void end(result<void> how) {
    if (!std::exchange(ended_, true)) done_.set_value(std::move(how));
  }

  std::size_t batch_;
  std::uint32_t destinations_;
  std::uint32_t destination_ = 0;
  std::size_t to_submit_;
  std::size_t unanswered_;
  std::size_t missing_;
  std::size_t in_flight_; ///< accepted and not delivered, or on their way; 0: as many as come
  std::deque<net::http_client*> waiting_;
  ids* from_;
  bool ended_ = false;
  std::promise<result<void>> done_;
};

struct figures {
  double per_second = 0;
  double accepted_per_second = 0;
  double delivered_per_second = 0;
  double supervisor_us = 0; ///< of processor time a message
  double worker_us = 0;
  double bench_us = 0;
  double postgres_us = 0;
  double redis_us = 0;
};

struct processor_time {
  double supervisor_s;
  double worker_s;
  double bench_s;
  double postgres_s;
  double redis_s;

  static processor_time now(const supervisor& running, pid_t worker, const store_servers* servers) {
    return {cpu_seconds(running.pid()), cpu_seconds(worker), cpu_seconds(getpid()),
            servers ? servers->postgres_cpu_s() : 0, servers ? servers->redis_cpu_s() : 0};
  }
};

std::string configuration(const options& chosen, store_servers* servers, const std::string& url) {
  std::ostringstream out;
  if (servers) out << servers->new_table();
  out << "[[pipeline]]\nname = \"bench\"\n[[pipeline.transform]]\nuse = \"identity\"\n";
  for (std::uint32_t i = 0; i < chosen.destinations; ++i)
    out << "[[pipeline.destination]]\nname = \"d" << i << "\"\nurl = \"" << url << "\"\nbatch = " << chosen.deliver
        << "\nwindow = " << chosen.window << "\nmax_unsaved = " << std::max(chosen.deliver, 256U) << "\n";
  return out.str();
}

/// A supervisor, the connections to it and the receiver behind it.
class system_under_test {
public:
  explicit system_under_test(const options& chosen) : chosen_(chosen), data_(chosen.scratch) {
    if (chosen.production) servers_ = std::make_unique<store_servers>(data_.path(), chosen.commit_delay_us);
  }
  ~system_under_test() {
    running_.reset();
    loop_.stop();
  }
  system_under_test(const system_under_test&) = delete;
  system_under_test& operator=(const system_under_test&) = delete;

  result<void> start(const std::filesystem::path& program) {
    auto listening = receiver::listen(loop_, [this](const arrival& one) { current_->take(one); });
    if (!listening) return tl::unexpected(std::move(listening.error()));
    receiver_ = std::move(*listening);
    loop_.start();
    auto started = supervisor::start(program, data_.path(), configuration(chosen_, servers_.get(), receiver_->url()));
    if (!started) return tl::unexpected(std::move(started.error()));
    running_ = std::move(*started);
    const auto to = net::parse_url("http://" + running_->http() + "/v1/pipelines/bench/messages" +
                                   (chosen_.submit > 1 ? "/batch" : ""));
    if (!to) return tl::unexpected(to.error());
    for (std::size_t i = 0; i < chosen_.connections; ++i)
      clients_.push_back(std::make_unique<net::http_client>(loop_, *to, net::client_limits{16U << 20U, 16U << 20U}));
    return {};
  }

  result<figures> measure() {
    if (auto warm = transfer_all(chosen_.messages / 10 + 1, nullptr); !warm)
      return tl::unexpected(std::move(warm.error()));
    figures out;
    if (auto all = transfer_all(chosen_.messages, &out); !all) return tl::unexpected(std::move(all.error()));
    return out;
  }

private:
  result<void> transfer_all(std::size_t messages, figures* into) {
    const auto worker = running_->worker_pid();
    auto next = std::make_unique<transfer>(chosen_, messages, ids_);
    const auto before = processor_time::now(*running_, worker, servers_.get());
    const auto start = clock::now();
    loop_.run([&] {
      current_ = std::move(next);
      for (auto& one : clients_) current_->submit_next(*one);
    });
    if (auto all = current_->wait(); !all) return fail(all.error().code, all.error().text() + "\n" + running_->log());
    const auto after = processor_time::now(*running_, worker, servers_.get());
    if (into == nullptr) return {};
    const auto count = static_cast<double>(messages);
    const auto& seen = *current_;
    into->per_second = count / seconds(seen.last_delivery - start);
    into->accepted_per_second = count / seconds(seen.last_receipt - start);
    into->delivered_per_second = count / seconds(seen.last_delivery - seen.first_delivery);
    into->supervisor_us = (after.supervisor_s - before.supervisor_s) / count * 1e6;
    into->worker_us = (after.worker_s - before.worker_s) / count * 1e6;
    into->bench_us = (after.bench_s - before.bench_s) / count * 1e6;
    into->postgres_us = (after.postgres_s - before.postgres_s) / count * 1e6;
    into->redis_us = (after.redis_s - before.redis_s) / count * 1e6;
    return {};
  }

  options chosen_;
  folder data_;
  std::unique_ptr<store_servers> servers_;
  ids ids_{true};
  std::unique_ptr<transfer> current_;
  net::loop loop_;
  std::unique_ptr<receiver> receiver_;
  std::vector<std::unique_ptr<net::http_client>> clients_;
  std::unique_ptr<supervisor> running_;
};

struct bare_figures {
  double per_second = 0;
  double us = 0; ///< of processor time a row
};

/// Alone on the machine; `ready` is not counted. Singly they come, and would be collected: in hundreds, then.
template <class Ready, class Commit, class Cpu>
bare_figures measure_bare(const options& chosen, Ready ready, Commit commit, Cpu cpu_s) {
  const auto size = chosen.submit > 1 ? chosen.submit : 100;
  ids from(true);
  duration busy{};
  double cpu = 0;
  for (std::size_t done = 0; done < chosen.messages; done += size) {
    const auto rows = ready(make_batch(from, std::min(size, chosen.messages - done), 1));
    const double cpu_before = cpu_s();
    const auto start = clock::now();
    commit(rows);
    busy += clock::now() - start;
    cpu += cpu_s() - cpu_before;
  }
  const auto count = static_cast<double>(chosen.messages);
  return {count / seconds(busy), cpu / count * 1e6};
}

bare_figures measure_bare(const options& chosen) {
  const folder data(chosen.scratch);
  const auto own_cpu = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  if (!chosen.production) {
    bare_sqlite into(data.path() / "bare.sqlite");
    return measure_bare(
      chosen, bare_sqlite::ready, [&](const auto& rows) { into.commit(rows); }, own_cpu);
  }
  store_servers servers(data.path(), chosen.commit_delay_us);
  bare_postgres into(servers.new_database(), way::unnest, lock::none);
  return measure_bare(
    chosen, [&](const auto& wanted) { return into.ready(wanted); }, [&](const auto& rows) { into.commit(rows); },
    [&] { return servers.postgres_cpu_s() + own_cpu(); });
}

template <class Figures>
double median_of(const std::vector<Figures>& rounds, double Figures::*which) {
  std::vector<double> values;
  for (const auto& one : rounds) values.push_back(one.*which);
  return median(values);
}

void print(const options& chosen, const std::vector<figures>& ours, const std::vector<bare_figures>& bare) {
  const auto of = [&](double figures::*which) { return median_of(ours, which); };
  const auto rows = median_of(bare, &bare_figures::per_second);
  const char* const baseline = chosen.production ? "bare PostgreSQL" : "bare SQLite";
  std::printf("%zu messages of 1 KiB, %zu a submission over %zu connections, up to %u a delivery, %u destinations; "
              "median of %d rounds\n\n",
              chosen.messages, chosen.submit, chosen.connections, chosen.deliver, chosen.destinations, chosen.rounds);
  std::printf("%-15s %10s %10s %11s | %s\n", "", "messages/s", "accepted/s", "delivered/s", "us of CPU a message");
  std::printf("%-15s %10.0f %10.0f %11.0f | supervisor %.1f, worker %.1f, producer and receiver %.1f", "reseq",
              of(&figures::per_second), of(&figures::accepted_per_second), of(&figures::delivered_per_second),
              of(&figures::supervisor_us), of(&figures::worker_us), of(&figures::bench_us));
  if (chosen.production)
    std::printf(", PostgreSQL %.1f, Redis %.1f", of(&figures::postgres_us), of(&figures::redis_us));
  std::printf("\n%-15s %10.0f %10s %11s | %.1f\n", baseline, rows, "", "", median_of(bare, &bare_figures::us));
  const auto row = [&](const char* what, double rate) {
    const auto name = std::string(chosen.production ? "PostgreSQL and Redis, " : "") +
                      (chosen.submit > 1 ? "HTTP in batches: " : "HTTP singly: ") + what;
    const char* const aim = !chosen.production ? "near 1" : chosen.submit > 1 ? "60,000/s" : "25,000/s";
    report({name, rounded(rate, 0) + "/s", rounded(rows, 0) + "/s (" + baseline + ")", rounded(rate / rows, 2), aim});
  };
  row("accepted", of(&figures::accepted_per_second));
  row("end to end", of(&figures::per_second));
  std::printf("%-15s %10.2f %10.2f %11.2f |\n", "ratio", of(&figures::per_second) / rows,
              of(&figures::accepted_per_second) / rows, of(&figures::delivered_per_second) / rows);
}

int run(const options& chosen) {
  const auto complain = [](const error& e) {
    std::fprintf(stderr, "bench-throughput: %s\n", e.text().c_str());
    return 1;
  };
  const auto program = chosen.supervisor.empty() ? find_supervisor() : result<std::filesystem::path>(chosen.supervisor);
  if (!program) return complain(program.error());
  std::vector<figures> ours;
  std::vector<bare_figures> bare;
  for (int round = 0; round < chosen.rounds; ++round) {
    bare.push_back(measure_bare(chosen));
    system_under_test system(chosen);
    if (auto ready = system.start(*program); !ready) return complain(ready.error());
    auto got = system.measure();
    if (!got) return complain(got.error());
    ours.push_back(*got);
  }
  print(chosen, ours, bare);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  options chosen;
  CLI::App app("Messages a second through a supervisor, HTTP in and out, beside bare inserts into its database.",
               "bench-throughput");
  app.add_option("--messages", chosen.messages, "in each round (default 100000)")->check(CLI::Range(1, 800'000));
  app.add_flag("--production", chosen.production, "PostgreSQL and Redis, of its own, instead of SQLite and memory");
  app.add_option("--commit-delay", chosen.commit_delay_us, "microseconds added to each of PostgreSQL's commits")
    ->check(CLI::Range(0, 100'000));
  app.add_option("--destinations", chosen.destinations, "each message goes to the next one (default 1)")
    ->check(CLI::Range(1, 1'000));
  app.add_option("--submit", chosen.submit, "messages a submission; 1: no batch (default 500)")
    ->check(CLI::Range(1, 10'000));
  app.add_option("--connections", chosen.connections, "that submit at once (default 4)")->check(CLI::Range(1, 256));
  app.add_option("--deliver", chosen.deliver, "most messages a delivery carries (default 256)")
    ->check(CLI::Range(1, 10'000));
  app.add_option("--in-flight", chosen.in_flight,
                 "most messages submitted and not delivered; 0: no limit, and a backlog grows (default 8192)");
  app.add_option("--window", chosen.window, "of the destination (default 1024)")->check(CLI::Range(2, 1'000'000));
  app.add_option("--rounds", chosen.rounds, "the median counts (default 3)")->check(CLI::Range(1, 100));
  app.add_option("--supervisor", chosen.supervisor, "the program (default: the one built beside this)")
    ->check(CLI::ExistingFile);
  app.add_option("--scratch", chosen.scratch, "where the data lies meanwhile")->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  return run(chosen);
}
