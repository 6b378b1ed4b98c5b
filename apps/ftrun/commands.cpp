// From the parsed command line to the command.
#include "apps/ftrun/commands.h"

namespace ft::app {

int run(int argc, char** argv) {
  CommandLine c;
  if (!parse_command_line(argc, argv, c)) return 0;
  if (c.command == "finetune") return run_finetune(c.finetune);
  if (c.command == "evaluate") return run_evaluate(c.evaluate);
  if (c.command == "predict") return run_predict(c.predict);
  if (c.command == "explain") return run_explain(c.explain);
  if (c.command == "summary") return run_summary(c.summary);
  if (c.command == "inspect") return run_inspect(c.inspect_file, c.inspect_tensors);
  if (c.command == "convert") return run_convert(c.convert);
  if (c.command == "fetch") return run_fetch(c.fetch);
  if (c.command == "export") return run_export(c.export_);
  if (c.command == "gradcheck") return run_gradcheck(c.gradcheck);
  if (c.command == "bench")
    return c.bench.op.op.empty() ? run_bench(c.bench) : run_op_bench(c.bench);
  if (c.command == "profile") return run_profile(c.profile);
  if (c.command == "plan") return run_plan(c.plan);
  if (c.command == "demo-data") return run_demo_data(c.demo_data);
  FT_CHECK(false, "the command " + c.command + " has no function");
}

}  // namespace ft::app
