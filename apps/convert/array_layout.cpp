// Permuting arrays.
#include "apps/convert/array_layout.h"

#include <algorithm>

#include "io/huge_pages.h"
#include "tensor/error.h"

namespace ft::convert {
namespace {

constexpr int64_t kTile = 32;  // rows and columns copied at a time: their cache lines stay

// One plane: to[r * to_row + c] = from[r + c * from_column], r < rows, c < columns.
void transpose(const float* from, int64_t from_column, float* to, int64_t to_row, int64_t rows,
               int64_t columns) {
  for (int64_t r0 = 0; r0 < rows; r0 += kTile)
    for (int64_t c0 = 0; c0 < columns; c0 += kTile)
      for (int64_t r = r0; r < std::min(r0 + kTile, rows); ++r)
        for (int64_t c = c0; c < std::min(c0 + kTile, columns); ++c)
          to[r * to_row + c] = from[r + c * from_column];
}

}  // namespace

ArrayLayout layout_of(SourceFormat format, const Sides& target, const Sides& map) {
  const bool keras = format == SourceFormat::keras, matlab = format == SourceFormat::matlab;
  const Sides& t = target;
  if (keras && t.size() == 4) {
    const Sides source = {t[2], t[3], t[1], t[0]};
    return {source, source, {3, 2, 0, 1}};
  }
  if (matlab && t.size() == 4) {
    const Sides source = {t[0], t[1], t[3], t[2]};
    return {source, source, {0, 1, 3, 2}};
  }
  if ((keras || matlab) && t.size() == 2) {
    const Sides source = {t[1], t[0]};
    if (map.empty()) return {source, source, {1, 0}};
    if (keras) return {source, {map[1], map[2], map[0], t[0]}, {3, 2, 0, 1}};
    return {source, {map[0], map[2], map[1], t[0]}, {3, 0, 2, 1}};
  }
  return {target, target, {}};
}

std::vector<float> permute(std::vector<float> values, const Sides& view,
                           const std::vector<int>& order) {
  if (order.empty()) return values;
  const size_t rank = view.size();
  const Sides from = row_major_strides(view);
  Sides shape(rank);
  for (size_t d = 0; d < rank; ++d) shape[d] = view[static_cast<size_t>(order[d])];
  FT_CHECK(element_count(view) == static_cast<int64_t>(values.size()),
           "an array without the size of its shape");
  const Sides to = row_major_strides(shape);
  // Planes of two dimensions: the one that is innermost in `values` and the one that will be.
  const size_t inner = rank - 1;
  const auto outer =
      static_cast<size_t>(std::ranges::find(order, static_cast<int>(rank) - 1) - order.begin());
  auto out = make_large_vector<float>(values.size());
  Sides index(rank, 0);
  int64_t from_at = 0, to_at = 0;
  for (bool more = true; more;) {
    const int64_t column = outer == inner ? 0 : from[static_cast<size_t>(order[inner])];
    if (outer == inner)
      std::copy_n(values.data() + from_at, shape[inner], out.data() + to_at);
    else
      transpose(values.data() + from_at, column, out.data() + to_at, to[outer], shape[outer],
                shape[inner]);
    more = false;
    for (size_t d = rank; d-- > 0 && !more;) {
      if (d == inner || d == outer) continue;
      const int64_t step = from[static_cast<size_t>(order[d])];
      from_at += step;
      to_at += to[d];
      more = ++index[d] < shape[d];
      if (more) break;
      from_at -= step * shape[d];
      to_at -= to[d] * shape[d];
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace ft::convert
