// Flags, header and exit status of the benchmark programs.
#include "bench/bench_main.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>

namespace ft::bench {
namespace {

int failures = 0;  // of benchmarks that ran; one thread

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      return line.substr(std::min(line.find(':') + 2, line.size()));
  return "unknown";
}

DType precision_of(const std::string& name) { return name == "bf16" ? DType::bf16 : DType::f32; }

}  // namespace

Flags parse_flags(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  Flags flags;
  std::vector<std::string> precisions;
  CLI::App app("Benchmarks of ftrun. Flags of Google Benchmark (--benchmark_...) work too.");
  app.add_option("--ft_backend", flags.backend, "ref, cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--ft_threads", flags.threads, "host threads; 0: all cores")
      ->check(CLI::Range(0, 4096));
  app.add_option("--ft_precision", precisions,
                 "f32, bf16 or f32,bf16; default: what the backend has")
      ->delimiter(',')
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--ft_cases", flags.cases, "networks, small (the odd ones of the tests) or all")
      ->check(CLI::IsMember({"networks", "small", "all"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    std::exit(app.exit(help));
  } catch (const CLI::ParseError& e) {
    throw Error(2003, "command line", e.what(), "--help lists the flags");
  }
  for (const std::string& p : precisions) flags.precisions.push_back(precision_of(p));
  return flags;
}

void describe_machine(const std::vector<std::pair<std::string, std::string>>& what) {
  benchmark::AddCustomContext("ftrun", FT_VERSION);
  benchmark::AddCustomContext("build", FT_BUILD_TYPE);
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
  benchmark::AddCustomContext("google_benchmark", FT_BENCHMARK_VERSION);
  benchmark::AddCustomContext("processor", processor());
  for (const auto& [name, value] : what) benchmark::AddCustomContext(name, value);
}

Machine open_machine(const Flags& flags) {
  Machine m;
  m.backend = make_backend(parse_device(flags.backend), {flags.threads});
  m.stream = m.backend->make_stream();
  describe_machine({{"backend", m.backend->describe()}});
  return m;
}

std::vector<DType> precisions_of(const Flags& flags, const Backend& backend) {
  if (flags.precisions.empty()) {
    std::vector<DType> all{DType::f32};
    if (backend.supports(DType::bf16)) all.push_back(DType::bf16);
    return all;
  }
  for (DType p : flags.precisions)
    if (!backend.supports(p))
      throw Error(3021, "--ft_precision",
                  fmt::format("{} does not compute in {}", backend.describe(), name_of(p)),
                  "use --ft_precision=f32");
  return flags.precisions;
}

void add(const std::string& name, std::function<void(benchmark::State&)> body) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [body = std::move(body)](benchmark::State& state) {
                                 try {
                                   body(state);
                                 } catch (const Error& e) {
                                   ++failures;
                                   state.SkipWithError(e.line().c_str());
                                 }
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

int run() {
  if (benchmark::RunSpecifiedBenchmarks() == 0) return 1;
  benchmark::Shutdown();
  return failures == 0 ? 0 : 1;
}

int guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const Error& e) {
    fmt::print(stderr, "{}\n", e.line());
    return static_cast<int>(e.status());
  }
}

}  // namespace ft::bench
