// How commands that serve HTTP are reached.
#pragma once

#include <string>

#include "service/http_server.h"

namespace l2a {

// With the token of the environment variable LEARN2ASK_TOKEN, empty where there is none; a defect
// of a handler is said on standard error.
HttpServerOptions server_options(const std::string& host, int port);

}  // namespace l2a
