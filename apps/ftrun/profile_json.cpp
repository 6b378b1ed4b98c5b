// A profile for programs: one JSON object, and a trace of every observed step.
#include <nlohmann/json.hpp>

#include "apps/ftrun/profile_report.h"

namespace ft::app {
namespace {

using Json = nlohmann::ordered_json;

Json kernels_json(const std::vector<tools::KernelRun>& kernels) {
  Json json = Json::array();
  for (const tools::KernelRun& k : kernels)
    json.push_back({{"name", k.name}, {"us", 1e6 * k.seconds}});
  return json;
}

Json row_json(const ProfileRow& row) {
  Json json = {{"layer", row.work.layer},
               {"kind", row.work.kind},
               {"pass", row.work.pass},
               {"phase", row.work.phase},
               {"shape", row.work.shape},
               {"algorithm", row.work.algorithm},
               {"dtype", name_of(row.work.dtype)},
               {"ms", 1e3 * row.seconds},
               {"copies_ms", 1e3 * row.copies},
               {"gflop", 1e-9 * row.flops},
               {"gbyte", 1e-9 * row.bytes},
               {"workspace_bytes", row.work.workspace}};
  if (!row.kernels.empty()) json["kernels"] = kernels_json(row.kernels);
  if (row.seconds > 0) {
    json["gflop_per_s"] = 1e-9 * row.flops / row.seconds;
    json["gb_per_s"] = 1e-9 * row.bytes / row.seconds;
  }
  if (row.predicted > 0) {
    json["predicted_ms"] = 1e3 * row.predicted;
    json["ratio"] = row.roofline();
  }
  return json;
}

Json sum_json(const ProfileSum& sum) {
  return {{"name", sum.name},
          {"ms", 1e3 * sum.seconds},
          {"gflop", 1e-9 * sum.flops},
          {"gbyte", 1e-9 * sum.bytes},
          {"predicted_ms", 1e3 * sum.predicted},
          {"ratio", sum.roofline()}};
}

// A complete event. Times are nanoseconds here and microseconds in the file.
Json event(const std::string& name, const std::string& category, int64_t begin, int64_t end) {
  return {{"name", name},
          {"cat", category},
          {"ph", "X"},
          {"pid", 1},
          {"tid", 1},
          {"ts", static_cast<double>(begin) / 1e3},
          {"dur", static_cast<double>(end - begin) / 1e3}};
}

Json name_event(const char* what, const std::string& name) {
  return {{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", name}}}};
}

Json span_event(const ProfileReport& r, const Span& span) {
  const ProfileRow& row = r.rows[static_cast<size_t>(span.row)];
  const WorkRow& work = row.work;
  Json json = event(work.title(), work.kind, span.begin, span.end);
  json["args"] = {{"layer", work.layer},
                  {"pass", work.pass},
                  {"shape", work.shape},
                  {"algorithm", work.algorithm},
                  {"flops", work.flops},
                  {"bytes", work.bytes},
                  {"copies_us", 1e6 * span.copies},
                  {"workspace", work.workspace}};
  if (!row.kernels.empty()) json["args"]["kernels"] = kernels_json(row.kernels);
  if (work.bytes > 0)
    json["args"]["predicted_us"] = 1e6 * r.peaks.roofline(work.dtype, work.flops, work.bytes);
  return json;
}

// One step: itself, its phases from the first to the last piece of work in each, and these.
void add_step(Json& events, const ProfileReport& r, size_t index) {
  const StepRecord& record = r.records[index];
  Json step = event("step " + std::to_string(index + 1), "step", record.begin, record.end);
  step["args"] = {{"used", static_cast<bool>(r.used[index])}};
  events.push_back(step);
  for (size_t i = 0; i < record.spans.size();) {
    const std::string& phase = r.rows[static_cast<size_t>(record.spans[i].row)].work.phase;
    size_t last = i;
    while (last + 1 < record.spans.size() &&
           r.rows[static_cast<size_t>(record.spans[last + 1].row)].work.phase == phase)
      ++last;
    events.push_back(event(phase, "phase", record.spans[i].begin, record.spans[last].end));
    for (; i <= last; ++i) events.push_back(span_event(r, record.spans[i]));
  }
}

}  // namespace

std::string profile_json(const ProfileReport& r) {
  const ProfileSubject& s = r.subject;
  Json json = {{"program", "ftrun " FT_VERSION},
               {"model", s.model},
               {"mode", s.mode},
               {"batch", s.batch},
               {"height", s.height},
               {"width", s.width},
               {"precision", s.precision},
               {"freeze", s.freeze},
               {"device", s.device},
               {"machine_load", s.load}};
  if (!r.kernels.empty()) json["kernels"] = r.kernels;
  json["peaks"] = {{"f32_gflop_per_s", 1e-9 * r.peaks.f32},
                   {"bf16_gflop_per_s", 1e-9 * r.peaks.bf16},
                   {"gb_per_s", 1e-9 * r.peaks.memory},
                   {"measured", r.peaks.seconds > 0},
                   {"seconds", r.peaks.seconds},
                   {"apart", r.peaks.apart}};
  json["step_ms"] = 1e3 * r.step;
  json["unobserved_step_ms"] = 1e3 * r.plain_step;
  json["observing_costs"] = r.overhead();
  json["unattributed_ms"] = 1e3 * r.unattributed();
  json["predicted_ms"] = 1e3 * r.total().predicted;
  json["ratio"] = r.total().predicted / r.step;
  for (size_t i = 0; i < r.records.size(); ++i)
    json["observed_steps"].push_back(
        {{"ms", 1e-6 * static_cast<double>(r.records[i].end - r.records[i].begin)},
         {"used", static_cast<bool>(r.used[i])}});
  for (double seconds : r.plain) json["unobserved_steps_ms"].push_back(1e3 * seconds);
  for (const ProfileRow& row : r.rows) json["rows"].push_back(row_json(row));
  for (const ProfileSum& sum : r.by_kind()) json["by_kind"].push_back(sum_json(sum));
  return json.dump(1) + "\n";
}

std::string profile_trace(const ProfileReport& r) {
  const ProfileSubject& s = r.subject;
  Json events = Json::array();
  events.push_back(name_event("process_name", "ftrun profile " + s.model + " " + s.mode +
                                                  ", batch " + std::to_string(s.batch)));
  events.push_back(name_event("thread_name", s.device));
  for (size_t i = 0; i < r.records.size(); ++i) add_step(events, r, i);
  return Json{{"displayTimeUnit", "ms"}, {"traceEvents", events}}.dump() + "\n";
}

}  // namespace ft::app
