// Reading Keras files.
#include "io/keras_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "io/hdf5_arrays.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kMostLayers = 4096, kMostEntries = 1024, kMostVisits = 20'000;
constexpr int kMostDepth = 4;                  // of groups in a layer
constexpr size_t kMostDescription = 4u << 20;  // bytes of model_config
constexpr size_t kMostName = 256;
constexpr const char* kSaveWeights = "save it again: model.save_weights(\"FILE.weights.h5\")";

struct Word {
  std::string_view theirs, role;
};

// The ends of names. Keras 1 wrote W, b and running_std, which holds the variance.
constexpr Word kWords[] = {
    {"kernel", "weight"},
    {"W", "weight"},
    {"bias", "bias"},
    {"b", "bias"},
    {"gamma", "gamma"},
    {"beta", "beta"},
    {"moving_mean", "mean"},
    {"running_mean", "mean"},
    {"moving_variance", "variance"},
    {"running_std", "variance"},
};

// "conv1_W_1:0" without ":0", or without "_1": what a graph of TensorFlow appended to make names unique.
std::string_view without_number(std::string_view name, char mark) {
  const size_t at = name.rfind(mark);
  const bool number = at != std::string_view::npos && at + 1 < name.size() &&
                      std::ranges::all_of(name.substr(at + 1),
                                          [](unsigned char c) { return std::isdigit(c) != 0; });
  return number ? name.substr(0, at) : name;
}

std::optional<std::string> role_of(std::string_view array) {
  const std::string_view plain = without_number(array, ':');
  for (const std::string_view name : {plain, without_number(plain, '_')})
    for (const Word& word : kWords)
      if (name == word.theirs ||
          (name.ends_with(word.theirs) && name[name.size() - word.theirs.size() - 1] == '_'))
        return std::string(word.role);
  return std::nullopt;
}

// Roles of the numbered variables of a layer of this class, by their count; empty if we do not know.
std::vector<std::string> roles_of(std::string_view layer_class, size_t count) {
  if (layer_class == "batch_normalization" && count == 4)
    return {"gamma", "beta", "mean", "variance"};
  if ((layer_class == "conv2d" || layer_class == "dense") && count == 2) return {"weight", "bias"};
  if ((layer_class == "conv2d" || layer_class == "dense") && count == 1) return {"weight"};
  return {};
}

class KerasFile {
 public:
  KerasFile(std::span<const std::byte> bytes, const std::string& path)
      : reader_(std::make_shared<hdf5::Reader>(bytes, path)), path_(path) {}

  SourceFile run() {
    file_.format = SourceFormat::keras;
    if (reader_->has("/layers") && reader_->is_group("/layers")) {
      file_.what = "a Keras file (.weights.h5)";
      for (const std::string& layer : reader_->names("/layers", kMostLayers)) numbered(layer);
      return std::move(file_);
    }
    const bool whole = reader_->has("/model_weights");
    file_.what = whole ? "a Keras file (whole model)" : "a Keras file (legacy)";
    const std::string base = whole ? "/model_weights" : "";
    for (const std::string& layer : reader_->names(whole ? base : "/", kMostLayers)) {
      const std::string group = fmt::format("{}/{}", base, layer);
      if (reader_->is_group(group)) named(group, layer, layer, 0);
    }
    if (reader_->has_attribute("/", "model_config")) read_epsilons();
    return std::move(file_);
  }

 private:
  void add(const std::string& array, const std::string& name) {
    file_.tensors.push_back(hdf5::source_tensor(reader_, array, name, path_));
  }

  // Legacy. Below a layer's group may lie more groups: its scope, or the layers of a model in a model.
  void named(const std::string& group, const std::string& layer, const std::string& scope,
             int depth) {
    const bool numbered = without_number(scope, '_') == layer;
    const std::string& owner = numbered ? layer : scope;
    for (const std::string& entry : reader_->names(group, kMostEntries)) {
      const std::string inner = fmt::format("{}/{}", group, entry);
      const bool is_group = reader_->is_group(inner);
      if (++visits_ == kMostVisits || (is_group && depth + 1 == kMostDepth))
        throw Error(2350, fmt::format("{}: {}", path_, inner),
                    "groups lie in each other too deep, or too many",
                    "check that this is a weight file of Keras");
      if (is_group) {
        named(inner, layer, entry, depth + 1);
      } else {
        add(inner, fmt::format("{}/{}", owner, role_of(entry).value_or(entry)));
      }
    }
  }

  // Current: layers/batch_normalization_3/vars/{0,1,2,3}.
  void numbered(const std::string& entry) {
    const std::string vars = fmt::format("/layers/{}/vars", entry);
    if (!reader_->has(vars)) return;
    const std::vector<std::string> arrays = reader_->names(vars, kMostEntries);
    if (arrays.empty()) return;
    // In older versions the number of the layer had to do.
    const std::string name = reader_->has_attribute(vars, "name")
                                 ? reader_->any_text_attribute(vars, "name", kMostName)
                                 : entry;
    const auto roles = roles_of(without_number(entry, '_'), arrays.size());
    for (size_t i = 0; i < arrays.size(); ++i) {
      const std::string number = std::to_string(i);
      const bool known = i < roles.size() && reader_->has(fmt::format("{}/{}", vars, number));
      const std::string& array = known ? number : arrays[i];
      add(fmt::format("{}/{}", vars, array), fmt::format("{}/{}", name, known ? roles[i] : array));
    }
  }

  void read_epsilons() {
    const std::string text = reader_->any_text_attribute("/", "model_config", kMostDescription);
    const nlohmann::json root = nlohmann::json::parse(text, nullptr, false);
    if (root.is_discarded()) throw Error(2380, path_, "its model_config is no JSON", kSaveWeights);
    const nlohmann::json::json_pointer list("/config/layers");
    if (!root.is_object() || !root.contains(list) || !root.at(list).is_array()) return;
    for (const nlohmann::json& layer : root.at(list)) {
      if (!layer.is_object() || !layer.contains("config")) continue;
      const nlohmann::json& config = layer.at("config");
      if (!config.is_object() || !config.contains("name") || !config.contains("epsilon")) continue;
      if (config.at("name").is_string() && config.at("epsilon").is_number())
        file_.epsilon[config.at("name").get<std::string>()] = config.at("epsilon").get<double>();
    }
  }

  std::shared_ptr<const hdf5::Reader> reader_;
  std::string path_;
  SourceFile file_;
  size_t visits_ = 0;
};

}  // namespace

SourceFile open_keras(std::span<const std::byte> bytes, const std::string& path) {
  return KerasFile(bytes, path).run();
}

}  // namespace ft
