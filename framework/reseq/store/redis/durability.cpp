#include "reseq/store/redis/durability.hpp"

#include <array>
#include <string_view>

#include "reseq/store/redis/client.hpp"

namespace reseq::store::redis {

std::string durability_risk(const server_url& server, duration timeout) {
  constexpr std::array<std::string_view, 4> names{"appendonly", "appendfsync", "maxmemory", "maxmemory-policy"};
  std::array<command, names.size()> questions{command("CONFIG"), command("CONFIG"), command("CONFIG"),
                                              command("CONFIG")};
  for (std::size_t i = 0; i < names.size(); ++i) questions[i].add("GET").add(names[i]);
  client_options options;
  options.timeout = timeout;
  const auto said = client(server, options).run(questions);
  if (!said) return {};
  std::array<std::string_view, names.size()> is;
  for (std::size_t i = 0; i < names.size(); ++i)
    if ((*said)[i].size() == 2) is[i] = (*said)[i][1].text();
  const auto [appends, syncs, room, policy] = is;

  std::string risk;
  if (appends == "no")
    risk = "may lose what it has confirmed when it ends: set `appendonly yes` and `appendfsync always`";
  else if (appends == "yes" && syncs != "always")
    risk = "may lose what it has confirmed when its machine crashes: set `appendfsync always`";
  if (!room.empty() && room != "0" && policy.starts_with("allkeys"))
    risk += (risk.empty() ? "may" : "; and it may") +
            std::string{" evict what it has confirmed: set `maxmemory-policy noeviction`"};
  return risk;
}

} // namespace reseq::store::redis
