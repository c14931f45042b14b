#include "reseq/store/redis/client.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace reseq::store::redis {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t most_doublings = 16;

bool unknown_script(const reply& answer) {
  return answer.type() == reply::kind::error && answer.text().starts_with("NOSCRIPT");
}

} // namespace

client::client(server_url where, const client_options& options)
  : where_(std::move(where)), options_(options), random_(static_cast<std::minstd_rand::result_type>(options.seed)) {}

std::optional<time_point> client::waits_until() const {
  return failures_ > 0 && not_before_ > steady_clock::now() ? std::optional{not_before_} : std::nullopt;
}

result<std::vector<reply>> client::run(const script& what, std::span<const command> calls) {
  if (auto fine = connect(); !fine) return tl::unexpected(std::move(fine.error()));
  auto answers = exchange(calls);
  if (answers && std::ranges::any_of(*answers, unknown_script)) {
    if (auto fine = load(what); !fine) return tl::unexpected(std::move(fine.error()));
    answers = exchange(calls);
  }
  return answers ? without_errors(std::move(*answers)) : std::move(answers);
}

result<std::vector<reply>> client::run(std::span<const command> commands) {
  if (auto fine = connect(); !fine) return tl::unexpected(std::move(fine.error()));
  auto answers = exchange(commands);
  return answers ? without_errors(std::move(*answers)) : std::move(answers);
}

result<void> client::connect() {
  if (waits_until()) return fail(errc::unavailable, last_failure_ + "; it is asked again soon");
  if (connection_) return {};
  auto made = connection::open(where_, options_.timeout);
  if (!made) return failed(std::move(made.error()));
  connection_ = std::move(*made);
  ++connects_;
  return {};
}

result<void> client::load(const script& what) {
  const std::array commands{command("SCRIPT").add("LOAD").add(what.text)};
  auto answers = exchange(commands);
  if (!answers) return tl::unexpected(std::move(answers.error()));
  const auto& said = answers->front();
  if (said.type() == reply::kind::error) return failed(meaning(said.text()));
  return {};
}

result<std::vector<reply>> client::exchange(std::span<const command> commands) {
  auto answers = connection_->exchange(commands, options_.timeout);
  if (!answers) return failed(std::move(answers.error()));
  return answers;
}

result<std::vector<reply>> client::without_errors(std::vector<reply> answers) {
  const auto wrong = std::ranges::find_if(answers, [](const reply& one) { return one.type() == reply::kind::error; });
  if (wrong != answers.end()) return failed(meaning(wrong->text()));
  failures_ = 0;
  return answers;
}

void client::wait_longer() {
  const auto doubled = options_.shortest_wait * (1U << std::min(failures_, most_doublings));
  const auto wait = std::min(doubled, options_.longest_wait);
  not_before_ = steady_clock::now() + wait -
                std::uniform_int_distribution<duration::rep>(0, wait.count() / 2)(random_) * duration{1};
  ++failures_;
}

/// Another connection may lead to a server that is well, to the new master say, and an answer that comes late is never
/// taken for another one's. (Not to one that has more room: that one has answered, and stays.)
tl::unexpected<error> client::failed(error why) {
  if (why.code != errc::no_space) connection_.reset();
  wait_longer();
  if (why.where.empty()) why.where = where_.text();
  last_failure_ = why.text();
  return tl::unexpected(std::move(why));
}

} // namespace reseq::store::redis
