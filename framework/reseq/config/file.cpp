#include "reseq/config/file.hpp"

#include <algorithm>
#include <initializer_list>

#include "reseq/config/expand.hpp"
#include "reseq/config/keys.hpp"
#include "reseq/config/misplaced.hpp"
#include "reseq/config/toml.hpp"

namespace reseq::config {
namespace {

using variables = std::map<std::string, std::string>;

/// A table on the way down: how people name it, and its name in the table of options.
struct place {
  std::string label;   ///< "pipeline.orders"; empty: the document
  std::string generic; ///< "pipeline"
};

std::string joined(const std::string& table_name, const std::string& key) {
  return table_name.empty() ? key : table_name + "." + key;
}

/// TOML keys may hold anything; problems show what would not read well between quotes.
std::string shown(const std::string& key) {
  const auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !key.empty() && key.size() <= 60 && std::ranges::all_of(key, bare) ? key : in_quotes(key);
}

template <class T>
bool is_section(const std::string& name) {
  const auto prefix = name + ".";
  return std::ranges::any_of(options<T>(), [&](const option<T>& row) { return row.key.starts_with(prefix); });
}

complaint expand_strings(node& item, const variables& environment) {
  if (auto* text = std::get_if<std::string>(&item.value)) {
    auto expanded = expand(*text, environment);
    if (!expanded) return expanded.error();
    *text = std::move(*expanded);
  } else if (auto* items = std::get_if<list>(&item.value)) {
    for (auto& one : *items) {
      if (auto wrong = expand_strings(one, environment)) return wrong;
    }
  } else if (auto* members = std::get_if<table>(&item.value)) {
    for (auto& one : *members) {
      if (auto wrong = expand_strings(one.item, environment)) return wrong;
    }
  }
  return {};
}

class document_reader {
public:
  document_reader(std::string file, const variables& environment, findings& found)
    : file_(std::move(file)), environment_(environment), found_(found) {}

  void read(const table& document, settings& into) {
    keys(document, into, {}, "", {"pipeline"});
    named_members(document, {}, "pipeline", into.pipelines, [this](const table& from, auto& to, const place& here) {
      keys(from, to, here, "", {"transform", "destination"});
      transforms(from, here, to.transforms);
      destinations(from, here, to.destinations);
    });
  }

private:
  origin at(const node& item) const { return {file_, item.line}; }

  void destinations(const table& pipeline, const place& around, std::vector<destination_settings>& into) {
    named_members(pipeline, around, "destination", into, [this](const table& from, auto& to, const place& here) {
      keys(from, to, here, "", {"transform"});
      transforms(from, here, to.transforms);
    });
  }

  /// The keys of one table; `below` is the section that is being read ("retry."), `lists` are read elsewhere.
  template <class T>
  void keys(const table& from, T& target, const place& here, const std::string& below,
            std::initializer_list<std::string_view> lists) {
    for (const auto& [name, item] : from) {
      if (std::ranges::find(lists, name) != lists.end()) continue;
      const auto key = below + name;
      const auto label = joined(here.label, below + shown(name));
      if (const auto* row = find_option<T>(key)) {
        value(*row, target, item, label);
      } else if (is_section<T>(key)) {
        section(item, target, here, key, label);
      } else {
        found_.add(at(item), label, unknown_key(joined(here.generic, key)));
      }
    }
  }

  template <class T>
  void section(const node& item, T& target, const place& here, const std::string& key, const std::string& label) {
    found_.note(label, at(item));
    if (const auto* members = item.as<table>()) {
      keys(*members, target, here, key + ".", {});
    } else {
      found_.add(at(item), label, "must be a table, written [" + joined(here.generic, key) + "]");
    }
  }

  template <class T>
  void value(const option<T>& row, T& target, node item, const std::string& label) {
    const auto from = at(item);
    const auto written = item;
    auto wrong = expand_strings(item, environment_);
    if (!wrong) {
      wrong = put(row, target, item);
      // What comes from the environment may be a secret: the text that says what is wrong could show it.
      if (wrong && row.takes.set && !(item == written)) {
        wrong = "is not valid with what the environment has for it; it takes: " + row.takes.type;
      }
    }
    found_.note(label, from);
    if (wrong) found_.add(from, label, *wrong);
  }

