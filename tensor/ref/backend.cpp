// Memory and order of the reference backend: host memory, and streams that are empty shells.
#include <cstring>

#include "tensor/ref/ref.h"

namespace ft {
namespace {

class RefStream final : public Stream {
 public:
  StreamRef ref() const override { return StreamRef(nullptr); }
};

}  // namespace

std::unique_ptr<Stream> RefBackend::make_stream() { return std::make_unique<RefStream>(); }
std::unique_ptr<Event> RefBackend::make_event() { return std::make_unique<HostEvent>(); }

// Runs fn once as every capture does, and gives it back to be run again.
std::function<void()> RefBackend::capture(StreamRef, std::function<void()> fn) { return fn; }

void RefBackend::upload(StreamRef, const void* host, const Tensor& dst) {
  if (dst.bytes() != 0) std::memcpy(dst.data(), host, dst.bytes());
}

void RefBackend::download(StreamRef, const Tensor& src, void* host) {
  if (src.bytes() != 0) std::memcpy(host, src.data(), src.bytes());
}

bool RefBackend::supports(DType compute) const {
  return compute == DType::f32 || compute == DType::f64;
}

}  // namespace ft
