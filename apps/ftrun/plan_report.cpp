// The tables of a plan, and its JSON.
#include "apps/ftrun/plan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/ftrun/progress.h"

namespace ft::app {
namespace {

struct Sum {
  std::string name;
  double flops = 0, bytes = 0, seconds = 0;
  void add(const PlanRow& row) {
    flops += row.work.flops;
    bytes += row.work.bytes;
    seconds += row.seconds;
  }
};

Sum total_of(const PlanReport& r) {
  Sum sum{"step"};
  for (const PlanRow& row : r.plan.rows) sum.add(row);
  return sum;
}

// By kind of layer and pass, largest first.
std::vector<Sum> by_kind(const PlanReport& r) {
  std::vector<Sum> sums;
  for (const PlanRow& row : r.plan.rows) {
    const std::string name = row.work.kind + (row.work.pass.empty() ? "" : " " + row.work.pass);
    auto at = std::ranges::find(sums, name, &Sum::name);
    if (at == sums.end()) at = sums.insert(at, Sum{name});
    at->add(row);
  }
  std::ranges::stable_sort(sums, std::greater{}, &Sum::seconds);
  return sums;
}

double images_per_second(const PlanReport& r) {
  return static_cast<double>(r.step.batch) / total_of(r).seconds;
}

std::string bytes_cell(size_t bytes) {
  return bytes == 0 ? "" : bytes_text(static_cast<double>(bytes));
}

std::string flops_cell(double flops) { return flops > 0 ? fmt::format("{:.3f}", flops / 1e9) : ""; }

std::string header_text(const PlanReport& r) {
  const StepOptions& s = r.step;
  const std::string frozen = frozen_text(s);
  std::string text = fmt::format(
      "{} {}, batch {}, {}x{}, {}{}, planned for {} (sm_{}, {})\n", s.model, s.mode, s.batch,
      r.plan.height, r.plan.width, s.common.precision, frozen.empty() ? "" : ", " + frozen,
      r.gpu.name, r.gpu.architecture, bytes_text(static_cast<double>(r.gpu.memory_bytes)));
  text += fmt::format("peaks    {:.1f} TFLOP/s in {}, {:.0f} GB/s ({})\n",
                      r.peaks.flops(s.common.precision == "bf16" ? DType::bf16 : DType::f32) / 1e12,
                      s.common.precision, r.peaks.memory / 1e9, r.peaks_source);
  if (r.library.empty())
    return text + fmt::format(
                      "engines  unknown: {}; a convolution is taken to use {} of workspace, "
                      "the most that it may\n\n",
                      r.why_unknown,
                      bytes_text(static_cast<double>(plan::convolution_workspace_limit())));
  return text +
         fmt::format("engines  those that {} names for a GPU of this description\n\n", r.library);
}

std::string row_table(const PlanReport& r) {
  size_t width = 12;
  for (const PlanRow& row : r.plan.rows) width = std::max(width, row.work.layer.size());
  std::string text =
      fmt::format("{:<{}} {:<16} {:>9} {:>9} {:>11}  {:<7} {:>10}  {}\n", "layer", width, "pass",
                  "GFLOP", "MB", "roofline us", "bound by", "workspace", "algorithm");
  for (const PlanRow& row : r.plan.rows)
    text += fmt::format("{:<{}} {:<16} {:>9} {:>9.2f} {:>11.2f}  {:<8} {:>10}  {}\n",
                        row.work.layer, width, row.work.what(), flops_cell(row.work.flops),
                        row.work.bytes / 1e6, 1e6 * row.seconds, row.for_memory ? "memory" : "FLOP",
                        bytes_cell(row.work.workspace), row.work.algorithm);
  return text;
}

std::string kind_table(const PlanReport& r) {
  const Sum step = total_of(r);
  std::string text = fmt::format("\n{:<38} {:>9} {:>9} {:>11}  {:>7}\n", "by kind", "GFLOP", "GB",
                                 "roofline ms", "share");
  std::vector<Sum> sums = by_kind(r);
  sums.push_back(step);
  for (const Sum& sum : sums)
    text += fmt::format("{:<38} {:>9} {:>9.3f} {:>11.3f}  {:>5.1f} %\n", sum.name,
                        flops_cell(sum.flops), sum.bytes / 1e9, 1e3 * sum.seconds,
                        100 * sum.seconds / step.seconds);
  return text + fmt::format("at the roofline {} images/s\n", rate_text(images_per_second(r)));
}

std::string batch_text(const PlanReport& r) {
  if (r.largest_batch == 0)
    return r.plan.refusals.empty() ? "none: not even one image fits" : "none";
  return fmt::format("{}{}, with {}{}", r.library.empty() ? "at least " : "", r.largest_batch,
                     bytes_text(static_cast<double>(r.largest.total())),
                     r.largest_batch == kMostImages ? "; ftrun takes no larger one" : "");
}

std::string memory_text(const PlanReport& r) {
  const MemoryPlan& m = r.plan.memory;
  std::string text = "\nmemory\n";
  const auto line = [&](const char* name, size_t bytes, const std::string& note = {}) {
    text += fmt::format("  {:<22} {:>10}{}{}\n", name, bytes_text(static_cast<double>(bytes)),
                        note.empty() ? "" : "  ", note);
  };
  line("parameters", m.parameters, "f32");
  if (r.step.mode == "train") {
    line("gradients", m.gradients, "f32");
    line("optimizer", m.velocity, "velocity, f32");
  }
  line("copies of weights", m.copies, "in the type and layout of kernels; folded batch-norms");
  line("arena", m.arena,
       fmt::format("activations, their gradients, workspace (largest {}); unshared {}",
                   bytes_text(static_cast<double>(m.largest_workspace)),
                   bytes_text(static_cast<double>(m.unshared))));
  line("pixels", m.pixels, "one batch of bytes");
  const double share = static_cast<double>(m.total()) / static_cast<double>(r.gpu.memory_bytes);
  line("together", m.total(),
       fmt::format("{}: {:.1f} % of the GPU's {}", r.fits() ? "fits" : "does NOT fit", 100 * share,
                   bytes_text(static_cast<double>(r.gpu.memory_bytes))));
  return text + fmt::format("  {:<22} {}\n", "largest batch", batch_text(r)) +
         "  What the driver, CUDA and its libraries take for themselves is not counted.\n";
}

std::string refusals_text(const PlanReport& r) {
  std::string text;
  for (const std::string& refusal : r.plan.refusals) text += "  " + refusal + "\n";
  return text.empty()
             ? ""
             : "\nThis step cannot run on this GPU (E3020): no engine within the rules\n" + text;
}

using Json = nlohmann::ordered_json;

Json row_json(const PlanRow& row) {
  return {{"layer", row.work.layer},
          {"kind", row.work.kind},
          {"pass", row.work.pass},
          {"phase", row.work.phase},
          {"shape", row.work.shape},
          {"dtype", name_of(row.work.dtype)},
          {"gflop", 1e-9 * row.work.flops},
          {"gbyte", 1e-9 * row.work.bytes},
          {"roofline_us", 1e6 * row.seconds},
          {"bound_by", row.for_memory ? "memory" : "flop"},
          {"workspace_bytes", row.work.workspace},
          {"algorithm", row.work.algorithm}};
}

Json sum_json(const Sum& sum) {
  return {{"name", sum.name},
          {"gflop", 1e-9 * sum.flops},
          {"gbyte", 1e-9 * sum.bytes},
          {"roofline_ms", 1e3 * sum.seconds}};
}

Json memory_json(const MemoryPlan& m) {
  return {{"parameters", m.parameters},
          {"gradients", m.gradients},
          {"optimizer", m.velocity},
          {"copies_of_weights", m.copies},
          {"arena", m.arena},
          {"largest_workspace", m.largest_workspace},
          {"arena_unshared", m.unshared},
          {"pixels", m.pixels},
          {"total", m.total()}};
}

}  // namespace

std::string plan_text(const PlanReport& r) {
  return header_text(r) + row_table(r) + kind_table(r) + memory_text(r) + refusals_text(r);
}

std::string plan_json(const PlanReport& r) {
  const StepOptions& s = r.step;
  Json json = {{"program", "ftrun " FT_VERSION},
               {"model", s.model},
               {"mode", s.mode},
               {"batch", s.batch},
               {"height", r.plan.height},
               {"width", r.plan.width},
               {"precision", s.common.precision},
               {"freeze", frozen_text(s)}};
  json["gpu"] = {{"name", r.gpu.name},
                 {"architecture", r.gpu.architecture},
                 {"memory_bytes", r.gpu.memory_bytes}};
  json["peaks"] = {{"f32_gflop_per_s", 1e-9 * r.peaks.f32},
                   {"bf16_gflop_per_s", 1e-9 * r.peaks.bf16},
                   {"gb_per_s", 1e-9 * r.peaks.memory},
                   {"source", r.peaks_source}};
  json["engines"] = {{"known", !r.library.empty()}};
  json["engines"][r.library.empty() ? "reason" : "library"] =
      r.library.empty() ? r.why_unknown : r.library;
  json["roofline_ms"] = 1e3 * total_of(r).seconds;
  json["images_per_s"] = images_per_second(r);
  json["memory_bytes"] = memory_json(r.plan.memory);
  json["fits"] = r.fits();
  json["largest_batch"] = r.largest_batch;
  json["largest_batch_is_exact"] = !r.library.empty();
  json["largest_batch_bytes"] = r.largest.total();
  json["refusals"] = r.plan.refusals;
  json["rows"] = Json::array();
  for (const PlanRow& row : r.plan.rows) json["rows"].push_back(row_json(row));
  json["by_kind"] = Json::array();
  for (const Sum& sum : by_kind(r)) json["by_kind"].push_back(sum_json(sum));
  return json.dump(1) + "\n";
}

}  // namespace ft::app
