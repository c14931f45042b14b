#include "reseq/config/overrides.hpp"

#include <algorithm>

#include "reseq/config/file.hpp"
#include "reseq/config/keys.hpp"
#include "reseq/config/toml.hpp"

namespace reseq::config {
namespace {

list split_at_commas(std::string_view text) {
  list items;
  while (!text.empty()) {
    const auto comma = text.find(',');
    items.push_back({std::string(text.substr(0, comma))});
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return items;
}

/// Unquoted text as a value of the wanted shape; the rule says what is wrong with it.
node value_of(std::string_view text, shape wanted) {
  auto value = parse_toml_value(text);
  switch (wanted) {
  case shape::text: return value && value->as<std::string>() ? std::move(*value) : node{std::string(text)};
  case shape::items: return value && value->as<list>() ? std::move(*value) : node{split_at_commas(text)};
  case shape::other: break;
  }
  return value ? std::move(*value) : node{std::string(text)};
}

void record(const complaint& wrong, const origin& from, const std::string& key, findings& found) {
  found.note(key, from);
  if (wrong) found.add(from, key, *wrong);
}

/// Takes the part up to the next dot off the front of `path`.
std::string take_part(std::string_view& path) {
  const auto dot = path.find('.');
  std::string part(path.substr(0, dot));
  path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
  return part;
}

/// One KEY=VALUE on its way down to its key.
class setting {
public:
  setting(std::string_view value, findings& found) : value_(value), found_(found) {}

  void set(std::string_view path, settings& into) {
    if (!path.starts_with(pipeline_prefix)) return set_key(path, into, "", "");
    path.remove_prefix(pipeline_prefix.size());
    const auto name = take_part(path);
    if (auto* pipeline = member_called(name, into.pipelines, "pipeline", "pipeline")) {
      set_in_pipeline(path, *pipeline, member_label("pipeline", name));
    }
  }

private:
  static constexpr std::string_view of_destination = "destination.";
  static constexpr std::string_view of_transform = "transform.";

  void set_in_pipeline(std::string_view path, pipeline_settings& into, const std::string& label) {
    if (path.starts_with(of_transform)) {
      path.remove_prefix(of_transform.size());
      set_in_transform(path, into.transforms, label + ".transform", transform_prefix);
    } else if (path.starts_with(of_destination)) {
      path.remove_prefix(of_destination.size());
      const auto list_label = label + ".destination";
      const auto name = take_part(path);
      if (auto* destination = member_called(name, into.destinations, list_label, "destination")) {
        set_in_destination(path, *destination, member_label(list_label, name));
      }
    } else {
      set_member_key(path, into, label, pipeline_prefix);
    }
  }

  void set_in_destination(std::string_view path, destination_settings& into, const std::string& label) {
    if (path.starts_with(of_transform)) {
      path.remove_prefix(of_transform.size());
      set_in_transform(path, into.transforms, label + ".transform", destination_transform_prefix);
    } else {
      set_member_key(path, into, label, destination_prefix);
    }
  }

  void set_in_transform(std::string_view path, std::vector<transform_settings>& all, const std::string& list_label,
                        std::string_view prefix) {
    const auto use = take_part(path);
    const auto found = std::ranges::find(all, use, &transform_settings::use);
    if (found == all.end()) {
      return unknown_member(list_label + "." + in_quotes_if_odd(use), "transform uses this", all,
                            &transform_settings::use);
    }
    if (std::ranges::count(all, use, &transform_settings::use) > 1) {
      return found_.add(from_, list_label + "." + use, "several transforms use this: set it in the file");
    }
    const auto index = static_cast<std::size_t>(found - all.begin());
    set_key(path, *found, member_label(list_label, placeholder_name(index)), prefix);
  }

  template <class T>
  void set_member_key(std::string_view path, T& into, const std::string& label, std::string_view prefix) {
    if (path == "name") return found_.add(from_, label + ".name", "a name stands in the file only");
    set_key(path, into, label, prefix);
  }

  template <class T>
  void set_key(std::string_view key, T& into, const std::string& label, std::string_view prefix) {
    const auto shown = in_quotes_if_odd(std::string(key));
    const auto full = label.empty() ? shown : key.empty() ? label : label + "." + shown;
    if (const auto* row = find_option<T>(key)) {
      record(put(*row, into, value_of(value_, row->takes.form)), from_, full, found_);
    } else {
      auto generic = std::string(prefix) + std::string(key);
      if (key.empty() && !prefix.empty()) generic.pop_back();
      found_.add(from_, full, unknown_key(generic));
    }
  }

  template <class T>
  T* member_called(const std::string& name, std::vector<T>& all, const std::string& list_label,
                   const std::string& noun) {
    const auto found = std::ranges::find(all, name, &T::name);
    if (found != all.end() && !is_placeholder(name)) return &*found;
    unknown_member(list_label + "." + in_quotes_if_odd(name), noun + " has this name", all, &T::name);
    return nullptr;
  }

  template <class T>
  void unknown_member(const std::string& key, const std::string& what, const std::vector<T>& all,
                      std::string T::*name) {
    std::string known;
    for (const auto& one : all) {
      if (is_placeholder(one.*name)) continue;
      known += (known.empty() ? "" : ", ") + one.*name;
    }
    found_.add(from_, key, "no " + what + (known.empty() ? "; there are none" : "; known: " + known));
  }

  static std::string in_quotes_if_odd(const std::string& text) {
    const bool plain = !text.empty() && text.size() <= 200 &&
                       std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f' && c != '"'; });
    return plain ? text : in_quotes(text);
  }

  std::string_view value_;
  findings& found_;
  origin from_{"--set", 0};
};

bool is_for_others(std::string_view variable) {
  return variable == "RESEQ_PARENT_PIPE" || variable == "RESEQ_URL" || variable.starts_with("RESEQ_TEST_");
}

const option<settings>* option_of_variable(std::string_view variable) {
  for (const auto& row : options<settings>()) {
    if (variable_of(row.key) == variable) return &row;
  }
  return nullptr;
}

std::string unknown_variable(std::string_view variable) {
  std::vector<std::string> known;
  for (const auto& row : options<settings>()) known.push_back(variable_of(row.key));
  const auto meant = nearest(variable, known);
  return "names no key; " + (meant ? "the nearest is " + *meant : "for node.data_dir it would be RESEQ_NODE_DATA_DIR");
}

} // namespace

void apply_environment(const std::map<std::string, std::string>& environment, settings& into, findings& found) {
  for (const auto& [variable, text] : environment) {
    if (!variable.starts_with("RESEQ_") || is_for_others(variable)) continue;
    const origin from{"environment variable " + variable, 0, true};
    if (const auto* row = option_of_variable(variable)) {
      const auto value = row->takes.form == shape::text ? node{text} : value_of(text, row->takes.form);
      record(put(*row, into, value), from, std::string(row->key), found);
    } else {
      found.add(from, "", unknown_variable(variable));
    }
  }
}

void apply_sets(const std::vector<std::string>& sets, settings& into, findings& found) {
  for (const auto& one : sets) {
    const auto equals = one.find('=');
    // What has no '=' may be a secret that lost its key: it is not shown.
    if (equals == std::string::npos || equals == 0) {
      found.add({"--set", 0}, "", "needs KEY=VALUE, for example node.drain_timeout=5s");
      continue;
    }
    const std::string_view whole(one);
    setting(whole.substr(equals + 1), found).set(whole.substr(0, equals), into);
  }
}

} // namespace reseq::config
