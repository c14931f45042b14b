#include "reseq/config/reference.hpp"

#include <string_view>

#include "reseq/config/options.hpp"

namespace reseq::config {
namespace {

template <class T>
std::string about(const option<T>& row) {
  auto text = std::string(row.description) + " (" + row.takes.type;
  if (row.takes.required) text += "; required";
  if (!row.takes.missing.empty()) text += "; only the default in this version";
  return text + ")";
}

std::string_view section_of(std::string_view key) {
  const auto dot = key.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : key.substr(0, dot);
}

/// The keys of one table and of its sections; `prefix` is "pipeline." for [[pipeline]].
template <class T>
std::string keys_of(std::string_view prefix) {
  std::string text;
  std::string_view section;
  for (const auto& row : options<T>()) {
    if (section_of(row.key) != section) {
      section = section_of(row.key);
      text += "\n[" + std::string(prefix) + std::string(section) + "]\n";
    }
    const auto name = row.key.substr(row.key.rfind('.') + 1);
    text += "# " + about(row) + "\n" + std::string(name) + " = " + std::string(row.preset) + "\n";
  }
  return text;
}

template <class T>
std::string help_of(std::string_view prefix) {
  std::string text;
  for (const auto& row : options<T>()) {
    text += "  " + std::string(prefix) + std::string(row.key);
    if (!row.takes.required) text += " = " + std::string(row.preset);
    text += "\n      " + about(row) + "\n";
  }
  return text;
}

std::string list_heading(std::string_view prefix) {
  return "\n[[" + std::string(prefix.substr(0, prefix.size() - 1)) + "]]\n";
}

} // namespace

std::string reference_toml() {
  return "# Every key with its default; of the lists one example member each. Made from the table of options in\n"
         "# framework/reseq/config/options.cpp: change it there, see conf/README.md. Durations have a unit (ns, us,\n"
         "# ms, s, m, h, d), sizes too (B, KiB, MiB, GiB, TiB). ${NAME} in a string is the environment's.\n" +
         keys_of<settings>("") + list_heading(pipeline_prefix) + keys_of<pipeline_settings>(pipeline_prefix) +
         list_heading(transform_prefix) + keys_of<transform_settings>(transform_prefix) +
         list_heading(destination_prefix) + keys_of<destination_settings>(destination_prefix) +
         list_heading(destination_transform_prefix) +
         "# A destination's own, after the pipeline's; the same keys.\nuse = \"identity\"\n";
}

std::string options_help() {
  return help_of<settings>("") + help_of<pipeline_settings>(pipeline_prefix) +
         help_of<transform_settings>(transform_prefix) + help_of<destination_settings>(destination_prefix) + "  " +
         std::string(destination_transform_prefix) + "*\n      the same keys as " +
         std::string(transform_prefix.substr(0, transform_prefix.size() - 1)) + "\n";
}

} // namespace reseq::config
