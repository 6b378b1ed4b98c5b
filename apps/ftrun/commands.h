// One function a command. Each returns the exit status 0 or throws ft::Error.
#pragma once

#include "apps/ftrun/options.h"
#include "tensor/error.h"

namespace ft::app {

int run_finetune(const FinetuneOptions& options);
int run_evaluate(const EvaluateOptions& options);
int run_predict(const PredictOptions& options);
int run_explain(const ExplainOptions& options);
int run_summary(const SummaryOptions& options);
int run_inspect(const std::string& file, bool tensors);
int run_convert(const ConvertOptions& options);
int run_fetch(const FetchOptions& options);
int run_export(const ExportOptions& options);
int run_gradcheck(const GradcheckOptions& options);
int run_bench(const BenchOptions& options);     // a step
int run_op_bench(const BenchOptions& options);  // ops
int run_profile(const ProfileOptions& options);
int run_plan(const PlanOptions& options);
int run_demo_data(const DemoDataOptions& options);

// Parses the command line and runs the command.
int run(int argc, char** argv);

}  // namespace ft::app
