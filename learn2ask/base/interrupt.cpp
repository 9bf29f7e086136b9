#include "base/interrupt.h"

#include <csignal>

#include "base/error.h"

namespace l2a {
namespace {

volatile std::sig_atomic_t interrupted = 0;

void handle(int) {
  interrupted = 1;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

void install_interrupt_handlers() {
  std::signal(SIGINT, handle);
  std::signal(SIGTERM, handle);
}

void throw_if_interrupted() {
  if (interrupted) {
    fail(ErrorCode::kUnavailable, "interrupted: run the same command again to go on");
  }
}

}  // namespace l2a
