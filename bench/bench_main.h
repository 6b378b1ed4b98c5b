// What the benchmark programs share: their flags, what they write down about the machine, and an exit
// status that shows a failure (Google Benchmark's own main gives 0 whatever happened). Flags of Google
// Benchmark work as always: --benchmark_filter=REGEX, --benchmark_out=FILE.json, ...
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor/backend.h"

namespace ft::bench {

struct Flags {
  std::string backend = "cpu";     // --ft_backend: ref, cpu, cuda, cuda:N
  int threads = 0;                 // --ft_threads; 0: all cores that the process may use
  std::vector<DType> precisions;   // --ft_precision: f32, bf16 or both; empty: what the backend has
  std::string cases = "networks";  // --ft_cases: networks, small, all
};

// Takes the flags of Google Benchmark and ours out of the command line. Exits after --help; throws
// Error 2003 for a flag or value that nobody knows.
Flags parse_flags(int argc, char** argv);

// Writes the program's version, compiler and build type, the processor, and `what` (name, value) into the
// header of the results.
void describe_machine(const std::vector<std::pair<std::string, std::string>>& what);

// A backend and its stream, opened as the flags say; written into the header of the results.
struct Machine {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Stream> stream;
};
Machine open_machine(const Flags& flags);
// The precisions to measure on it.
std::vector<DType> precisions_of(const Flags& flags, const Backend& backend);

// Registers a benchmark timed by the wall clock. An Error that it throws is shown and fails the program.
void add(const std::string& name, std::function<void(benchmark::State&)> body);

// Runs what the filter left. 0, or 1 where a benchmark failed or none was left.
int run();

// `body` of main(): parses nothing, turns an Error into its line and status.
int guarded(const std::function<int()>& body);

}  // namespace ft::bench
