// A descriptor of cuDNN's backend API: a bag of attributes. A table says which attribute belongs to which descriptor, and
// its type; finalizing insists on all but the optional ones. Stricter than cuDNN, which gives defaults to many.
// Owners: the caller of cuDNN, and every descriptor that it was put into. The holder of a Call's lock uses them.
#pragma once

#include <cudnn.h>

#include <cstring>
#include <iosfwd>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sim {

class Graph;

class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type) : type_(type) {}

  cudnnBackendDescriptorType_t type() const { return type_; }
  bool is_final() const { return final_; }
  // Empty, or what is wrong.
  std::string set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                  const void* values);
  // Empty, or what is missing. The caller looks at what the values mean.
  std::string finalize();

  bool has(cudnnBackendAttributeName_t name) const { return attributes_.contains(name); }
  template <class T>
  std::vector<T> all(cudnnBackendAttributeName_t name) const {
    const auto at = attributes_.find(name);
    if (at == attributes_.end()) return {};
    std::vector<T> values(at->second.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), at->second.data(), at->second.size());
    return values;
  }
  template <class T>
  T one(cudnnBackendAttributeName_t name) const {
    const auto values = all<T>(name);
    return values.empty() ? T{} : values[0];
  }
  std::vector<int64_t> ints(cudnnBackendAttributeName_t name) const { return all<int64_t>(name); }
  const CudnnDescriptor& sub(cudnnBackendAttributeName_t name) const {
    return *one<CudnnDescriptor*>(name);
  }

  // What finalizing or reading has made of it: the graph's meaning, the engine of a configuration or plan.
  std::shared_ptr<const Graph> graph;
  int engine = -1;
  void make_final() { final_ = true; }

  // Itself and all that was put into it, without handles, as text; and back.
  void write(std::ostream& out) const;
  static std::shared_ptr<CudnnDescriptor> read(std::istream& in);
  std::string graph_text;  // the graph behind `graph`, so written

 private:
  cudnnBackendDescriptorType_t type_;
  bool final_ = false;
  std::map<int, std::vector<char>> attributes_;  // by name
  std::vector<std::shared_ptr<CudnnDescriptor>>
      kept_alive_;  // the caller may destroy what it has put in
};

// The caller's descriptors by handle. find: nullptr if it is not alive.
cudnnBackendDescriptor_t add_descriptor(cudnnBackendDescriptorType_t type);
std::shared_ptr<CudnnDescriptor> find_descriptor(cudnnBackendDescriptor_t handle);
bool remove_descriptor(cudnnBackendDescriptor_t handle);

}  // namespace sim
