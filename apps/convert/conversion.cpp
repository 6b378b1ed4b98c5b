// Which network a file holds, and its tensors in our order.
#include "apps/convert/conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/convert/candidate.h"
#include "apps/convert/own_export.h"
#include "layers/parameter_set.h"
#include "tensor/error.h"

namespace ft::convert {
namespace {

// What other programs put in front of all names: DataParallel, Lightning, a dictionary in a dictionary, torch.compile.
constexpr std::string_view kPrefixes[] = {"module.", "model.", "state_dict.", "_orig_mod."};
constexpr size_t kMostPrefixes = 3;

struct Choice {
  Candidate candidate;
  std::string known_by;
  const Published* published = nullptr;
};

// The prefix that every name begins with; "" if there is none.
std::string common_prefix(const std::vector<SourceTensor>& tensors) {
  std::string prefix;
  for (size_t i = 0; i < kMostPrefixes && !tensors.empty(); ++i) {
    const auto next = std::ranges::find_if(kPrefixes, [&](std::string_view p) {
      return std::ranges::all_of(tensors, [&](const SourceTensor& t) {
        return std::string_view(t.name).substr(prefix.size()).starts_with(p);
      });
    });
    if (next == std::end(kPrefixes)) break;
    prefix += *next;
  }
  return prefix;
}

SourceMap by_name(const SourceFile& source, const std::string& prefix, const std::string& path) {
  SourceMap map;
  for (const SourceTensor& t : source.tensors)
    if (!map.emplace(t.name.substr(prefix.size()), &t).second)
      throw Error(2356, path, fmt::format("two tensors are named {}", t.name),
                  "write the file again with its own tool");
  return map;
}

std::vector<Candidate> all_candidates(const SourceFile& source, const SourceMap& tensors,
                                      const std::string& path) {
  std::vector<Candidate> candidates;
  for (const ModelInfo& info : all_models())
    for (Naming naming : namings_of(source.format, info.name))
      candidates.push_back(make_candidate(info, naming, source, tensors, path));
  return candidates;
}

// The one that is nearest, for the lists of the message.
const Candidate& nearest(const std::vector<const Candidate*>& candidates) {
  return **std::ranges::max_element(candidates, {},
                                    [](const Candidate* c) { return c->report.loaded.size(); });
}

[[noreturn]] void contradicts(const Request& request, const std::string& held,
                              const std::string& known_by) {
  throw Error(2355, request.path,
              fmt::format("the file holds {}, known by {}, not {}", held, known_by, request.model),
              "leave --model out, or give the file that belongs to it");
}

// Ends with the error that says why nothing fits.
[[noreturn]] void refuse(const std::vector<Candidate>& all, const SourceFile& source,
                         const Request& request) {
  std::vector<const Candidate*> wanted;
  for (const Candidate& c : all)
    if (request.model.empty() || c.info->name == request.model) wanted.push_back(&c);
  if (wanted.empty())
    throw Error(2355, request.path, fmt::format("{} holds no {}", source.what, request.model),
                "leave --model out, or give a file of that network");
  const Candidate& c = nearest(wanted);
  if (!c.report.loaded.empty() || !request.model.empty()) c.require_fit();
  throw Error(2353, request.path,
              source.tensors.empty() ? std::string("the file holds no tensors")
                                     : fmt::format("no network of ftrun has tensors like \"{}\"",
                                                   source.tensors[0].name),
              "docs/convert.md lists the networks and the names that their tensors may have");
}

Choice choose(std::vector<Candidate> all, const SourceFile& source, const Request& request) {
  const Published* published = published_with(request.sha256);
  std::vector<Candidate*> fitting;
  for (Candidate& c : all)
    if (c.report.fits()) fitting.push_back(&c);
  if (fitting.empty()) refuse(all, source, request);
  const auto is = [](std::string_view name) {
    return [name](const Candidate* c) { return c->info->name == name; };
  };
  if (const auto known = published == nullptr ? fitting.end()
                                              : std::ranges::find_if(fitting, is(published->model));
      known != fitting.end()) {
    const std::string by = fmt::format("the hash of {} ({})", published->file, published->title);
    if (!request.model.empty() && request.model != published->model)
      contradicts(request, std::string(published->model), by);
    return {std::move(**known), by, published};
  }
  const bool sure = std::ranges::all_of(fitting, is(fitting[0]->info->name));
  if (const std::string own = own_model(source); !own.empty() && !sure) {
    const auto said = std::ranges::find_if(fitting, is(own));
    if (said == fitting.end()) refuse_own_model(source, request.path);
    if (!request.model.empty() && request.model != own) contradicts(request, own, kKnownByExport);
    return {std::move(**said), kKnownByExport, nullptr};
  }
  if (request.model.empty() && !sure) {
    std::string names;
    for (const Candidate* c : fitting) names += (names.empty() ? "" : " and ") + c->info->name;
    throw Error(2354, request.path,
                fmt::format("the file may hold {}: names and shapes are the same", names),
                "say which with --model; it is recorded that you said so");
  }
  const auto wanted =
      request.model.empty() ? fitting.begin() : std::ranges::find_if(fitting, is(request.model));
  if (wanted == fitting.end())
    contradicts(request, fitting[0]->info->name, describe(fitting[0]->naming));
  return {std::move(**wanted),
          sure ? describe((*wanted)->naming) : "the word of the user (--model)", nullptr};
}

InputRecipe recipe_of(const ModelInfo& info, const Published* published) {
  InputRecipe recipe = published_recipe(info, info.recipe.input_size, info.recipe.input_size);
  if (published != nullptr) recipe.short_side = published->short_side;
  return recipe;
}

// MATLAB's networks take R, G, B and subtract the mean of their own input layer.
void make_rgb(InputRecipe& recipe, const std::vector<double>& mean) {
  if (recipe.colour_order == ColourOrder::bgr) {
    std::ranges::reverse(recipe.mean);
    std::ranges::reverse(recipe.std);
  }
  recipe.colour_order = ColourOrder::rgb;
  if (mean.size() == recipe.mean.size()) std::ranges::copy(mean, recipe.mean.begin());
}

// Reads the tensors of a chosen candidate.
class Reader {
 public:
  Reader(const Candidate& candidate, const SourceMap& tensors, uint64_t seed)
      : candidate_(candidate), tensors_(tensors), seed_(seed) {}

