#include "base/rng.h"

#include <bit>

#include "base/error.h"

namespace l2a {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

// The output function of SplitMix64 (Steele, Lea and Flood; Vigna's constants).
uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) word = mix(seed += kGolden);
}

Rng Rng::stream(uint64_t seed, std::string_view name, uint64_t index) {
  return Rng(mix(mix(seed + kGolden) ^ stable_hash(name)) ^ mix(index + kGolden));
}

uint64_t Rng::next() {
  auto& s = state_;
  const uint64_t result = std::rotl(s[1] * 5, 7) * 9;
  const uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return result;
}

uint64_t Rng::below(uint64_t n) {
  check(n > 0, "Rng::below(0)");
  // The lowest 2^64 mod n values are drawn again: what is left is a multiple of n.
  const uint64_t rejected = -n % n;
  for (;;) {
    const uint64_t bits = next();
    if (bits >= rejected) return bits % n;
  }
}

double Rng::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

bool Rng::chance(double probability) { return uniform() < probability; }

uint64_t stable_hash(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return mix(hash + kGolden);
}

}  // namespace l2a
