// From records of steps to rows that add up, and the tables of them.
#include "apps/ftrun/profile_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "apps/ftrun/progress.h"
#include "io/csv.h"

namespace ft::app {
namespace {

// The faster half of some times, at least one: a neighbour on the machine only ever slows a step down.
std::vector<bool> faster_half(const std::vector<double>& seconds) {
  std::vector<size_t> order(seconds.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return seconds[i]; });
  std::vector<bool> used(seconds.size(), false);
  for (size_t i = 0; i < (order.size() + 1) / 2; ++i) used[order[i]] = true;
  return used;
}

double mean_of(const std::vector<double>& values, const std::vector<bool>& used) {
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += used[i] ? values[i] : 0;
  return sum / static_cast<double>(std::ranges::count(used, true));
}

void add_to(ProfileSum& sum, const ProfileRow& row) {
  sum.seconds += row.seconds;
  sum.flops += row.flops;
  sum.bytes += row.bytes;
  sum.predicted += row.predicted;
}

// "conv2d backward data", "update".
std::string kind_of(const WorkRow& work) {
  return work.kind + (work.pass.empty() ? "" : " " + work.pass);
}

// Times and rates as a table shows them; nothing where nothing is counted.
std::string rate(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds / 1e9) : "";
}
std::string giga(double amount) { return amount > 0 ? fmt::format("{:.3f}", amount / 1e9) : ""; }
std::string milliseconds(double seconds) { return fmt::format("{:.3f}", 1e3 * seconds); }

// "a; b"
std::string names_of(const std::vector<tools::KernelRun>& kernels) {
  std::string text;
  for (const tools::KernelRun& k : kernels) text += (text.empty() ? "" : "; ") + k.name;
  return text;
}

// "  12.345   3.1 %    1.234   200.1    20.1     11.111   90 %"
template <class Row>
std::string figures(const Row& row, double step) {
  return fmt::format("{:>10} {:>6.2f} % {:>9} {:>8} {:>7} {:>10} {:>6}", milliseconds(row.seconds),
                     100 * row.seconds / step, giga(row.flops), rate(row.flops, row.seconds),
                     rate(row.bytes, row.seconds),
                     row.predicted > 0 ? milliseconds(row.predicted) : "",
                     row.predicted > 0 ? fmt::format("{:.0f} %", 100 * row.roofline()) : "");
}

constexpr const char* kFigures = "        ms    share     GFLOP  GFLOP/s    GB/s  predicted  ratio";

std::string header_text(const ProfileReport& r) {
  const ProfileSubject& s = r.subject;
  std::string text =
      fmt::format("{} {}, batch {}, {}x{}, {}{}, on {}\n", s.model, s.mode, s.batch, s.height,
                  s.width, s.precision, s.freeze.empty() ? "" : ", " + s.freeze, s.device);
  text += fmt::format("peaks         {:.1f} GFLOP/s in f32, ", r.peaks.f32 / 1e9);
  if (r.peaks.bf16 > 0) text += fmt::format("{:.1f} in bf16, ", r.peaks.bf16 / 1e9);
  text += fmt::format("{:.1f} GB/s ({})\n", r.peaks.memory / 1e9, peaks_source(r.peaks));
  text += fmt::format("machine load  {:.2f} before; figures are worth most where it is near 0\n",
                      s.load);
  if (!r.kernels.empty()) text += fmt::format("kernels       {}\n", r.kernels);
  text += fmt::format("step          {:.3f} ms, mean of the {} faster of {} observed steps\n",
                      1e3 * r.step, std::ranges::count(r.used, true), r.records.size());
  return text + fmt::format(
                    "unobserved    {:.3f} ms in the same way, run in between: observing costs "
                    "{:.2f} %\n\n",
                    1e3 * r.plain_step, 100 * r.overhead());
}

