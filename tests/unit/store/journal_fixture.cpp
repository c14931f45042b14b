#include "journal_fixture.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <utility>

namespace reseq::test {

submission submit(const std::string& id, const route_list& routes, const std::string& payload) {
  submission out;
  content body{payload, "text/plain", {{"traceparent", "00-" + id}}};
  out.message = std::make_shared<const message>(id, "key-" + id, std::move(body));
  const std::size_t hash = std::hash<std::string>{}(id + "\n" + payload);
  std::memcpy(out.fingerprint.data(), &hash, sizeof(hash));
  for (const auto route : routes) out.routes.emplace_back(route);
  return out;
}

std::vector<submission> submit_many(const std::string& prefix, std::uint64_t first, std::uint64_t count,
                                    const route_list& routes, const std::string& payload) {
  std::vector<submission> out;
  for (std::uint64_t i = first; i < first + count; ++i)
    out.push_back(submit(prefix + std::to_string(i), routes, payload));
  return out;
}

std::vector<store::destination_spec> specs(std::uint32_t count, std::uint64_t max_pending) {
  std::vector<store::destination_spec> out;
  for (std::uint32_t i = 1; i <= count; ++i) out.push_back({"d" + std::to_string(i), max_pending});
  return out;
}

wall_time at_ms(std::int64_t ms) { return wall_time{std::chrono::milliseconds{ms}}; }

opened::opened(std::unique_ptr<store::journal> journal, const std::vector<store::destination_spec>& destinations,
               const std::string& definition, const std::string& pipeline)
  : journal_(std::move(journal)) {
  auto outcome = journal_->open({pipeline, 0}, {definition}, destinations);
  if (!outcome) throw std::runtime_error(outcome.error().text());
  state = std::move(*outcome);
}

result<store::shard_committed> opened::commit(std::vector<submission> submissions, core::journal_change change,
                                              wall_time now) {
  const std::vector<store::shard_commit> batch{{state.handle, std::move(submissions), std::move(change)}};
  auto done = journal_->commit(batch, now);
  if (!done) return tl::unexpected(std::move(done.error()));
  return std::move(done->front());
}

void opened::settle(std::uint32_t destination, std::uint64_t upto) {
  core::journal_change change;
  change.progress.push_back({destination_id{destination}, sequence{upto}, {}, sequence{upto}, 0, false});
  must(commit({}, std::move(change)));
}

std::vector<core::backlog_item> opened::read(std::uint32_t destination, std::uint64_t from, std::uint32_t max_messages,
                                             std::uint64_t max_bytes) {
  return must(journal_->read(state.handle, destination_id{destination}, sequence{from}, max_messages, max_bytes));
}

scratch_directory::scratch_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "reseq-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  path_ = name;
}

scratch_directory::~scratch_directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

} // namespace reseq::test
