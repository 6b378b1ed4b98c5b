// Lets something useful but optional happen as long as it takes no more than a share of the run's time, as far as the
// last time tells; the first time is free. A value.
#pragma once

#include <chrono>

namespace ft::app {

class TimeShare {
 public:
  explicit TimeShare(double share) : share_(share) {}

  // `elapsed`: seconds since the start of the run.
  template <class Work>
  void offer(double elapsed, const Work& work) {
    if (spent_ + last_ > share_ * elapsed && spent_ > 0) return;
    const auto start = std::chrono::steady_clock::now();
    work();
    last_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    spent_ += last_;
  }

 private:
  double share_, spent_ = 0, last_ = 0;
};

}  // namespace ft::app
