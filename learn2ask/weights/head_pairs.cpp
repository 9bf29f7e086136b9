#include "weights/head_pairs.h"

#include <algorithm>
#include <vector>

namespace l2a {

void neighbours_from_halves(std::span<float> values, int64_t heads, int64_t rows) {
  const auto columns = static_cast<int64_t>(values.size()) / rows, h = rows / heads;
  std::vector<float> head(static_cast<size_t>(h * columns));
  for (int64_t first = 0; first < rows; first += h) {
    float* const at = values.data() + first * columns;
    std::copy_n(at, h * columns, head.data());
    for (int64_t row = 0; row < h; ++row) {
      std::copy_n(head.data() + row * columns, columns, at + neighbour_place(row, h) * columns);
    }
  }
}

}  // namespace l2a
