/// Where the database is, and how to speak of it without telling its password.
#pragma once

#include <string>
#include <string_view>

namespace reseq::store::postgres {

class server_url {
public:
  /// A `postgresql://` URL as libpq takes it.
  explicit server_url(std::string url);

  /// What to connect with: bounds on how long that may take and how long a silent peer is believed are added, and that
  /// no standby will do, unless the URL has its own.
  [[nodiscard]] const std::string& conninfo() const { return conninfo_; }

  /// `text`, which may quote the URL or a part of it, without the password.
  [[nodiscard]] std::string without_secrets(std::string text) const;

private:
  std::string url_;
  std::string password_; ///< as it stands in the URL; may be empty
  std::string conninfo_;
};

} // namespace reseq::store::postgres
