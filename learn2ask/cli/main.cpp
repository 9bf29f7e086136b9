// The program. Holds the only catch: every Failure becomes one line on standard error and exit
// code 1; wrong usage is exit code 2.
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <string>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/utf8.h"
#include "cli/program.h"

namespace {

constexpr int kExitBadInput = 1, kExitUsage = 2;

// What was printed may still be in the buffer; a full disk shows only now.
void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    l2a::fail(l2a::ErrorCode::kIo, "write: standard output: not all could be written");
  }
}

int parse_and_run(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {  // they go into files' headers
    if (l2a::find_bad_utf8(argv[i])) {
      l2a::fail_input("argument " + std::to_string(i) +
                      ": not UTF-8 (a file's name? give it another)");
    }
  }
  const auto app = l2a::make_program();
  try {
    app->parse(argc, argv);
    flush_output();
    return 0;
  } catch (const CLI::ParseError& e) {
    // CLI11 uses ParseError for --help too, with code 0.
    return app->exit(e) == 0 ? 0 : kExitUsage;
  }
}

}  // namespace

int main(int argc, char** argv) {
  l2a::install_interrupt_handlers();
  std::signal(SIGXFSZ, SIG_IGN);  // a write past the limit on file sizes fails, as on a full disk
  try {
    return parse_and_run(argc, argv);
  } catch (const l2a::Failure& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "error: memory: not enough for this command\n");
  } catch (const std::filesystem::filesystem_error& e) {
    std::fprintf(stderr, "error: file: %s: %s\n", e.path1().c_str(), e.code().message().c_str());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: internal: %s\n", e.what());
  }
  return kExitBadInput;
}
