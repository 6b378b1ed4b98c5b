// Reading golden files.
#include "tests/parity/golden.h"

#include <fstream>

#include <nlohmann/json.hpp>

namespace ft::parity {
namespace {

using Json = nlohmann::json;

Images images_of(const Json& j) {
  const Json& size = j.at("size");
  return {size.at(0), size.at(1), size.at(2), j.at("image_seed")};
}

std::map<std::string, Digest> digests_of(const Json& j) {
  std::map<std::string, Digest> all;
  for (const auto& [name, entry] : j.items())
    all[name] = {entry.at("count"), entry.at("norm"), entry.at("projections"), entry.at("samples")};
  return all;
}

RunCase run_of(const Json& j) {
  RunCase run;
  run.name = j.at("name");
  run.images = images_of(j);
  run.rate = j.at("rate");
  run.momentum = j.at("momentum");
  run.l2 = j.at("l2");
  run.rate_factors = j.at("rate_factors").get<std::vector<double>>();
  run.unfreeze = j.at("unfreeze");
  run.head_factor = j.at("head_factor");
  run.dropout_seed = j.at("dropout_seed");
  run.losses = j.at("losses").get<std::vector<double>>();
  return run;
}

}  // namespace

Golden read_golden(const std::filesystem::path& file) {
  std::ifstream in(file);
  const Json j = Json::parse(in);
  Golden g;
  g.network = j.at("network");
  g.classes = j.at("classes");
  g.image_scale = j.at("image_scale");
  g.gain = j.at("gain");
  g.head_gain = j.at("head_gain");
  for (const Json& c : j.at("logits"))
    g.logits.push_back({images_of(c), c.at("values").get<std::vector<double>>()});
  for (const Json& c : j.at("steps"))
    g.steps.push_back({images_of(c), c.at("loss"), digests_of(c.at("gradients")),
                       digests_of(c.at("statistics"))});
  for (const Json& c : j.at("runs")) g.runs.push_back(run_of(c));
  return g;
}

}  // namespace ft::parity
