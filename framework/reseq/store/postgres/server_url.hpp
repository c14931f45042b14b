/// Where the database is, and how to speak of it without telling its password.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reseq::store::postgres {

class server_url {
public:
  /// A `postgresql://` URL as libpq takes it.
  explicit server_url(std::string url);

  /// What keeps libpq from reading it, without quoting more of it than the name of an option; empty: nothing does.
  [[nodiscard]] const std::string& mistake() const { return mistake_; }

  /// What to connect with: bounds on how long that may take and how long a silent peer is believed are added, and that
  /// no standby will do, unless the URL has its own.
  [[nodiscard]] const std::string& conninfo() const { return conninfo_; }

  /// `text`, which may quote the URL or a part of it, without the passwords. Where they are in a URL that cannot be
  /// read nobody knows: then nothing is left of `text`.
  [[nodiscard]] std::string without_secrets(std::string text) const;

private:
  std::string url_;
  std::vector<std::string> secrets_; ///< as they stand in the URL, and decoded
  std::string mistake_;
  std::string conninfo_;
};

} // namespace reseq::store::postgres
