// A process that is killed in the middle of commits, and what the next one finds.

#include <array>
#include <csignal>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "journal_contract.hpp"
#include "journal_fixture.hpp"

namespace reseq::test {

namespace {

struct reported {
  std::uint64_t number; ///< of the message
  std::uint64_t at;
};

std::string id_of(std::uint64_t number) { return "m" + std::to_string(number); }

route_list routes_of(std::uint64_t number) { return number % 3 == 0 ? route_list{1} : route_list{1, 2}; }

/// Commits batches for ever, and writes each receipt into `out` once it has it.
[[noreturn]] void commit_for_ever(journal_store& place, int out, std::uint64_t first) {
  opened shard(must(place.open()), specs(2));
  for (std::uint64_t number = first;;) {
    std::vector<submission> batch;
    for (std::uint64_t i = 0; i < 1 + number % 13; ++i)
      batch.push_back(submit(id_of(number + i), routes_of(number + i)));
    const auto done = shard.commit(batch);
    if (!done) _exit(1);
    std::vector<reported> receipts;
    for (const auto& one : done->receipts) receipts.push_back({number++, one->at.value()});
    const auto bytes = receipts.size() * sizeof(reported);
    if (::write(out, receipts.data(), bytes) != static_cast<ssize_t>(bytes)) _exit(1);
  }
}

bool read_one(int in, reported& one) {
  std::size_t have = 0;
  while (have < sizeof(one)) {
    const ssize_t got = ::read(in, reinterpret_cast<char*>(&one) + have, sizeof(one) - have);
    if (got <= 0) return false;
    have += static_cast<std::size_t>(got);
  }
  return true;
}

/// Every receipt that a process gave that was killed after at least `receipts` of them.
std::vector<reported> run_and_kill(journal_store& place, std::uint64_t first, std::uint64_t receipts) {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(ends[0]);
    try {
      commit_for_ever(place, ends[1], first);
    } catch (...) {
      _exit(1);
    }
  }
  close(ends[1]);
  std::vector<reported> all;
  for (reported one{}; all.size() < receipts && read_one(ends[0], one);) all.push_back(one);
  kill(child, SIGKILL);
  for (reported one{}; read_one(ends[0], one);) all.push_back(one);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  return all;
}

} // namespace

void check_kill(const store_factory& make) {
  const auto place = make();
  std::mt19937_64 random(7);
  std::uint64_t next = 1;
  for (int round = 0; round < 5; ++round) {
    const auto all = run_and_kill(*place, next, 50 + random() % 700);
    REQUIRE_FALSE(all.empty());
    opened shard(must(place->open()), specs(2));
    for (const auto& [number, at] : all) {
      const auto found = must(shard->find(shard.state.handle, position{at}));
      REQUIRE(found);
      REQUIRE(found->message->id() == id_of(number));
    }
    REQUIRE(shard.state.last.value() >= all.back().at);

    std::vector<std::uint64_t> sequences(3, 0);
    for (std::uint64_t at = 1; at <= shard.state.last.value(); ++at) {
      const auto found = must(shard->find(shard.state.handle, position{at}));
      REQUIRE(found);
      for (const auto& [destination, seq] : found->enrolled) REQUIRE(seq.value() == ++sequences[destination.value()]);
    }
    for (std::uint32_t destination = 1; destination <= 2; ++destination) {
      REQUIRE(shard.state.destinations[destination - 1].last.value() == sequences[destination]);
      std::uint64_t read = 0;
      for (auto items = shard.read(destination, 1); !items.empty(); items = shard.read(destination, read + 1))
        for (const auto& item : items) REQUIRE(item.seq.value() == ++read);
      REQUIRE(read == sequences[destination]);
    }
    // What the dead process accepted without saying so is a duplicate now.
    next = all.back().number + 1;
    const bool unreported = shard.state.last.value() > all.back().at;
    const auto again = must(shard.commit({submit(id_of(next), routes_of(next))}));
    REQUIRE(again.receipts[0]->duplicate == unreported);
  }
}

} // namespace reseq::test
