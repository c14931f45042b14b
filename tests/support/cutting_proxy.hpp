/// Stands between a program and a PostgreSQL server; cuts connections, lets them hang, or resets
/// sessions, where it is told to.
#pragma once

#include <atomic>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace reseq::test {

class cutting_proxy {
public:
  enum class cut {
    never,
    before_commit, ///< the server does not hear of it
    at_commit,     ///< the server hears of it, and may still be at it
    after_commit,  ///< the server has done it
  };
  enum class hanging {
    before, ///< the server does not hear of it
    after,  ///< the server has done it
  };

  /// `server` is the folder of its unix socket.
  explicit cutting_proxy(std::filesystem::path server);
  ~cutting_proxy();
  cutting_proxy(const cutting_proxy&) = delete;
  cutting_proxy& operator=(const cutting_proxy&) = delete;

  [[nodiscard]] std::string url(const std::string& database) const;

  /// What becomes of the next commit that passes.
  void next_commit(cut where) { where_ = where; }
  /// Of every session that is open, nothing is left when its client asks next: as with a pooler that gives it another.
  void reset_sessions() { ++resets_; }
  /// While it does, nobody can connect.
  void refuse(bool whether) { refusing_ = whether; }
  /// From now on a connection on which a client says `what` stays open, and nothing passes on it any more.
  void hang_at(const std::string& what, hanging when = hanging::before);
  /// None does that any more; those that do are closed.
  void hang_no_more();

private:
  void accept_all();
  void pass_on(int client);
  bool pass_from_client(int client, int server);
  bool hangs_at(const std::string& bytes, int server);
  void wait_until_nothing_hangs(int client);

  std::filesystem::path server_;
  std::filesystem::path directory_;
  int listening_ = -1;
  std::atomic<cut> where_{cut::never};
  std::atomic<int> resets_{0};
  std::atomic<bool> refusing_{false};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::string hang_at_; ///< what is said; empty: nothing hangs
  hanging hangs_ = hanging::before;
  std::thread accepting_;
  std::vector<std::thread> passing_; ///< the accepting thread's
};

} // namespace reseq::test
