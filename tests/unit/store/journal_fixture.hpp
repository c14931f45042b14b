/// Short hands for tests that write to a journal and look at what it holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reseq/store/journal.hpp"

namespace reseq::test {

using route_list = std::vector<std::uint32_t>;

/// A message called `id` for the destinations with these numbers. Its fingerprint depends on id and payload.
submission submit(const std::string& id, const route_list& routes = {1}, const std::string& payload = "payload");

/// `count` messages called `prefix` and a number from `first` on.
std::vector<submission> submit_many(const std::string& prefix, std::uint64_t first, std::uint64_t count,
                                    const route_list& routes = {1}, const std::string& payload = "payload");

std::vector<store::destination_spec> specs(std::uint32_t count, std::uint64_t max_pending = 1'000'000);

wall_time at_ms(std::int64_t ms);

/// The value, or a failed test that says why.
template <class T>
T must(result<T> outcome);

/// One shard of one journal.
class opened {
public:
  opened(std::unique_ptr<store::journal> journal, const std::vector<store::destination_spec>& destinations,
         const std::string& definition = "{}", const std::string& pipeline = "orders");

  /// One commit of one part.
  result<store::shard_committed> commit(std::vector<submission> submissions, core::journal_change change = {},
                                        wall_time now = at_ms(1000));
  /// Settles everything of a destination up to `upto`.
  void settle(std::uint32_t destination, std::uint64_t upto);
  std::vector<core::backlog_item> read(std::uint32_t destination, std::uint64_t from, std::uint32_t max_messages = 1000,
                                       std::uint64_t max_bytes = 1U << 30U);

  store::journal& operator*() { return *journal_; }
  store::journal* operator->() { return journal_.get(); }
  store::shard_state state;

private:
  std::unique_ptr<store::journal> journal_;
};

/// A directory that goes with the test.
class scratch_directory {
public:
  scratch_directory();
  ~scratch_directory();
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

} // namespace reseq::test

#include "catch.hpp"

namespace reseq::test {

template <class T>
T must(result<T> outcome) {
  if (!outcome) FAIL(outcome.error().text());
  return std::move(*outcome);
}

} // namespace reseq::test
