// Laying a network over the tensors of a file.
#include "apps/convert/candidate.h"

#include <algorithm>

#include "layers/batchnorm2d.h"

namespace ft::convert {
namespace {

constexpr int64_t kPublishedClasses = 1000, kMostClasses = 1'000'000;
constexpr const char* kCounter = ".num_batches_tracked";

Sides sides_of(const Shape& shape) { return {shape.dims().begin(), shape.dims().end()}; }

AllowedNew may_be_new(const Candidate& c) {
  return [&c](std::string_view name) {
    const auto origin = std::ranges::find(c.origins, name, &Origin::source);
    return origin != c.origins.end() && origin->fresh;
  };
}

class Builder {
 public:
  Builder(const ModelInfo& info, Naming naming, const SourceFile& source, const SourceMap& tensors,
          const std::string& path)
      : source_(source), tensors_(tensors) {
    c_.file.path = path;
    c_.file.model = info.name;
    c_.info = &info;
    c_.naming = naming;
  }

  Candidate run() {
    const int side = c_.info->recipe.input_size;
    const std::string head = build_model(*c_.info, 2, side, side).head;
    const SourceTensor* bias = find(source_name(c_.info->name, head, ParamRole::bias, c_.naming));
    topless_ = bias == nullptr && c_.naming != Naming::own;
    c_.model =
        build_model(*c_.info, bias == nullptr ? kPublishedClasses : classes_of(*bias), side, side);
    for (const Node& node : graph().nodes()) add_node(node);
    compare();
    return std::move(c_);
  }

 private:
  const Graph& graph() const { return c_.model.graph; }
  const SourceTensor* find(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }
  static int64_t classes_of(const SourceTensor& bias) {
    return std::clamp<int64_t>(element_count(bias.shape), 1, kMostClasses);
  }
  const Node* producer(const Node& node) const {
    const int index = graph().values()[static_cast<size_t>(node.inputs[0])].producer;
    return index < 0 ? nullptr : &graph().nodes()[static_cast<size_t>(index)];
  }

  // {C,H,W} of what a matrix reads flattened; empty if nothing was flattened, or a map of 1x1.
  Sides flattened_map(const Node& node) const {
    const Node* flatten = producer(node);
    while (flatten != nullptr && flatten->layer->kind() == "dropout") flatten = producer(*flatten);
    if (flatten == nullptr || flatten->layer->kind() != "flatten") return {};
    const Shape& map = graph().values()[static_cast<size_t>(flatten->inputs[0])].shape;
    return map.h() * map.w() == 1 ? Sides{} : Sides{map.c(), map.h(), map.w()};
  }

  // Without its top a file of Keras lacks the classifier, and VGG16's all three matrices: this one and all behind it.
  bool may_lack(const Node& node) const {
    if (!topless_ || node.layer->kind() != "linear") return false;
    bool behind = false;
    return std::ranges::all_of(graph().nodes(), [&](const Node& n) {
      behind |= n.name == node.name;
      return !behind || n.layer->kind() != "linear" ||
             find(source_name(c_.info->name, n.name, ParamRole::weight, c_.naming)) == nullptr;
    });
  }

  void add_node(const Node& node) {
    for (int i = 0; i < node.parameter_count; ++i) {
      const Parameter& p = graph().parameters()[static_cast<size_t>(node.first_parameter + i)];
      Origin origin;
      origin.source = source_name(c_.info->name, node.name, p.role, c_.naming);
      origin.fresh = may_lack(node);
      origin.layout = layout_of(source_.format, sides_of(p.shape), flattened_map(node));
      if (p.role == ParamRole::running_mean) origin.bias = folded_bias(node);
      if (p.role == ParamRole::running_var) origin.epsilon = epsilon_step(node, origin.source);
      c_.expected.push_back({origin.source, origin.layout.source});
      c_.origins.push_back(std::move(origin));
    }
    if (c_.naming == Naming::own && node.layer->kind() == "batchnorm2d" &&
        find(node.name + kCounter) != nullptr)
      c_.skipped.push_back(node.name + kCounter);
  }

  // A bias that our convolution does not have: batch-norm subtracts it again with the mean.
  std::string folded_bias(const Node& norm) {
    const Node* conv = producer(norm);
    if (conv == nullptr || conv->parameter_count != 1) return {};
    const std::string name = source_name(c_.info->name, conv->name, ParamRole::bias, c_.naming);
    if (find(name) == nullptr) return {};
    c_.expected.push_back(
        {name, sides_of(graph().parameters()[static_cast<size_t>(norm.first_parameter)].shape)});
    return name;
  }

  double epsilon_step(const Node& norm, const std::string& source) const {
    const auto said = source_.epsilon.find(source.substr(0, source.find('/')));
    const double theirs = said != source_.epsilon.end() ? said->second : source_epsilon(c_.naming);
    const auto* layer = dynamic_cast<const BatchNorm2d*>(norm.layer.get());
    return theirs < 0 || layer == nullptr ? 0 : theirs - layer->epsilon();
  }

  void compare() {
    for (const auto& [name, tensor] : tensors_)
      if (std::ranges::find(c_.skipped, name) == c_.skipped.end())
        c_.file.tensors.push_back({name, tensor->shape, {}});
    c_.report = compare_tensors(c_.expected, c_.file, may_be_new(c_));
  }

  const SourceFile& source_;
  const SourceMap& tensors_;
  bool topless_ = false;
  Candidate c_;
};

}  // namespace

void Candidate::require_fit() const { match_tensors(expected, file, may_be_new(*this)); }

Candidate make_candidate(const ModelInfo& info, Naming naming, const SourceFile& source,
                         const SourceMap& tensors, const std::string& path) {
  return Builder(info, naming, source, tensors, path).run();
}

}  // namespace ft::convert
