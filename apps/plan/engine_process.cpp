// The child, its driver and its plugin, and the few words that it is spoken to with.
#include "apps/plan/engine_process.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <type_traits>

#include "tensor/plugin.h"

namespace ft::plan {
namespace {

// Parent and child are one program, so that values cross as they lie in memory.
struct Question {
  Conv2dSpec spec;
  PassKind pass;
};
struct Answer {
  uint64_t workspace, name_bytes, refusal_bytes;
  bool deterministic;
};
static_assert(std::is_trivially_copyable_v<Question> && std::is_trivially_copyable_v<Answer>);

bool send_all(int socket, const void* bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    const ssize_t n =
        ::send(socket, static_cast<const char*>(bytes) + done, count - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

bool receive_all(int socket, void* bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    const ssize_t n = ::recv(socket, static_cast<char*>(bytes) + done, count - done, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

bool send_engine(int socket, const Engine& engine) {
  const Answer answer{engine.workspace, engine.name.size(), engine.refusal.size(),
                      engine.deterministic};
  return send_all(socket, &answer, sizeof answer) &&
         send_all(socket, engine.name.data(), engine.name.size()) &&
         send_all(socket, engine.refusal.data(), engine.refusal.size());
}

bool receive_engine(int socket, Engine& engine) {
  Answer answer{};
  if (!receive_all(socket, &answer, sizeof answer)) return false;
  engine.workspace = answer.workspace;
  engine.deterministic = answer.deterministic;
  engine.name.resize(answer.name_bytes);
  engine.refusal.resize(answer.refusal_bytes);
  return receive_all(socket, engine.name.data(), engine.name.size()) &&
         receive_all(socket, engine.refusal.data(), engine.refusal.size());
}

// --- in the child ----------------------------------------------------------------------------------

bool gpu_is_here() { return access("/dev/nvidia0", F_OK) == 0 || access("/dev/dxg", F_OK) == 0; }

void open_driver() {
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) != nullptr || gpu_is_here()) return;
  const std::string driver = find_plugin("libft_null_driver.so");
  if (driver.empty() || dlopen(driver.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr)
    throw EnginesUnknown("libft_null_driver.so is not beside the plugin libft_plan.so");
}

std::unique_ptr<EngineFinder> open_finder(const std::string& plugin, const std::string& gpu) {
  open_driver();
  preload_cuda_libraries();
  void* library = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw EnginesUnknown(reason != nullptr ? reason : plugin + " cannot be opened");
  }
  void* make = dlsym(library, "ft_make_engine_finder");
  if (make == nullptr) throw EnginesUnknown(plugin + " is of another version");
  return std::unique_ptr<EngineFinder>(reinterpret_cast<MakeEngineFinder*>(make)(&gpu));
}

// Says its version, or why there is nothing to ask; then answers until the other side is gone.
[[noreturn]] void run_child(int socket, const std::string& plugin, const std::string& gpu) {
  try {
    const std::unique_ptr<EngineFinder> finder = open_finder(plugin, gpu);
    send_engine(socket, {finder->version(), 0, true, {}});
    for (Question q{}; receive_all(socket, &q, sizeof q);)
      if (!send_engine(socket, finder->find(q.spec, q.pass))) break;
  } catch (const std::exception& e) {
    send_engine(socket, {{}, 0, true, e.what()});
  }
  _exit(0);
}

std::vector<int64_t> key_of(const Conv2dSpec& s, PassKind pass) {
  std::vector<int64_t> key(s.x.shape.dims().begin(), s.x.shape.dims().end());
  const auto add = [&](auto... values) { (key.push_back(static_cast<int64_t>(values)), ...); };
  add(s.x.dtype, s.x.layout, s.k, s.r, s.s, s.stride_h, s.stride_w, s.pad_h, s.pad_w, s.groups);
  if (pass == PassKind::forward) add(s.bias, s.add_residual, s.relu);
  add(pass, s.numerics.tf32, s.numerics.deterministic);
  return key;
}

}  // namespace

EngineProcess::EngineProcess(const std::string& gpu) {
  const std::string plugin = find_plugin("libft_plan.so");
  if (plugin.empty())
    throw EnginesUnknown("this build has no cuDNN (libft_plan.so; build with the preset cuda)");
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw EnginesUnknown("no socket for a process that asks cuDNN");
  std::fflush(stdout);
  child_ = fork();
  if (child_ == 0) {
    close(ends[0]);
    run_child(ends[1], plugin, gpu);
  }
  close(ends[1]);
  socket_ = ends[0];
  if (child_ < 0) {
    close(socket_);
    throw EnginesUnknown("no process that asks cuDNN can be started");
  }
  Engine hello;
  const bool answered = receive_engine(socket_, hello);
  version_ = hello.name;
  if (answered && !hello.refused()) return;
  close(socket_);
  int status = 0;
  waitpid(child_, &status, 0);
  throw EnginesUnknown(answered ? hello.refusal : "the process that asks cuDNN ended at once");
}

EngineProcess::~EngineProcess() {
  close(socket_);
  int status = 0;
  waitpid(child_, &status, 0);
}

Engine EngineProcess::find(const Conv2dSpec& spec, PassKind pass) {
  const auto [it, fresh] = answers_.try_emplace(key_of(spec, pass));
  if (!fresh) return it->second;
  Question question;
  question.spec = spec;
  question.pass = pass;
  if (!send_all(socket_, &question, sizeof question) || !receive_engine(socket_, it->second)) {
    answers_.erase(it);
    throw EnginesUnknown("the process that asks cuDNN ended while it was asked");
  }
  return it->second;
}

}  // namespace ft::plan
