#include "ctl/skip.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>

#include "ctl/fields.hpp"
#include "ctl/show.hpp"
#include "ctl/text.hpp"

namespace reseq::ctl {
namespace {

using nlohmann::json;

std::string until_of(const options& what) { return std::to_string(what.until->value()); }

bool is_paused(const json& destination) { return text_in(destination, "state") == "paused"; }

std::string resume_call(const options& what) {
  return "`reseqctl resume " + what.pipeline + " " + what.to.front() + "`";
}

/// What comes there later is nobody's to give up yet.
std::string last_given(const json& destination) {
  return "sequence " + std::to_string(number_in(destination, "accepted")) + ", the last one that it has so far";
}

bool reaches_beyond(const options& what, const json& destination) {
  return number_in(destination, "accepted") < what.until->value();
}

} // namespace

std::vector<json> oldest_first(const json& held) {
  std::vector<json> all(held.begin(), held.end());
  const auto key = [](const json& one) {
    return std::tuple{text_in(one, "since"), text_in(one, "destination"), number_in(one, "sequence")};
  };
  std::ranges::sort(all, {}, key);
  return all;
}

/// FNV-1a.
std::string code_of(std::span<const json> held) {
  std::uint32_t hash = 2166136261;
  for (const auto& one : held) {
    const auto text = text_in(one, "destination") + " " + std::to_string(number_in(one, "sequence")) + " " +
                      text_in(one, "since") + "\n";
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  }
  std::array<char, 8> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), hash, 16).ptr;
  return std::to_string(held.size()) + "-" + std::string(digits.data(), end);
}

std::string skip_call(const options& what) {
  std::string to;
  for (const auto& one : what.to) to += (to.empty() ? "" : ",") + one;
  return "reseqctl skip " + what.pipeline + " --to " + to + (what.until ? " --until " + until_of(what) : "");
}

std::string show_skip(const options& what, const json& held, wall_time now) {
  const auto all = oldest_first(list_in(held, "held"));
  auto made = show_held({{what.pipeline, held}}, now);
  if (all.empty()) return made;
  return made + "\nNothing is done yet. " +
         (all.size() == 1 ? "This is" : "These " + std::to_string(all.size()) + " are") +
         " given up and never delivered there, and nothing else is, by\n  " + skip_call(what) +
         " --yes=" + code_of(all) + "\nWhat comes to be held there after that: reseqctl skip --help, --until.\n";
}

std::string show_skip_until(const options& what, const json& held, const json& destination, wall_time now) {
  const auto& name = what.to.front();
  auto made = show_held({{what.pipeline, held}}, now);
  if (number_in(destination, "settled") >= std::min(what.until->value(), number_in(destination, "accepted")))
    return made + "\nAll up to " +
           (reaches_beyond(what, destination) ? last_given(destination) + "," : "sequence " + until_of(what)) +
           " is settled at " + name + ": there is nothing to give up.\n";
  made += "\nNothing is done yet. What is held at " + name + " up to sequence " + until_of(what) +
          " is given up and never delivered there, and so is what comes to be held until all up to that is settled, "
          "by\n  " +
          skip_call(what) + " --yes\n";
  if (reaches_beyond(what, destination)) made += "It ends with " + last_given(destination) + ".\n";
  if (is_paused(destination))
    made += name + " is paused: the command waits for " + resume_call(what) +
            " wherever something is to be delivered first.\n";
  return made;
}

std::string say_what_is_waited_for(const options& what, const json& destination) {
  const auto& name = what.to.front();
  const auto next = std::to_string(number_in(destination, "settled") + 1);
  const auto given_up = "what comes to be held up to sequence " + until_of(what) +
                        " is given up for as long as this command runs, and nothing is recorded for later";
  if (is_paused(destination))
    return name + " is paused, and sequence " + next + " is not held: it waits for " + resume_call(what) + "; " +
           given_up;
  return name + " waits at sequence " + next + ", which is not held; " + given_up;
}

std::string show_given_up(std::uint64_t messages) {
  return messages == 0 ? "Nothing is held.\n" : counted(messages, "held message") + " given up\n";
}

std::string show_given_up_until(const options& what, std::uint64_t messages, const json& destination) {
  return (messages == 0 ? "Nothing was held" : counted(messages, "held message") + " given up") + "; all up to " +
         (reaches_beyond(what, destination) ? last_given(destination) + "," : "sequence " + until_of(what)) +
         " is settled\n";
}

} // namespace reseq::ctl
