/// Names that clients of one loop connect to: looked up on threads of their own, side by side, and remembered.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "reseq/model/clock.hpp"
#include "reseq/net/detail/asio.hpp"
#include "reseq/net/detail/loop_gate.hpp"
#include "reseq/net/name_lookup.hpp"

namespace reseq::net::detail {

using addresses = std::vector<asio::ip::address>;

class lookup_threads;

/// On the loop's thread only. Addresses are used for 30 seconds without asking again, and for longer while a look-up
/// takes more than a second or fails without saying that there is no such name. A look-up under way is shared. Names
/// whose last look-up failed do not take the threads from the others.
class name_cache : public std::enable_shared_from_this<name_cache> {
public:
  using found_handler = std::function<void(const result<addresses>&)>;

  name_cache(asio::io_context& io, std::shared_ptr<loop_gate> gate, name_lookup look_up);

  /// Calls `found` once, at once if the addresses are known: at least one, those to try first at the beginning.
  void find(const std::string& name, found_handler found);

  /// `that` one answered: tried first until the name is looked up again.
  void prefer(const std::string& name, const asio::ip::address& that);

  /// None of them answered: the next `find` looks the name up again.
  void doubt(const std::string& name);

private:
  struct entry {
    addresses known;        ///< the last good ones
    time_point fresh_until; ///< of `known`
    bool asking = false;    ///< a look-up is under way
    bool late = false;      ///< and what is known is not held back for it any more
    bool failed = false;    ///< the last look-up
    std::vector<found_handler> waiting;
    std::unique_ptr<timer> patience;
  };

  void ask(const std::string& name, entry& of);
  void came(const std::string& name, result<std::vector<std::string>> found);
  static void tell(entry& of, const result<addresses>& what);

  asio::io_context& io_;
  std::shared_ptr<loop_gate> gate_;
  std::shared_ptr<lookup_threads> threads_;
  std::map<std::string, entry> entries_;
};

} // namespace reseq::net::detail
