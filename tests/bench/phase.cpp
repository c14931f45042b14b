#include "phase.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <deque>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <sys/prctl.h>

#include "programs.hpp"
#include "receiver.hpp"
#include "reseq/model/ids.hpp"
#include "reseq/net/http_client.hpp"
#include "reseq/net/loop.hpp"
#include "reseq/net/url.hpp"
#include "reseq/pipeline/builtin.hpp"

namespace reseq::bench {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto phase_patience = 30s;
constexpr std::size_t warm_up_messages = 32; ///< so that connections, statements and code are there when it counts
constexpr std::string_view warm_up_id = "w-";
constexpr std::string_view id = "m-";

double ms(duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

std::string numbered(std::string_view prefix, std::size_t number) {
  std::array<char, 16> digits{};
  std::snprintf(digits.data(), digits.size(), "%07zu", number);
  return std::string{prefix} + digits.data();
}

duration work_of(const phase& p, std::size_t message) {
  return plan_delay(p.work, numbered(id, message), attempt{1}).takes;
}

time_point due(const phase& p, time_point start, std::size_t message) {
  return start + static_cast<duration::rep>(message) * p.interval;
}

/// Sleeps as exactly as the system can, in the calling thread.
void sleep_exactly() { prctl(PR_SET_TIMERSLACK, 1UL); }

std::string word(delay_settings::shape shape) {
  return shape == delay_settings::shape::fixed ? "fixed" : "exponential";
}

std::string configuration(const phase& p, const std::string& url) {
  std::ostringstream out;
  out << p.store
      << "[worker]\nslots = 64\n[[pipeline]]\nname = \"bench\"\n[pipeline.retry]\ntimeout = \"10s\"\nhedge = "
      << (p.hedge ? "true" : "false") << "\n[[pipeline.transform]]\nuse = \"delay\"\nmin = \""
      << std::chrono::duration_cast<std::chrono::microseconds>(p.work.min).count() << "us\"\ndistribution = \""
      << word(p.work.distribution) << "\"\nseed = " << p.work.seed
      << "\n[[pipeline.destination]]\nname = \"receiver\"\nurl = \"" << url << "\"\nbatch = " << p.batch << "\n";
  return out.str();
}

/// Collects arrivals; the loop's thread calls it, another one waits.
class record {
public:
  explicit record(std::size_t messages) : missing_(messages), arrived_(messages) {}

  void take(const arrival& one) {
    if (one.sequence != ++last_)
      return end(fail(errc::internal,
                      "sequence " + std::to_string(one.sequence) + " came in place of " + std::to_string(last_)));
    if (one.message_id.starts_with(warm_up_id)) {
      if (++warm_ == warm_up_messages) warmed_up_.set_value({});
      return;
    }
    std::size_t message = 0;
    const auto digits = one.message_id.substr(id.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), message);
    arrived_[message] = one.at;
    order_.push_back(message);
    if (--missing_ == 0) end({});
  }

  void end(result<void> how) {
    if (std::exchange(ended_, true)) return;
    if (!how && warm_ < warm_up_messages) warmed_up_.set_value(how);
    done_.set_value(std::move(how));
  }

  std::future<result<void>> warmed_up() { return warmed_up_.get_future(); }
  std::future<result<void>> done() { return done_.get_future(); }

  /// Once it is done.
  [[nodiscard]] delays against(const phase& p, time_point start) const {
    delays out;
    time_point finish{};
    for (const auto message : order_) {
      const auto submitted = due(p, start, message);
      finish = std::max(finish, submitted + work_of(p, message));
      out.latency.push_back(ms(arrived_[message] - submitted));
      out.ideal.push_back(ms(finish - submitted));
      out.overhead.push_back(ms(arrived_[message] - finish));
    }
    return out;
  }

private:
  std::size_t missing_;
  std::size_t warm_ = 0;
  std::uint64_t last_ = 0;
  bool ended_ = false;
  std::vector<time_point> arrived_;
  std::vector<std::size_t> order_;
  std::promise<result<void>> warmed_up_;
  std::promise<result<void>> done_;
};

/// As many connections as are needed for no message to wait for another's receipt, up to a limit.
class connections {
public:
  connections(net::loop& on, net::url to, record& into) : loop_(&on), to_(std::move(to)), record_(&into) {}
  ~connections() {
    loop_->run([this] { all_.clear(); });
  }
  connections(const connections&) = delete;
  connections& operator=(const connections&) = delete;

  /// Any thread.
  void submit(std::string message_id) {
    loop_->post([this, message_id = std::move(message_id)]() mutable {
      waiting_.push_back(std::move(message_id));
      send_next();
    });
  }

  /// The most connections that were busy at once since this was called last. Any thread.
  std::size_t most_busy() {
    std::size_t most = 0;
    loop_->run([&] { most = std::exchange(most_busy_, 0); });
    return most;
  }

private:
  static constexpr std::size_t limit = 256;

