#include "reseq/config/findings.hpp"

#include <algorithm>
#include <utility>

namespace reseq::config {
namespace {

std::vector<problem> by_line(std::vector<problem> all) {
  std::ranges::stable_sort(all, {}, [](const problem& p) { return std::pair(p.line == 0, p.line); });
  return all;
}

} // namespace

void findings::add(const origin& from, const std::string& key, std::string what) {
  add_conflict(from, key, std::move(what));
  faulty_.insert(key);
}

void findings::add_conflict(const origin& from, const std::string& key, std::string what) {
  problems_.push_back({from.file, from.line, key, std::move(what)});
}

void findings::warn(const origin& from, const std::string& key, std::string what) {
  warnings_.push_back({from.file, from.line, key, std::move(what)});
}

void findings::note(const std::string& key, const origin& from) { origins_.insert_or_assign(key, from); }

origin findings::origin_of(std::string key) const {
  for (;;) {
    if (const auto found = origins_.find(key); found != origins_.end()) return found->second;
    const auto dot = key.rfind('.');
    if (dot == std::string::npos) return {};
    key.resize(dot);
  }
}

std::vector<problem> findings::sorted() && { return by_line(std::move(problems_)); }
std::vector<problem> findings::warnings() const { return by_line(warnings_); }

} // namespace reseq::config
