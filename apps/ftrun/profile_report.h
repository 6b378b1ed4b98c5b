// What a profile says: a table of rows that add up to the measured step, each beside what the machine's peaks allow,
// as text, CSV, JSON and Chrome trace. All four are made from the same records. No state, no I/O.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/ftrun/machine_peaks.h"
#include "apps/ftrun/profiler.h"

namespace ft::app {

// What was profiled.
struct ProfileSubject {
  std::string model, mode, precision, device, freeze;
  int64_t batch = 0, height = 0, width = 0;
  double load = 0;  // of the machine, before
};

struct ProfileRow {
  WorkRow work;
  double seconds = 0;  // of one step, without `copies`
  double copies =
      0;  // seconds of its pass that went into copies of weights; they have a row of their own
  double flops = 0, bytes = 0;
  double predicted = 0;                        // seconds at the roofline; 0: nothing is counted
  std::vector<tools::KernelRun> kernels = {};  // of one step, where they are known
  // Share of the roofline: predicted / measured.
  double roofline() const { return seconds > 0 ? predicted / seconds : 0; }
};

// A group of rows added up.
struct ProfileSum {
  std::string name;
  double seconds = 0, flops = 0, bytes = 0, predicted = 0;
  double roofline() const { return seconds > 0 ? predicted / seconds : 0; }
};

struct ProfileReport {
  ProfileSubject subject;
  Peaks peaks;
  std::vector<StepRecord> records;  // every observed step
  std::vector<bool> used;           // the faster half of them, which all figures are means of
  std::vector<double> plain;        // seconds of the steps without observers that ran in between
  std::vector<ProfileRow> rows;     // in the order of the step
  double step = 0;                  // seconds of an observed step
  double plain_step = 0;            // of one without observers, mean of the faster half
  std::string kernels = {};         // where the rows have theirs from, or why not; empty: no GPU
  // step - sum of the rows: between the pieces of work, and the observer itself.
  double unattributed() const;
  double overhead() const { return step / plain_step - 1; }
  ProfileSum total() const;
  std::vector<ProfileSum> by_kind() const;  // by kind of layer and pass, largest first
};

// records and plain are not empty.
ProfileReport make_report(const ProfileSubject& subject, const Peaks& peaks,
                          const std::vector<WorkRow>& rows, std::vector<StepRecord> records,
                          std::vector<double> plain);

// Gives the kernels of one step to the rows whose number + 1 is their tag.
void add_kernels(ProfileReport& report, const std::vector<tools::KernelRun>& kernels);

std::string profile_text(const ProfileReport& report);
std::string profile_csv(const ProfileReport& report);
std::string profile_json(const ProfileReport& report);
// JSON trace events (Chrome's format, which Perfetto reads): every observed step, its phases, its pieces of work.
std::string profile_trace(const ProfileReport& report);

}  // namespace ft::app
