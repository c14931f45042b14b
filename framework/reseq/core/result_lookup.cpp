#include "reseq/core/result_lookup.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace reseq::core {

std::vector<work_request> result_lookup::found(const std::vector<work_key>& keys) {
  known_ = true;
  found_.insert(keys.begin(), keys.end());
  std::vector<work_request> work;
  for (auto one = wanted_.begin(); one != wanted_.end();) {
    const bool there = found_.erase(one->first) > 0;
    if (!there) work.push_back(std::move(one->second));
    one = there ? std::next(one) : wanted_.erase(one);
  }
  return work;
}

void result_lookup::want(std::vector<work_request>& work) {
  if (known_ && found_.empty()) return;
  std::erase_if(work, [this](work_request& one) {
    const work_key key{one.at, one.chain};
    if (known_ && found_.erase(key) == 0) return false;
    wanted_.emplace(key, std::move(one));
    return true;
  });
}

void result_lookup::withdraw(std::vector<work_key>& keys) {
  if (wanted_.empty()) return;
  std::erase_if(keys, [this](const work_key& key) { return wanted_.erase(key) > 0; });
}

void result_lookup::head(std::vector<work_key>& keys) {
  if (wanted_.empty()) return;
  std::erase_if(keys, [this](const work_key& key) {
    const auto one = wanted_.find(key);
    if (one != wanted_.end()) one->second.head = true;
    return one != wanted_.end();
  });
}

std::vector<work_key> result_lookup::ask(std::size_t most) {
  if (!known_ || !asked_.empty()) return {};
  for (auto one = wanted_.begin(); one != wanted_.end() && asked_.size() < most; ++one) asked_.push_back(one->first);
  return asked_;
}

result_lookup::outcome result_lookup::loaded(std::vector<stored_result> results) {
  outcome out;
  for (auto& result : results) {
    const auto one = wanted_.find(result.key);
    if (one == wanted_.end() || one->second.message->id() != result.message_id) continue;
    const auto asked = one->second.asked;
    wanted_.erase(one);
    std::erase(asked_, result.key);
    out.adopted.push_back({result.key.at, result.key.chain, std::move(result.done), asked});
  }
  for (const auto& key : std::exchange(asked_, {})) {
    out.worthless.push_back(key);
    if (auto one = wanted_.extract(key)) out.work.push_back(std::move(one.mapped()));
  }
  return out;
}

result_lookup::outcome result_lookup::failed() {
  outcome out;
  for (auto& [key, one] : std::exchange(wanted_, {})) {
    out.worthless.push_back(key);
    out.work.push_back(one);
  }
  for (const auto& key : std::exchange(asked_, {}))
    if (std::ranges::find(out.worthless, key) == out.worthless.end()) out.worthless.push_back(key);
  return out;
}

std::vector<work_key> result_lookup::filled() {
  const auto left = std::exchange(found_, {});
  return {left.begin(), left.end()};
}

} // namespace reseq::core
