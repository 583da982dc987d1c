// Runs the tyto program: arguments and stdin in, exit code and both outputs back. POSIX.
#pragma once
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "tests/scratch_folder.h"

namespace tyto::test {

using Arguments = std::vector<std::string>;

// A program that runs. Its outputs are files of the scratch folder, unless stdout is given.
class Process {
 public:
  Process(const ScratchFolder& folder, const Arguments& arguments,
          const std::string& in_path = "/dev/null", int out_file = -1)
      : out_path_(folder.path("stdout")), err_path_(folder.path("stderr")) {
    std::vector<char*> argv{const_cast<char*>("tyto")};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const int in = ::open(in_path.c_str(), O_RDONLY);
    const int out =
        out_file >= 0 ? out_file : ::open(out_path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    const int err = ::open(err_path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(in, 0), ::dup2(out, 1), ::dup2(err, 2);
      ::execv(TYTO_PROGRAM, argv.data());
      ::_exit(127);
    }
    for (const int file : {in, out, err}) ::close(file);
  }

  void signal(int number) const { ::kill(child_, number); }
  std::string out() const { return file_content(out_path_); }
  std::string err() const { return file_content(err_path_); }
  bool running() const {
    siginfo_t ended = {};
    return ::waitid(P_PID, static_cast<id_t>(child_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0;
  }
  // The exit code; minus the signal's number, if one ended it.
  int wait() const {
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  std::string out_path_, err_path_;
  pid_t child_ = -1;
};

struct Outputs {
  int code = 0;
  std::string out, err;
};

inline Outputs run_program(const ScratchFolder& folder, const Arguments& arguments,
                           const std::string& input = "") {
  const Process process(folder, arguments, folder.write("stdin", input));
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

}  // namespace tyto::test