std::string row_table(const ProfileReport& r) {
  size_t width = 12;
  for (const ProfileRow& row : r.rows) width = std::max(width, row.work.layer.size());
  std::string text = fmt::format("{:<{}} {:<16} {} {:>10}  algorithm\n", "layer", width, "pass",
                                 kFigures, "workspace");
  for (const ProfileRow& row : r.rows)
    text += fmt::format(
        "{:<{}} {:<16} {} {:>10}  {}\n", row.work.layer, width, row.work.what(),
        figures(row, r.step),
        row.work.workspace > 0 ? bytes_text(static_cast<double>(row.work.workspace)) : "",
        row.work.algorithm);
  ProfileRow rest;
  rest.seconds = r.unattributed();
  text += fmt::format("{:<{}} {:<16} {}\n", "unattributed", width, "", figures(rest, r.step));
  ProfileSum total = r.total();
  total.seconds = r.step;
  return text + fmt::format("{:<{}} {:<16} {}\n", "step", width, "", figures(total, r.step));
}

std::string kind_table(const ProfileReport& r) {
  std::string text = fmt::format("\n{:<38} {}\n", "by kind", kFigures);
  for (const ProfileSum& sum : r.by_kind())
    text += fmt::format("{:<38} {}\n", sum.name, figures(sum, r.step));
  return text;
}

// Where a better kernel would gain most.
std::string losses_table(const ProfileReport& r) {
  std::vector<const ProfileRow*> order;
  for (const ProfileRow& row : r.rows)
    if (row.predicted > 0 && row.seconds > row.predicted) order.push_back(&row);
  std::ranges::stable_sort(order, std::greater{},
                           [](const ProfileRow* row) { return row->seconds - row->predicted; });
  if (order.size() > 10) order.resize(10);
  if (order.empty()) return "";
  std::string text =
      "\nfurthest above the prediction            ms above     ms  predicted  ratio  output\n";
  for (const ProfileRow* row : order)
    text += fmt::format("{:<38} {:>10} {:>6} {:>10} {:>4.0f} %  {}\n", row->work.title(),
                        milliseconds(row->seconds - row->predicted), milliseconds(row->seconds),
                        milliseconds(row->predicted), 100 * row->roofline(), row->work.shape);
  return text;
}

// Which kernels ran for a layer in a pass.
std::string kernel_table(const ProfileReport& r) {
  std::string text;
  for (const ProfileRow& row : r.rows)
    for (const tools::KernelRun& k : row.kernels)
      text += fmt::format("{:<48} {:>9.2f}  {}\n", row.work.title(), 1e6 * k.seconds, k.name);
  return text.empty() ? "" : fmt::format("\n{:<48} {:>9}  name\n", "kernels", "us") + text;
}

}  // namespace

double ProfileReport::unattributed() const { return step - total().seconds; }

ProfileSum ProfileReport::total() const {
  ProfileSum sum{"all rows"};
  for (const ProfileRow& row : rows) add_to(sum, row);
  return sum;
}

std::vector<ProfileSum> ProfileReport::by_kind() const {
  std::map<std::string, ProfileSum> kinds;
  for (const ProfileRow& row : rows) {
    const std::string name = kind_of(row.work);
    add_to(kinds.try_emplace(name, ProfileSum{name}).first->second, row);
  }
  std::vector<ProfileSum> sums;
  for (auto& [name, sum] : kinds) sums.push_back(std::move(sum));
  std::ranges::stable_sort(sums, std::greater{}, &ProfileSum::seconds);
  return sums;
}

