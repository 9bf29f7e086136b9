#include "train/meter.h"

#include <fstream>
#include <string>

namespace l2a {

std::optional<double> peak_memory_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;  // in kB
  }
  return std::nullopt;
}

}  // namespace l2a
