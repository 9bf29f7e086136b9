// `learn2ask calibrate ui`: the page to label on.
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "cli/calibrate_command.h"
#include "cli/command.h"
#include "cli/server_options.h"
#include "service/labelling_routes.h"

namespace l2a {
namespace {

struct UiArguments {
  std::string items, labels;
  int port = 8101;
};

void add_page(HttpServer& server) {
  const auto page = [](const std::string& name) { return read_file(data_path("web/" + name)); };
  server.file("/", "text/html; charset=utf-8", page("labelling.html"));
  server.file("/labelling.js", "text/javascript; charset=utf-8", page("labelling.js"));
  server.file("/labelling.css", "text/css; charset=utf-8", page("labelling.css"));
}

// By which the page keeps what is not saved yet: it belongs to these items and this file of labels.
std::string name_of_work(const UiArguments& arguments) {
  constexpr size_t kDigits = 8;
  const std::string file = std::filesystem::absolute(arguments.labels).lexically_normal().string();
  return sha256_hex(sha256_file(arguments.items) + file).substr(0, kDigits);
}

void serve_page(const UiArguments& arguments) {
  const auto items = read_calibration_items(arguments.items);
  const ItemIndex index(items);
  GoldLabelFile labels(arguments.labels, index);
  HttpServerOptions options = server_options("127.0.0.1", arguments.port);
  if (options.token.empty()) options.token = random_token();
  HttpServer server(options);
  LabellingRoutes routes(items, labels);
  routes.add_to(server);
  add_page(server);
  std::printf("%zu items; label them at %s/#%s:%s (Ctrl-C ends it)\n", items.size(),
              server.url().c_str(), options.token.c_str(), name_of_work(arguments).c_str());
  std::fflush(stdout);
  server.run();
  std::printf("what was said is in %s\n", arguments.labels.c_str());
}

}  // namespace

void add_calibrate_ui(CLI::App& calibrate) {
  auto* command = calibrate.add_subcommand("ui", "A page of this machine to label items on");
  auto arguments = std::make_shared<UiArguments>();
  command->add_option("ITEMS", arguments->items, "items, as calibrate sample wrote them")
      ->required();
  command
      ->add_option("--labels", arguments->labels,
                   "file of labels, which grows with each key; several people may label")
      ->required()
      ->type_name("GOLD");
  command->add_option("--port", arguments->port, "of 127.0.0.1; 0: any that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->callback([=] { serve_page(*arguments); });
}

}  // namespace l2a
