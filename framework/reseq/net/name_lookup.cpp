#include "reseq/net/name_lookup.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

namespace reseq::net {

result<std::vector<std::string>> look_up_by_system(const std::string& name) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  if (const int failed = ::getaddrinfo(name.c_str(), nullptr, &wanted, &first); failed != 0) {
    const bool no_such_name = failed == EAI_NONAME || failed == EAI_NODATA;
    return fail(no_such_name ? errc::not_found : errc::unavailable,
                failed == EAI_SYSTEM ? std::generic_category().message(errno) : ::gai_strerror(failed), name);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(first, &::freeaddrinfo);
  std::vector<std::string> found;
  for (const auto* one = first; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0)
      found.emplace_back(text.data());
  }
  if (found.empty()) return fail(errc::not_found, "the name has no address", name);
  return found;
}

} // namespace reseq::net
