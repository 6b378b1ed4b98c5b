// The child, its driver and its plugin, and the few words that it is spoken to with.
#include "apps/plan/engine_process.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <memory>
#include <type_traits>

#include "tensor/plugin.h"

namespace ft::plan {
namespace {

// Parent and child are one program, so that values cross as they lie in memory.
struct Question {
  Conv2dSpec spec;
  PassKind pass;
  bool with_text;
};
constexpr std::string Engine::* kTexts[] = {&Engine::name, &Engine::refusal, &Engine::key,
                                            &Engine::text};
struct Answer {
  uint64_t workspace, bytes[std::size(kTexts)];
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
  Answer answer{engine.workspace, {}, engine.deterministic};
  for (size_t i = 0; i < std::size(kTexts); ++i) answer.bytes[i] = (engine.*kTexts[i]).size();
  bool sent = send_all(socket, &answer, sizeof answer);
  for (const auto text : kTexts)
    sent = sent && send_all(socket, (engine.*text).data(), (engine.*text).size());
  return sent;
}

bool receive_engine(int socket, Engine& engine) {
  Answer answer{};
  if (!receive_all(socket, &answer, sizeof answer)) return false;
  engine.workspace = answer.workspace;
  engine.deterministic = answer.deterministic;
  bool received = true;
  for (size_t i = 0; received && i < std::size(kTexts); ++i) {
    std::string& text = engine.*kTexts[i];
    text.resize(answer.bytes[i]);
    received = receive_all(socket, text.data(), text.size());
  }
  return received;
}

// --- in the child ----------------------------------------------------------------------------------

bool gpu_is_here() { return access("/dev/nvidia0", F_OK) == 0 || access("/dev/dxg", F_OK) == 0; }

void open_driver() {
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) != nullptr || gpu_is_here()) return;
  const std::string driver = find_plugin("libft_null_driver.so");
  if (driver.empty() || dlopen(driver.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr)
    throw EnginesUnknown("libft_null_driver.so is not beside the plugin libft_plan.so");
}

// A function of the plugin.
template <class Function>
Function* plugin_function(const char* name) {
  const std::string plugin = find_plugin("libft_plan.so");
  open_driver();
  preload_cuda_libraries();
  void* library = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw EnginesUnknown(reason != nullptr ? reason : plugin + " cannot be opened");
  }
  void* function = dlsym(library, name);
  if (function == nullptr) throw EnginesUnknown(plugin + " is of another version");
  return reinterpret_cast<Function*>(function);
}

// Says its version, or why there is nothing to ask; then answers until the other side is gone.
void answer_all(int socket, const std::string& gpu) {
  const std::unique_ptr<EngineFinder> finder(
      plugin_function<MakeEngineFinder>("ft_make_engine_finder")(&gpu));
  send_engine(socket, {finder->version(), 0, true, {}, {}, {}});
  for (Question q{}; receive_all(socket, &q, sizeof q);)
    if (!send_engine(socket, finder->find(q.spec, q.pass, q.with_text))) break;
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
  start([&](int socket) { answer_all(socket, gpu); });
}

EngineProcess::EngineProcess(int device) {
  start([&](int socket) {
    const std::unique_ptr<std::string> text(
        plugin_function<DescribeDevice>("ft_describe_device")(device));
    send_engine(socket, {*text, 0, true, {}, {}, {}});
  });
}

std::string describe_device(int index) { return EngineProcess(index).version(); }

void EngineProcess::start(const std::function<void(int)>& child) {
  if (find_plugin("libft_plan.so").empty())
    throw EnginesUnknown("this build has no cuDNN (libft_plan.so; build with the preset cuda)");
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw EnginesUnknown("no socket for a process that asks cuDNN");
  std::fflush(stdout);
  child_ = fork();
  if (child_ == 0) {
    close(ends[0]);
    try {
      child(ends[1]);
    } catch (const std::exception& e) {
      send_engine(ends[1], {{}, 0, true, e.what(), {}, {}});
    }
    _exit(0);
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

Engine EngineProcess::ask(const Conv2dSpec& spec, PassKind pass, bool with_text) {
  Question question;
  question.spec = spec;
  question.pass = pass;
  question.with_text = with_text;
  Engine engine;
  if (!send_all(socket_, &question, sizeof question) || !receive_engine(socket_, engine))
    throw EnginesUnknown("the process that asks cuDNN ended while it was asked");
  return engine;
}

Engine EngineProcess::find(const Conv2dSpec& spec, PassKind pass, bool with_text) {
  if (with_text) return ask(spec, pass, true);
  const auto key = key_of(spec, pass);
  const auto known = answers_.find(key);
  return known != answers_.end() ? known->second
                                 : answers_.emplace(key, ask(spec, pass, false)).first->second;
}

}  // namespace ft::plan
