#include "reseq/pipeline/chain.hpp"

#include <algorithm>
#include <cassert>
#include <exception>
#include <iterator>
#include <utility>

#include "reseq/model/permanent_error.hpp"
#include "reseq/pipeline/hash.hpp"

namespace reseq {
namespace {

/// `text` cut to what a failure may carry, at the start of a UTF-8 character.
std::string bounded(std::string text) {
  if (text.size() <= max_failure_bytes) return text;
  auto end = max_failure_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text;
}

failed failure(const step& at, const std::string& why, bool permanent) {
  return {bounded(at.name + ": " + (why.empty() ? "failed without saying why" : why)), permanent};
}

/// Only inside a catch block: the exception under way, as a failure of `at`.
failed failure_from_exception(const step& at) {
  try {
    throw;
  } catch (const permanent_error& e) {
    return failure(at, e.what(), true);
  } catch (const std::exception& e) {
    return failure(at, e.what(), false);
  } catch (...) {
    return failure(at, "threw something that is not a std::exception", false);
  }
}

} // namespace

chain::chain(std::vector<step> steps) : steps_(std::move(steps)) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    assert(i > 0 || steps_[i].takes_message);
    assert((i + 1 < steps_.size() && !steps_[i + 1].takes_message) || steps_[i].finish);
  }
}

outcome chain::run(const message_ptr& source, attempt number) const {
  assert(source);
  auto current = source;
  produced result{content_of(source)};
  std::shared_ptr<void> value;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto& now = steps_[i];
    const bool makes_content = i + 1 == steps_.size() || steps_[i + 1].takes_message;
    try {
      if (now.takes_message) current = present(current, result.body);
      auto handed = now.invoke({current, std::move(value), {number, *source}});
      if (const auto* why = std::get_if<failed>(&handed.what)) return failure(now, why->what, why->permanent);
      if (std::holds_alternative<dropped>(handed.what)) return dropped{};
      narrow(result.only_to, handed.only_to);
      if (handed.only_to) std::ranges::copy(*handed.only_to, std::back_inserter(result.named));
      value = std::get<std::shared_ptr<void>>(std::move(handed.what));
      if (makes_content) result.body = now.finish(value, *current);
    } catch (...) {
      return failure_from_exception(now);
    }
  }
  return result;
}

std::string chain::fingerprint() const {
  detail::hasher all;
  for (const auto& s : steps_) all.add(s.name).add(s.input).add(s.output).add(s.version);
  return all.hex();
}

message_ptr present(const message_ptr& original, const content_ptr& body) {
  if (body.get() == &original->body()) return original;
  return std::make_shared<const message>(original->id(), original->key(), *body);
}

content_ptr content_of(const message_ptr& original) { return {original, &original->body()}; }

} // namespace reseq
