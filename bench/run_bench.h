// What the mains of benchmarks share: a failure is a line and exit status 1.
#pragma once

#include <cstdio>

#include "base/error.h"

namespace l2a {

template <class Run>
int run_bench(const Run& run, int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Failure& e) {
    std::fprintf(stderr, "error: %s\n", e.error.message.c_str());
    return 1;
  }
}

}  // namespace l2a
