/// One transform, its types erased: what chains are made of.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "reseq/model/ids.hpp"
#include "reseq/model/message.hpp"
#include "reseq/pipeline/outcome.hpp"

namespace reseq {

/// What a transform may ask for as its second parameter, for the length of its call: which attempt this is, and the
/// message that its chain began with (whose id makes a good idempotency key for calls to elsewhere).
struct attempt_context {
  attempt number;
  const message& source;
};

/// What a step works on: the current message, and what the step before handed over.
struct step_input {
  const message_ptr& current;  ///< never null
  std::shared_ptr<void> value; ///< null for a step that takes the message
  attempt_context context;
};

/// What a step hands over: a value of its output type, which the next step may move from, or the chain's end.
struct handed_over {
  std::variant<std::shared_ptr<void>, dropped, failed> what;
  std::optional<destination_names> only_to{};
};

/// Neighbouring steps agree about the types of values; the builder has made sure of it at compile time.
struct step {
  std::string name;
  std::string input;          ///< type name as the compiler spells it; stable for one C++ ABI
  std::string output;         ///< likewise
  std::string version;        ///< the author's; may be empty
  bool takes_message = false; ///< reads the current message; else the value of the step before

  /// Does the work. May throw anything; called by many threads at once.
  std::function<handed_over(const step_input&)> invoke;

  /// Makes content of the step's value, or throws; null when the output cannot be a payload.
  content_ptr (*finish)(const std::shared_ptr<void>& value, const message& source) = nullptr;
};

} // namespace reseq
