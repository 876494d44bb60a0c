#include "parallel/cores.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace longhaul {
namespace {

// A folder like /sys, for all processors that this machine has.
class Cores : public testing::Test {
 protected:
  Cores() : sysfs_(testing::TempDir() + "cores_test") {}
  ~Cores() override { std::filesystem::remove_all(sysfs_); }

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = sysfs_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  void write_cores(size_t threads_each) const {
    for (size_t cpu = 0; cpu < 1024; ++cpu) {
      const std::string folder = "/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
      write(folder + "core_id", std::to_string(cpu / threads_each));
      write(folder + "physical_package_id", "0");
    }
  }

  const std::string sysfs_;
};

TEST_F(Cores, ThreadsOfOneCoreCountOnce) {
  write_cores(1);
  const size_t n = usable_cores(sysfs_);
  EXPECT_GE(n, 1U);
  EXPECT_LE(n, 1024U);
  write_cores(1024);
  EXPECT_EQ(usable_cores(sysfs_), 1U);
  write_cores(2);
  EXPECT_LE(usable_cores(sysfs_), n);
  EXPECT_GE(2 * usable_cores(sysfs_), n);
}

TEST_F(Cores, AQuotaBoundsThem) {
  write_cores(1);
  const size_t n = usable_cores(sysfs_);
  write("/fs/cgroup/cpu.max", "max 100000");
  EXPECT_EQ(usable_cores(sysfs_), n);
  write("/fs/cgroup/cpu.max", "100000 100000");
  EXPECT_EQ(usable_cores(sysfs_), 1U);
  write("/fs/cgroup/cpu.max", "50000 100000");
  EXPECT_EQ(usable_cores(sysfs_), 1U);
}

TEST_F(Cores, WithoutFilesAllProcessorsCount) {
  EXPECT_EQ(usable_cores(sysfs_), std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace longhaul