  void send_next() {
    if (idle_.empty() && all_.size() < limit)
      idle_.push_back(all_.emplace_back(std::make_unique<net::http_client>(*loop_, to_)).get());
    if (idle_.empty() || waiting_.empty()) return;
    auto* with = idle_.back(); // the one used last: so a new one is only made when all are busy
    idle_.pop_back();
    most_busy_ = std::max(most_busy_, all_.size() - idle_.size());
    static const auto body = std::make_shared<const std::string>(R"({"customer":4711,"amount":"12.50"})");
    with->post("application/json", {{"Idempotency-Key", std::move(waiting_.front())}}, body, phase_patience,
               [this, with](const result<net::client_answer>& got) { answered(with, got); });
    waiting_.pop_front();
  }

  void answered(net::http_client* with, const result<net::client_answer>& got) {
    if (!got) return record_->end(tl::unexpected(got.error()));
    if (got->status != 202)
      return record_->end(fail(errc::internal, std::to_string(got->status) + " " + got->body, "receipt"));
    idle_.push_back(with);
    if (!waiting_.empty()) send_next();
  }

  net::loop* loop_;
  net::url to_;
  record* record_;
  std::vector<std::unique_ptr<net::http_client>> all_;
  std::vector<net::http_client*> idle_;
  std::deque<std::string> waiting_;
  std::size_t most_busy_ = 0;
};

struct alone {
  std::vector<double> latency;
  std::vector<double> overslept;
};

/// One worker that takes the messages one after the other, until `end`.
alone one_at_a_time(const phase& p, time_point start, time_point end) {
  sleep_exactly();
  alone out;
  for (std::size_t message = 0; message < p.messages; ++message) {
    const auto arrives = due(p, start, message);
    std::this_thread::sleep_until(arrives);
    const auto work = work_of(p, message);
    const auto began = clock::now();
    if (began + work > end) break;
    std::this_thread::sleep_for(work);
    const auto now = clock::now();
    out.latency.push_back(ms(now - arrives));
    out.overslept.push_back(ms(now - began - work));
  }
  return out;
}

std::vector<double> submit_on_schedule(const phase& p, time_point start, connections& through) {
  sleep_exactly();
  std::vector<double> late;
  late.reserve(p.messages);
  for (std::size_t message = 0; message < p.messages; ++message) {
    const auto now = due(p, start, message);
    std::this_thread::sleep_until(now);
    through.submit(numbered(id, message));
    late.push_back(ms(clock::now() - now));
  }
  return late;
}

time_point ideal_end(const phase& p, time_point start) {
  auto end = start;
  for (std::size_t message = 0; message < p.messages; ++message)
    end = std::max(end, due(p, start, message) + work_of(p, message));
  return end;
}

result<void> wait_for(std::future<result<void>>& what, time_point until, const supervisor& running) {
  if (what.wait_until(until) == std::future_status::ready) return what.get();
  return fail(errc::unavailable, "messages are missing; the supervisor logged:\n" + running.log());
}

result<outcome> measure(const phase& p, record& into, connections& through, const supervisor& running) {
  auto warmed_up = into.warmed_up();
  auto done = into.done();
  for (std::size_t i = 0; i < warm_up_messages; ++i) through.submit(numbered(warm_up_id, i));
  if (auto warm = wait_for(warmed_up, clock::now() + phase_patience, running); !warm)
    return tl::unexpected(std::move(warm.error()));
  through.most_busy(); // without the warming up

  const auto start = clock::now() + 20ms;
  const auto end = ideal_end(p, start);
  auto beside = std::async(std::launch::async, [&] { return one_at_a_time(p, start, end); });
  outcome out;
  out.producer_late = std::async(std::launch::async, [&] { return submit_on_schedule(p, start, through); }).get();
  if (auto all = wait_for(done, end + phase_patience, running); !all) return tl::unexpected(std::move(all.error()));
  auto others = beside.get();
  out.one_at_a_time = std::move(others.latency);
  out.overslept = std::move(others.overslept);
  out.most_connections = through.most_busy();
  out.reseq = into.against(p, start);
  return out;
}

} // namespace

result<outcome> run(const phase& wanted, const std::filesystem::path& program, const std::filesystem::path& scratch) {
  const folder data(scratch);
  record into(wanted.messages);
  net::loop loop;
  auto deliveries = receiver::listen(loop, [&into](const arrival& one) { into.take(one); });
  if (!deliveries) return tl::unexpected(std::move(deliveries.error()));
  loop.start();
  auto running = supervisor::start(program, data.path(), configuration(wanted, (*deliveries)->url()));
  if (!running) return tl::unexpected(std::move(running.error()));
  auto to = net::parse_url("http://" + (*running)->http() + "/v1/pipelines/bench/messages");
  if (!to) return tl::unexpected(std::move(to.error()));
  connections through(loop, std::move(*to), into);
  return measure(wanted, into, through, **running);
}

} // namespace reseq::bench
