#include "base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testing.h"

namespace l2a {
namespace {

// Handlers and the flag belong to the process: each test runs in a child.
template <class Work>
int status_of(Work&& work) {
  const pid_t child = fork();
  if (child == 0) {
    install_interrupt_handlers();
    work();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(Interrupt, TheFirstSignalAsks) {
  for (const int number : {SIGINT, SIGTERM}) {
    const int status = status_of([&] {
      throw_if_interrupted();
      raise(number);
      const std::string message = failure_of([] { throw_if_interrupted(); });
      _exit(message == "interrupted: run the same command again to go on" ? 7 : 1);
    });
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 7);
  }
}

TEST(Interrupt, TheSecondSignalKills) {
  const int status = status_of([] {
    raise(SIGINT);
    raise(SIGTERM);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

}  // namespace
}  // namespace l2a
