/// What a program was configured with, and reading that again while it runs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "reseq/config/command_line.hpp"
#include "reseq/config/load.hpp"
#include "reseq/config/settings.hpp"
#include "reseq/pipeline/registry.hpp"
#include "run/main.hpp"

namespace reseq::apps {

/// What a file held when it was read, in memory: a supervisor's worker is started from it again and again, whatever
/// somebody writes into the file meanwhile.
class file_copy {
public:
  /// Of a file that cannot be read, nothing; whoever reads the file itself says why.
  explicit file_copy(const std::string& path);
  ~file_copy();
  file_copy(const file_copy&) = delete;
  file_copy& operator=(const file_copy&) = delete;

  /// As `own_worker` wants it; -1 without a copy.
  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// Where it can be read; empty without one.
  [[nodiscard]] std::string path() const;
  /// A pipe, for example, has nothing for a second reading.
  [[nodiscard]] bool of_something_read_once() const { return read_once_; }

private:
  int descriptor_ = -1;
  bool read_once_ = false;
};

struct configured {
  config::settings settings;
  std::shared_ptr<const file_copy> copy; ///< of the file; null without one
};

/// Reads it as the program's command line and environment say. `definitions` must outlive it.
class configuration_reader {
public:
  configuration_reader(program who, config::command_line line, const registry& definitions)
    : who_(std::move(who)), line_(std::move(line)), definitions_(&definitions) {}

  /// Complete only if the other has no problems.
  std::pair<configured, config::loaded> read() const;

  /// For a supervisor that runs with `now`: what it can go on with, which keeps of `now` what cannot change while it
  /// runs. Nothing if the file is wrong or changes nothing. Logs what it finds.
  std::optional<configured> read_again(const config::settings& now) const;

  [[nodiscard]] const program& who() const { return who_; }

private:
  program who_;
  config::command_line line_;
  const registry* definitions_;
};

} // namespace reseq::apps
