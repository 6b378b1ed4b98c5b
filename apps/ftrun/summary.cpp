// ftrun summary: what a model is made of, and what a step of it does.
#include "layers/summary.h"

#include <fmt/format.h>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/device.h"
#include "apps/ftrun/network.h"
#include "models/transfer.h"

namespace ft::app {

int run_summary(const SummaryOptions& o) {
  const ModelInfo& info = find_model(o.model);
  const int side = o.input_size.value_or(info.recipe.input_size);
  Model model = build_model(info, o.classes, side, side);
  TransferOptions transfer;
  transfer.freeze = o.freeze;
  transfer.unfreeze = o.unfreeze;
  if (o.bn == "frozen") transfer.bn = BnMode::frozen;
  apply_transfer(model, transfer);
  if (o.dot) {
    fmt::print("{}", graph_dot(model.graph));
    return 0;
  }
  if (!o.backward && !o.plan) {
    fmt::print("{}: {}\n{}", model.name, info.variant, summary_table(model.graph, o.batch));
    return 0;
  }
  find_model(o.model);  // before a device is opened
  const OpenDevice chosen = open_device(o.common);
  CompileOptions compile;
  compile.batch = o.batch;
  compile.mode = Mode::training;
  compile.numerics = numerics_of(o.common, *chosen.backend);
  if (o.bn == "batch") compile.bn = BnMode::batch;
  if (o.bn == "running") compile.bn = BnMode::running;
  if (o.bn == "frozen") compile.bn = BnMode::frozen;
  const CompiledGraph compiled(model.graph, *chosen.backend, compile);
  if (o.plan) fmt::print("{}", compiled.str());
  if (o.backward) fmt::print("{}", compiled.tape());
  return 0;
}

}  // namespace ft::app
