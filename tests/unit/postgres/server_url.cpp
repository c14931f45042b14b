#include "reseq/store/postgres/server_url.hpp"

#include "catch.hpp"
#include "reseq/store/postgres/postgres_journal.hpp"

using namespace reseq::store::postgres;

TEST_CASE("what a URL does not say is added, what it says stays") {
  CHECK(server_url("postgresql://h/db").conninfo().find("db?connect_timeout=5&application_name=reseq&") !=
        std::string::npos);
  const auto own = server_url("postgresql://h/db?connect_timeout=1").conninfo();
  CHECK(own.find("connect_timeout=1&application_name") != std::string::npos);
  CHECK(own.find("connect_timeout=5") == std::string::npos);
  CHECK(own.find("&target_session_attrs=") != std::string::npos);
}

TEST_CASE("a password is in no text, wherever the URL has it") {
  for (const char* text :
       {"postgresql://u:hush@h/db", "postgresql://h/db?user=u&password=hush&sslmode=disable",
        "postgresql://u:other@h/db?password=hush", "postgresql://h/db?pass%77ord=hush",
        "postgresql://h/db?sslpassword=hush&sslmode=disable", "postgresql://h/db?sslmode=disable&password=%68ush"}) {
    CAPTURE(text);
    const server_url url(text);
    CHECK(url.mistake().empty());
    CHECK(url.without_secrets("refused: hush").find("hush") == std::string::npos);
    CHECK(url.without_secrets("as in " + std::string(text).substr(13)).find("hush") == std::string::npos);
    CHECK(url.without_secrets("missing = after \"" + url.conninfo() + "\"\n") == "missing = after \"the URL\"");
  }
  CHECK(server_url("postgresql://u@h/db").without_secrets("as it is") == "as it is");
}

TEST_CASE("a short password is replaced where it stands by itself, a long one wherever it stands") {
  const server_url brief("postgresql://u:or@h/db");
  CHECK(brief.without_secrets("ERROR: for relation or \"or\"") == "ERROR: for relation … \"…\"");
  CHECK(brief.without_secrets("u:or@h/db, password=or") == "u:…@h/db, password=…");
  CHECK(server_url("postgresql://u:correcthorse@h/db").without_secrets("xcorrecthorsex") == "x…x");
}

TEST_CASE("what stands where only a few words may is shown only if it is one of them") {
  const server_url wrong("postgresql://u@h/db?sslmode=hush");
  CHECK(wrong.without_secrets("invalid sslmode value: \"hush\"") == "invalid sslmode value: \"…\"");
  const server_url right("postgresql://u@h/db?sslmode=require&connect_timeout=3");
  CHECK(right.without_secrets("sslmode require, 3 s") == "sslmode require, 3 s");
}

TEST_CASE("of a URL that cannot be read nothing is quoted but an option that there is not") {
  for (const char* text : {"postgresql://u:x@h/db?password=hush%zz", "postgresql://u:x@h/db?sslpassword=hush%zz",
                           "postgresql://u@h/db?password=ab&hush=1", "postgresql://u:1/?hush@h/db",
                           "postgresql://u:1/?hush=1@h/db", "postgresql://u:hush@[h/db"}) {
    CAPTURE(text);
    const server_url url(text);
    CHECK(url.without_secrets("as in hush").find("hush") == std::string::npos);
    CHECK(url.mistake().find("hush") == std::string::npos);
  }
  CHECK(server_url("postgresql://u:hush@[h/db").mistake().find("write '@' as %40") != std::string::npos);
  CHECK(server_url("postgresql://u:hush@h/db?sslmod=disable").mistake() == "invalid URI query parameter: \"sslmod\"");
}

TEST_CASE("a server that is not there, and a URL that is none, are errors that say what to set, without the password") {
  for (const char* url :
       {"postgresql://u:hush@127.0.0.1:1/db", "postgresql://u:hush@[::1/db", "postgresql:/u:hush@/"}) {
    postgres_options options;
    options.url = url;
    const auto refused = open_postgres(options);
    REQUIRE_FALSE(refused.has_value());
    CAPTURE(refused.error().text());
    CHECK(refused.error().code == reseq::errc::unavailable);
    CHECK(refused.error().text().find("store.postgres") != std::string::npos);
    CHECK(refused.error().text().find("hush") == std::string::npos);
  }
}
