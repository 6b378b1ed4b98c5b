// --config FILE: settings as TOML, with the names of the flags, put in front of a command line as if they had been
// typed. What the user typed wins.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace ft::app {

struct ConfigArgs {
  std::vector<std::string> args;              // "--lr=0.01", …
  std::map<std::string, std::string> places;  // flag -> "FILE:LINE"
};

// typed: the arguments of the user, with or without a --config. known: names of the flags, "--lr"; switches: those
// without a value. Keys stand at the top or in [options]; the sections that run.toml has besides are records and say
// nothing here. Throws Error 2081-2091 of load_run_config, 2092 for a section or key that is no flag, naming the nearest.
ConfigArgs config_args(const std::vector<std::string>& typed, const std::vector<std::string>& known,
                       const std::vector<std::string>& switches);

}  // namespace ft::app