ProfileReport make_report(const ProfileSubject& subject, const Peaks& peaks,
                          const std::vector<WorkRow>& rows, std::vector<StepRecord> records,
                          std::vector<double> plain) {
  ProfileReport r{subject, peaks, std::move(records), {}, std::move(plain), {}};
  std::vector<double> seconds;
  for (const StepRecord& record : r.records)
    seconds.push_back(1e-9 * static_cast<double>(record.end - record.begin));
  r.used = faster_half(seconds);
  r.step = mean_of(seconds, r.used);
  r.plain_step = mean_of(r.plain, faster_half(r.plain));

  for (const WorkRow& work : rows) r.rows.push_back({work});
  ProfileRow copies{{"parameters", "copies of weights", "", "forward", "", "", DType::f32, 0, 0}};
  const double share = 1 / static_cast<double>(std::ranges::count(r.used, true));
  for (size_t i = 0; i < r.records.size(); ++i) {
    if (!r.used[i]) continue;
    for (const Span& span : r.records[i].spans) {
      ProfileRow& row = r.rows[static_cast<size_t>(span.row)];
      row.seconds += share * (1e-9 * static_cast<double>(span.end - span.begin) - span.copies);
      row.copies += share * span.copies;
      row.flops += share * row.work.flops;
      row.bytes += share * row.work.bytes;
      copies.seconds += share * span.copies;
    }
    copies.bytes += share * r.records[i].copy_bytes;
  }
  if (copies.seconds > 0) r.rows.push_back(copies);
  for (ProfileRow& row : r.rows)
    if (row.bytes > 0) row.predicted = peaks.roofline(row.work.dtype, row.flops, row.bytes);
  return r;
}

void add_kernels(ProfileReport& report, const std::vector<tools::KernelRun>& kernels) {
  for (const tools::KernelRun& kernel : kernels)
    if (kernel.tag > 0 && kernel.tag <= report.rows.size())
      report.rows[kernel.tag - 1].kernels.push_back(kernel);
}

std::string profile_text(const ProfileReport& r) {
  const ProfileSum total = r.total();
  return header_text(r) + row_table(r) + kind_table(r) + losses_table(r) + kernel_table(r) +
         fmt::format(
             "\npredicted {:.3f} ms / measured {:.3f} ms = {:.2f}; unattributed {:.2f} % of the "
             "step\n",
             1e3 * total.predicted, 1e3 * r.step, total.predicted / r.step,
             100 * r.unattributed() / r.step);
}

std::string profile_csv(const ProfileReport& r) {
  static constexpr std::string_view kColumns[] = {
      "layer",       "kind",     "pass",         "phase", "shape",
      "algorithm",   "dtype",    "ms",           "gflop", "gbyte",
      "gflop_per_s", "gb_per_s", "predicted_ms", "ratio", "workspace_bytes",
      "kernels"};
  CsvWriter csv(kColumns);
  const auto write = [&](const ProfileRow& row) {
    const auto known = [&](double v) { return v > 0 ? std::optional(v) : std::nullopt; };
    const double per_second = row.seconds > 0 ? 1e-9 / row.seconds : 0;
    csv.cell(row.work.layer)
        .cell(row.work.kind)
        .cell(row.work.pass)
        .cell(row.work.phase)
        .cell(row.work.shape);
    csv.cell(row.work.algorithm)
        .cell(row.work.kind.empty() ? "" : name_of(row.work.dtype))
        .cell(1e3 * row.seconds);
    csv.cell(known(1e-9 * row.flops)).cell(known(1e-9 * row.bytes));
    csv.cell(known(per_second * row.flops)).cell(known(per_second * row.bytes));
    csv.cell(known(1e3 * row.predicted)).cell(known(row.roofline()));
    csv.cell(known(static_cast<double>(row.work.workspace))).cell(names_of(row.kernels));
    csv.end_row();
  };
  for (const ProfileRow& row : r.rows) write(row);
  ProfileRow rest, step;
  rest.work.layer = "unattributed";
  rest.seconds = r.unattributed();
  write(rest);
  const ProfileSum total = r.total();
  step.work.layer = "step";
  step.seconds = r.step;
  step.flops = total.flops;
  step.bytes = total.bytes;
  step.predicted = total.predicted;
  write(step);
  return csv.text();
}

}  // namespace ft::app
