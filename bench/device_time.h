// Time and memory of work on a device, which goes on after the call that began it has returned.
#pragma once

#include <algorithm>
#include <chrono>

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Device.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sys/resource.h>

namespace l2a {

inline c10::DeviceIndex index_of(c10::Device device) {
  return std::max<c10::DeviceIndex>(device.index(), 0);
}

inline void wait_for(c10::Device device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(index_of(device));
}

class Stopwatch {
 public:
  explicit Stopwatch(c10::Device device) : device_(device) { restart(); }

  void restart() {
    wait_for(device_);
    start_ = std::chrono::steady_clock::now();
  }
  double seconds() const {
    wait_for(device_);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  c10::Device device_;
  std::chrono::steady_clock::time_point start_;
};

// The most that the process has held: of the machine's memory, or of tensors on the device.
inline double peak_mib(c10::Device device) {
  constexpr double kMib = 1 << 20;
  if (!device.is_cpu()) {
    const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(index_of(device));
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return static_cast<double>(stats.allocated_bytes[kAll].peak) / kMib;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / kMib;
}

}  // namespace l2a
