// run.toml: every choice of a run as it was used (defaults and protocol filled in), the versions, and what
// came out. The keys of [options] are the names of the flags.
#pragma once

#include "apps/ftrun/finetune_run.h"
#include "io/run_config.h"

namespace ft::app {

struct RunOutcome {
  bool finished = false;  // false: stopped by a signal, or still running
  double seconds = 0, train_s = 0, validate_s = 0, images_per_s = 0;
  int64_t steps = 0;
  std::optional<int64_t> best_step;  // none before the first validation
  double best_accuracy = 0, best_loss = 0;
  std::string slower_side;  // "" while it is not known
  std::string error;        // what ended the run, as on stderr; "" if nothing did
};

RunConfig record_run(const FinetuneOptions& options, const Settings& settings,
                     const Network& network, const Backend& backend, const RunOutcome& outcome);

}  // namespace ft::app
