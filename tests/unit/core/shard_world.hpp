/// Everything around a shard, as a slow and obvious model: a journal, workers, receivers, operators, crashes. It does
/// random things from a seed and notes the first broken promise of the README.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "reseq/core/shard.hpp"

namespace reseq::core::test {

class shard_world {
public:
  explicit shard_world(std::uint64_t seed);

  /// One random event, and what the shard makes of it.
  void step();
  /// Everybody recovers: runs until nothing is left to do, and checks that nothing is lost.
  void recover_and_finish();

  /// The first promise that was broken; empty when none was.
  [[nodiscard]] const std::string& violation() const { return violation_; }

private:
  struct stored {
    position at;
    message_ptr message; ///< null: lost
  };
  struct destination {
    destination_setup setup; ///< progress and held as saved
    std::vector<stored> journal;
    std::set<sequence> taken;          ///< what the receiver has got
    std::set<sequence> may_go_without; ///< dropped, narrowed, skipped or dead-lettered by somebody
    std::optional<send_request> request;
    std::optional<read_request> read;
    std::set<sequence> handed;    ///< in this life of the shard
    std::set<sequence> confirmed; ///< in this life of the shard
    std::set<sequence> excluded;  ///< by a result that counted in this life of the shard
    sequence previous;            ///< what the next delivery has to name as the one before it
    bool receiver_down = false;
  };
  struct asked_work {
    bool head = false;
    asking asked;
  };
  using work_id = std::pair<std::uint64_t, std::uint32_t>;

  std::uint64_t below(std::uint64_t bound);
  bool chance(unsigned percent) { return below(100) < percent; }
  void expect(bool holds, const std::string& promise);
  destination* random_destination();
  static bool is_saved(const destination& d, sequence seq);

  void start();
  void crash();
  void lose();
  void commit();
  void announce();
  void answer_work();
  void answer_request(destination& d);
  void answer_read(destination& d);
  void answer_save();
  void operate(destination& d);
  void resume(destination& d, std::uint64_t token);
  void late_events();
  void pass_time();

  content_ptr make_result();
  void note_exclusion(destination& d, sequence seq);
  void perform();
  void take_send(send_request request);
  void take_in(destination& d, const send_request& request, std::size_t items);
  void apply(const journal_change& change);
  void check_state();
  void check_end();

  std::mt19937_64 random_;
  time_point now_{std::chrono::hours{1}};
  std::vector<destination> destinations_;
  std::deque<accepted_message> committed_; ///< durable, the shard does not know yet
  std::uint64_t last_position_ = 0;
  std::map<work_id, asked_work> asked_;
  std::optional<journal_change> saving_;
  std::optional<shard> shard_;
  give_up on_exhausted_ = give_up::hold;
  bool healthy_ = false;
  std::string violation_;
  std::vector<std::weak_ptr<const content>> results_; ///< all that workers ever made
  std::uint64_t next_token_ = 1;
  std::set<std::uint64_t> tokens_; ///< not answered yet
};

} // namespace reseq::core::test
