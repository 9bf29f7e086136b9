#include "base/interrupt.h"

#include <signal.h>

#include "base/error.h"

namespace l2a {
namespace {

volatile sig_atomic_t interrupted = 0;

void handle(int) {
  interrupted = 1;
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
}

}  // namespace

void install_interrupt_handlers() {
  // Without SA_RESTART: a command that waits for its user's input wakes up.
  struct sigaction action{};
  action.sa_handler = handle;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool is_interrupted() { return interrupted != 0; }

void throw_if_interrupted() {
  if (is_interrupted()) {
    fail(ErrorCode::kUnavailable, "interrupted: run the same command again to go on");
  }
}

}  // namespace l2a
