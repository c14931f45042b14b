/// A destination in any PostgreSQL database that takes messages in transactions of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "reseq/model/clock.hpp"
#include "reseq/model/error.hpp"
#include "reseq/store/postgres/database.hpp"
#include "reseq/store/postgres/listener.hpp"
#include "reseq/store/postgres/server_message.hpp"
#include "reseq/store/postgres/server_url.hpp"
#include "reseq/store/transactional_receiver.hpp"

namespace reseq::store::postgres {

struct fenced_receiver_statements;

/// How much longer than a statement's timeout, at whose end the server says so, one waits for a server that does not.
inline constexpr std::chrono::seconds grace_for_timeout{5};

/// Each call of `deliver` is one transaction: it locks the destination's row in `reseq.delivered`, looks at the epoch
/// and the last sequence there, takes what is new, and writes both. A transaction whose commit is in doubt is cleared
/// up by doing it again: the lock waits for the end of the old one, and the row tells what became of it. What the row
/// says is there already is compared with the journal's messages first, once, in a transaction of its own. Where there
/// is no row, the newest message that can be seen is the last.
///
/// A new owner does not wait long for one before it: of whoever has the row locked the session is ended, if it is of
/// the same role and `application_name`, and the row's epoch an earlier one.
///
/// The connection must be a session of the server's. Where a pooler shares these among transactions, settings are
/// another client's: a transaction that runs in another session than the one before writes nothing, and the destination
/// is failing.
///
/// `reseq.delivered` is created when it is missing and the role may do that. Otherwise USAGE on the schema `reseq` and
/// SELECT, INSERT and UPDATE on that table are needed. An older one, which does not say whose journal a row is of, gets
/// the columns for that if the role owns it; else it is used as it is, which `tell` hears of, until its owner adds
/// them.
class fenced_receiver : public transactional_receiver {
public:
  /// `timeout` is of each statement, and some seconds more than that may pass between two. A server that has answered
  /// nothing `grace` after that hangs: its connection is given up, and the destination is failing.
  fenced_receiver(server_url server, receiver_owner owner, duration timeout, listener tell = {},
                  duration grace = grace_for_timeout);

  result<receiver_record> open() override;
  result<receiver_record> take_over(sequence settled) override;
  core::receiver_answer deliver(std::span<const received> items) override;

protected:
  /// Once for each connection.
  virtual result<void> prepare(database& db, pqxx::work& tx) = 0;
  /// Takes `items`, which are new. What it answers, `refused` or `failing`, undoes everything; so does what it throws.
  virtual std::optional<core::receiver_answer> take(database& db, pqxx::work& tx, std::span<const received> items) = 0;

  /// What to answer where the server refused data, in a transaction that is over: the message is `refused`, or the
  /// table is to be mended and is `failing`.
  virtual core::receiver_answer answer_to(database& db, const server_message& refusal);

  /// What to answer where the server has denied a privilege, in a transaction that is over, and the reason is row level
  /// security; else nothing.
  virtual std::optional<core::receiver_answer> find_policy(database& db, const server_message& denial);

  /// What to answer where the receiver has another message in the place of one of `items`; nothing where that cannot be
  /// seen.
  virtual std::optional<core::receiver_answer> find_other(database& db, std::span<const received> items);

  /// The position of the message with this sequence, where it can be read; else 0.
  virtual position position_of(database& db, sequence received);

  /// The last message that is there, where it can be seen without a record of it; of that, `last` and `last_message`.
  virtual receiver_record newest(database& db, pqxx::work& tx);

  /// What the server said, in one line and without a password.
  [[nodiscard]] std::string in_a_line(const server_message& said) const;
  [[nodiscard]] const receiver_owner& owner() const { return owner_; }
  /// Says it to whoever wants to hear it.
  void tell(const std::string& news) const;

private:
  result<void> connect();
  result<void> prepare_records(database& db, pqxx::work& tx);
  result<void> announce_in_time(database& db);
  void announce(database& db, pqxx::work& tx);
  [[nodiscard]] bool may_claim(const receiver_record& there) const;
  void make_record(database& db, pqxx::work& tx, epoch owner, const receiver_record& there) const;
  result<receiver_record> recorded(pqxx::work& tx, const char* query);
  result<receiver_record> unrecorded(pqxx::work& tx);
  result<void> write(std::span<const received> items, std::optional<core::receiver_answer>& instead);
  /// As `write`, after what is there already was compared.
  result<void> compare_and_write(std::span<const received> items, std::optional<core::receiver_answer>& instead);

  server_url server_;
  receiver_owner owner_;
  sequence ours_;              ///< the last that was found to be this journal's
  sequence compared_;          ///< up to here it has the journal's messages, as far as that can be seen
  std::size_t to_compare_ = 0; ///< so many first have to be
  duration timeout_;
  duration grace_;
  listener tell_;
  const fenced_receiver_statements* use_; ///< as `reseq.delivered` is
  std::unique_ptr<database> db_;
  int session_ = 0;       ///< its process at the server
  bool outdated_ = false; ///< what was found out about a table when it connected; it shows when something is written
};

/// Other sessions that create tables for destinations wait for this one.
void wait_for_other_makers(database& db, pqxx::work& tx);

} // namespace reseq::store::postgres
