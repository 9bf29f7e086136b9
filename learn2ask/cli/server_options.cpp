#include "cli/server_options.h"

#include <cstdio>
#include <cstdlib>

namespace l2a {

HttpServerOptions server_options(const std::string& host, int port) {
  const char* token = std::getenv("LEARN2ASK_TOKEN");
  return {.host = host,
          .port = port,
          .token = token == nullptr ? "" : token,
          .on_defect = [](const std::string& what) {
            std::fprintf(stderr, "error: internal: %s\n", what.c_str());
          }};
}

}  // namespace l2a