  void run(Conversion& out) const {
    const auto& parameters = candidate_.model.graph.parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Parameter& p = parameters[i];
      const Origin& origin = candidate_.origins[i];
      Row row{p.name, origin.fresh ? "" : origin.source, Step::loaded};
      NamedTensor tensor{p.name, {p.shape.dims().begin(), p.shape.dims().end()}, {}};
      tensor.data = origin.fresh ? drawn(p, row) : values(origin, row);
      out.tensors.push_back(std::move(tensor));
      out.rows.push_back(std::move(row));
    }
  }

 private:
  std::vector<float> drawn(const Parameter& p, Row& row) const {
    row.step = Step::fresh;
    std::vector<float> values(static_cast<size_t>(p.shape.elements()));
    draw_initial(p, seed_, values);
    return values;
  }

  std::vector<float> values(const Origin& origin, Row& row) const {
    std::vector<float> values = tensors_.at(origin.source)->read();
    if (!origin.layout.order.empty()) {
      row.step = Step::reshaped;
      values = permute(std::move(values), origin.layout.view, origin.layout.order);
    }
    if (!origin.bias.empty()) {
      row.step = Step::folded;
      row.source += " - " + origin.bias;
      const std::vector<float> bias = tensors_.at(origin.bias)->read();
      for (size_t i = 0; i < values.size(); ++i)
        values[i] =
            static_cast<float>(static_cast<double>(values[i]) - static_cast<double>(bias[i]));
    }
    if (origin.epsilon != 0) {
      row.step = Step::folded;
      for (float& v : values) {
        const double moved = static_cast<double>(v) + origin.epsilon;
        // A channel of variance 0 and a smaller epsilon than ours: 0 is the nearest that there is.
        v = v >= 0 ? static_cast<float>(std::max(moved, 0.0)) : v;
      }
    }
    return values;
  }

  const Candidate& candidate_;
  const SourceMap& tensors_;
  uint64_t seed_;
};

std::string epsilon_note(const Candidate& c) {
  for (const Origin& origin : c.origins)
    if (origin.epsilon != 0)
      return fmt::format(
          "{:+.6g} was added to every running variance: the file's epsilon less that of {}",
          origin.epsilon, c.info->name);
  return {};
}

}  // namespace

Conversion convert(const SourceFile& source, const Request& request) {
  if (!request.model.empty()) find_model(request.model);
  Conversion out;
  const bool own_names =
      source.format == SourceFormat::torch || source.format == SourceFormat::safetensors;
  if (own_names) out.prefix = common_prefix(source.tensors);
  const SourceMap tensors = by_name(source, out.prefix, request.path);
  const Choice choice = choose(all_candidates(source, tensors, request.path), source, request);
  const Candidate& candidate = choice.candidate;
  out.model = candidate.info->name;
  out.known_by = choice.known_by;
  out.classes = candidate.model.classes;
  out.recipe = recipe_of(*candidate.info, choice.published);
  if (candidate.naming == Naming::matlab) make_rgb(out.recipe, source.input_mean);
  read_own_export(source, request.path, out);
  out.skipped = candidate.skipped;
  out.epsilon = epsilon_note(candidate);
  Reader(candidate, tensors, request.seed).run(out);
  return out;
}

}  // namespace ft::convert