  /// The list called `name`, or null if there is none or it is something else.
  const list* members_of(const table& from, const place& around, const std::string& name) {
    const auto* item = find(from, name);
    if (!item) return nullptr;
    const auto* members = item->as<list>();
    const auto generic = joined(around.generic, name);
    if (!members) {
      found_.add(at(*item), joined(around.label, name),
                 "must be a list: each member begins with [[" + generic + "]], and its tables come after that");
    }
    return members;
  }

  const table* member_table(const node& item, const std::string& label) {
    found_.note(label, at(item));
    const auto* from = item.as<table>();
    if (!from) found_.add(at(item), label, "must be a table, not " + kind_of(item));
    return from;
  }

  /// Reads each member over the one of the same name that is there already (C++ composed it), or over defaults.
  template <class T, class Read>
  void named_members(const table& from, const place& around, const std::string& list_name, std::vector<T>& into,
                     Read read_member) {
    const auto* members = members_of(from, around, list_name);
    if (!members) return;
    const auto list_label = joined(around.label, list_name);
    std::map<std::string, int> lines;
    for (std::size_t i = 0; i < members->size(); ++i) {
      const auto& item = (*members)[i];
      const auto unnamed = placeholder_name(i);
      const auto* fields = member_table(item, member_label(list_label, unnamed));
      if (!fields) continue;
      const auto name = unique_name(*fields, item, member_label(list_label, unnamed), lines).value_or(unnamed);
      const place here{member_label(list_label, name), joined(around.generic, list_name)};
      found_.note(here.label, at(item));
      auto& target = member_called(name, into);
      read_member(*fields, target, here);
      target.name = name;
    }
  }

  /// The member's name if it is valid and no other's. `keys` will say what is wrong with an invalid one.
  std::optional<std::string> unique_name(const table& fields, const node& member_item, const std::string& label,
                                         std::map<std::string, int>& lines) {
    const auto* item = find(fields, "name");
    if (!item) {
      found_.add(at(member_item), label + ".name", "is missing");
      return {};
    }
    const auto* written = item->as<std::string>();
    if (!written) return {};
    auto name = expand(*written, environment_);
    if (!name || !is_name(*name)) return {};
    const auto [first, fresh] = lines.emplace(*name, item->line);
    if (!fresh) {
      found_.add(at(*item), label + ".name",
                 in_quotes(*name) + " is already the name in line " + std::to_string(first->second));
      return {};
    }
    return std::move(*name);
  }

  template <class T>
  static T& member_called(const std::string& name, std::vector<T>& all) {
    const auto found = std::ranges::find(all, name, &T::name);
    if (found != all.end()) return *found;
    return all.emplace_back(presets<T>());
  }

  void transforms(const table& from, const place& around, std::vector<transform_settings>& into) {
    const auto* members = members_of(from, around, "transform");
    if (!members) return;
    into.clear();
    for (std::size_t i = 0; i < members->size(); ++i) {
      const place here{member_label(joined(around.label, "transform"), placeholder_name(i)),
                       joined(around.generic, "transform")};
      const auto* fields = member_table((*members)[i], here.label);
      if (fields) keys(*fields, into.emplace_back(presets<transform_settings>()), here, "", {});
    }
  }

  std::string file_;
  const variables& environment_;
  findings& found_;
};

} // namespace

bool read_document(std::string_view text, const std::string& file, const variables& environment, settings& into,
                   findings& found) {
  const auto document = parse_toml(text);
  if (!document) {
    const auto& error = document.error();
    if (const auto table_before = find_misplaced_table(text, error.line)) {
      found.add({file, table_before->line}, table_before->name, table_before->what);
    } else {
      found.add({file, error.line}, "", error.what);
    }
    return false;
  }
  document_reader(file, environment, found).read(*document, into);
  return true;
}

std::string member_label(const std::string& list_label, const std::string& name) {
  return is_placeholder(name) ? list_label + name : list_label + "." + name;
}

std::string placeholder_name(std::size_t index) { return "[" + std::to_string(index + 1) + "]"; }

bool is_placeholder(const std::string& name) { return name.starts_with('['); }

} // namespace reseq::config
