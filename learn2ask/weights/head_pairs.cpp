#include "weights/head_pairs.h"

#include <algorithm>
#include <vector>

namespace l2a {
namespace {

// `to_place` says where in its head a row goes.
template <class Place>
void reorder_heads(std::span<float> values, int64_t heads, int64_t rows, const Place& to_place) {
  const auto columns = static_cast<int64_t>(values.size()) / rows, h = rows / heads;
  std::vector<float> head(static_cast<size_t>(h * columns));
  for (int64_t first = 0; first < rows; first += h) {
    float* const at = values.data() + first * columns;
    std::copy_n(at, h * columns, head.data());
    for (int64_t row = 0; row < h; ++row) {
      std::copy_n(head.data() + row * columns, columns, at + to_place(row, h) * columns);
    }
  }
}

}  // namespace

void halves_from_neighbours(std::span<float> values, int64_t heads, int64_t rows) {
  reorder_heads(values, heads, rows,
                [](int64_t row, int64_t h) { return row % 2 * (h / 2) + row / 2; });
}

void neighbours_from_halves(std::span<float> values, int64_t heads, int64_t rows) {
  reorder_heads(values, heads, rows,
                [](int64_t row, int64_t h) { return row % (h / 2) * 2 + row / (h / 2); });
}

}  // namespace l2a
