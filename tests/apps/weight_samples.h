// A network's weights as other programs would write them. Header-only.
#pragma once

#include <string>
#include <vector>

#include "io/weights.h"
#include "tests/io/source_samples.h"

namespace ft::test {

inline std::vector<int64_t> dense_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> stride(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) stride[d - 1] = stride[d] * shape[d];
  return stride;
}

// As torch.save(DataParallel(model).state_dict(), ...) would: a prefix, and counters that nobody needs.
inline std::string as_torch(const WeightFile& weights) {
  std::vector<TorchTensor> tensors;
  std::vector<TorchStorage> storages;
  for (const NamedTensor& t : weights.tensors) {
    TorchTensor tensor;
    tensor.name = "module." + t.name;
    tensor.key = std::to_string(tensors.size());
    tensor.elements = static_cast<int64_t>(t.data.size());
    tensor.shape = t.shape;
    tensor.stride = dense_strides(t.shape);
    storages.push_back({tensor.key, raw(t.data)});
    tensors.push_back(std::move(tensor));
  }
  TorchTensor counter;
  counter.name = "module.bn1.num_batches_tracked";
  counter.key = "counter";
  counter.storage_class = "LongStorage";
  counter.elements = 1;
  tensors.push_back(counter);
  storages.push_back({"counter", raw<int64_t>({7})});
  return torch_zip(state_dict(tensors), storages);
}

inline std::string as_safetensors(const WeightFile& weights) {
  std::string header = "{", data;
  for (const NamedTensor& t : weights.tensors) {
    std::string shape;
    for (int64_t side : t.shape) shape += (shape.empty() ? "" : ",") + std::to_string(side);
    header += (data.empty() ? "\"" : ",\"") + t.name + "\":{\"dtype\":\"F32\",\"shape\":[" + shape +
              "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data += raw(t.data);
    header += std::to_string(data.size()) + "]}";
  }
  return safetensors(header + "}", data);
}

}  // namespace ft::test
