#include "base/file.h"

#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

// Runs `work` in a child process; its exit code, or 128 + signal.
template <class Work>
int in_child(Work&& work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(ReadFile, GivesTheBytesOrSaysWhyNot) {
  const TempDir dir;
  const std::string bytes("a\0b\r\n\xff", 6);
  put(dir / "f", bytes);
  EXPECT_EQ(read_file(dir / "f"), bytes);
  EXPECT_EQ(read_file(dir / "f", 6), bytes);
  EXPECT_EQ(failure_of([&] { read_file(dir / "f", 5); }),
            "read: " + (dir / "f").string() + ": larger than 5 bytes");
  EXPECT_EQ(failure_of([&] { read_file(dir / "none"); }),
            "read: " + (dir / "none").string() + ": No such file or directory");
  EXPECT_EQ(failure_of([&] { read_file(dir.path()); }),
            "read: " + dir.path().string() + ": Is a directory");
  EXPECT_EQ(failure_of([&] { read_file("/dev/zero", 1 << 20); }),
            "read: /dev/zero: larger than 1048576 bytes");
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TempDir dir;
  put(dir / "f", "old");
  {
    AtomicFile file(dir / "f");
    file.write(std::string(1 << 20, 'x'));
    EXPECT_EQ(read_file(dir / "f"), "old");
  }
  EXPECT_EQ(read_file(dir / "f"), "old");
  EXPECT_EQ(files_in(dir.path()), 1u);
  {
    AtomicFile file(dir / "f");
    file.write_line("new");
    file.commit();
  }
  EXPECT_EQ(read_file(dir / "f"), "new\n");
  EXPECT_EQ(files_in(dir.path()), 1u);
}

TEST(AtomicFile, SaysWhyItCannotBeWritten) {
  const TempDir dir;
  EXPECT_EQ(failure_of([&] { AtomicFile((dir / "no/f")); }),
            "create: " + (dir / "no/f").string() + ": No such file or directory");
  fs::create_directory(dir / "folder");
  EXPECT_EQ(failure_of([&] { write_file_atomic(dir / "folder", "x"); }),
            "create: " + (dir / "folder").string() +
                ": is there and is no ordinary file (give the name of a file)");
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(failure_of([&] { write_file_atomic(dir / "pipe", "x"); }),
            "create: " + (dir / "pipe").string() +
                ": is there and is no ordinary file (give the name of a file)");
  EXPECT_TRUE(fs::is_fifo(dir / "pipe"));
  EXPECT_EQ(files_in(dir.path()), 2u);
}

TEST(AtomicFile, OnAFullDiskTheOldFileStaysAndNothingElse) {
  const TempDir dir;
  put(dir / "f", "old");
  fs::create_symlink("/dev/full", dir / "f.partial");
  EXPECT_EQ(failure_of([&] { write_file_atomic(dir / "f", "new"); }),
            "write: " + (dir / "f").string() + ": disk full");
  EXPECT_EQ(read_file(dir / "f"), "old");
  EXPECT_EQ(files_in(dir.path()), 1u);
}

TEST(AtomicFile, PastTheLimitOfFileSizesTheOldFileStays) {
  const TempDir dir;
  put(dir / "f", "old");
  const int code = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file_atomic(dir / "f", std::string(1'000'000, 'x'));
    } catch (const Failure& failure) {
      _exit(failure.error.code == ErrorCode::kIo ? 7 : 1);
    }
  });
  EXPECT_EQ(code, 7);
  EXPECT_EQ(read_file(dir / "f"), "old");
  EXPECT_EQ(files_in(dir.path()), 1u);
}

TEST(AtomicFile, KilledAtAnyMomentItIsTheOldOneOrTheNew) {
  const TempDir dir;
  const std::string old_bytes(300'000, 'o'), new_bytes(300'000, 'n');
  put(dir / "f", old_bytes);
  Rng rng(1);
  for (int i = 0; i < 40; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      for (bool flip = true;; flip = !flip) {
        write_file_atomic(dir / "f", flip ? new_bytes : old_bytes);
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(rng.below(5000)));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const std::string now = read_file(dir / "f");
    ASSERT_TRUE(now == old_bytes || now == new_bytes) << now.size();
  }
  write_file_atomic(dir / "f", "last");  // over what the killed ones left
  EXPECT_EQ(read_file(dir / "f"), "last");
  EXPECT_EQ(files_in(dir.path()), 1u);
}

TEST(AtomicFile, IsOneWritersAtATime) {
  const TempDir dir;
  AtomicFile first(dir / "f");
  first.write("of the first");
  EXPECT_THROW(AtomicFile(dir / "f"), Failure);
  first.commit();
  EXPECT_EQ(read_file(dir / "f"), "of the first");
  write_file_atomic(dir / "f", "next");
  EXPECT_EQ(read_file(dir / "f"), "next");
}

TEST(Journal, CutsOffATornLastLineAndNothingElse) {
  const TempDir dir;
  const std::string whole = "one\n" + std::string(200'000, 'x') + "\nthree\n";
  for (const std::string& torn :
       {std::string(), std::string("f"), std::string(150'000, 'y'), std::string("\0\0", 2)}) {
    put(dir / "j", whole + torn);
    Journal(dir / "j").append("four");
    EXPECT_EQ(read_file(dir / "j"), whole + "four\n");
  }
  put(dir / "j", "never ended");
  Journal(dir / "j").append("one");
  EXPECT_EQ(read_file(dir / "j"), "one\n");
}

TEST(Journal, LeavesAFileOfAnotherKindAsItIs) {
  const TempDir dir;
  for (const std::string other : {"id,text\n1,the last row", "never ended", "{\"events\": 3}"}) {
    put(dir / "j", other);
    EXPECT_THROW(Journal(dir / "j", "{\"event\":"), Failure);
    EXPECT_EQ(read_file(dir / "j"), other);
  }
  for (const std::string torn : {"", "{", "{\"event\":", "{\"event\":\"se"}) {
    put(dir / "j", torn);
    Journal(dir / "j", "{\"event\":");
    EXPECT_EQ(read_file(dir / "j"), "");
  }
}

TEST(Journal, EveryLengthOfATornFileIsRepaired) {
  const TempDir dir;
  const std::string text = "a\n\nbcd\ne\n";
  for (size_t length = 0; length <= text.size(); ++length) {
    put(dir / "j", text.substr(0, length));
    Journal journal(dir / "j");
    const size_t newline = text.substr(0, length).rfind('\n');
    EXPECT_EQ(read_file(dir / "j"), newline == text.npos ? "" : text.substr(0, newline + 1));
  }
}

TEST(Journal, KeepsTheLinesBeforeAKill) {
  const TempDir dir;
  Rng rng(2);
  size_t lines = 0;
  // Where so many take it longer than a few milliseconds, it is given longer.
  for (uint64_t kills = 0; kills < 20 || (lines <= 100 && kills < 400); ++kills) {
    const pid_t child = fork();
    if (child == 0) {
      Journal journal(dir / "j");
      for (size_t n = lines;; ++n) journal.append(std::to_string(n) + std::string(n % 500, '.'));
    }
    const uint64_t longest = 4000 * (1 + kills / 20);
    std::this_thread::sleep_for(std::chrono::microseconds(1000 + rng.below(longest)));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    Journal journal(dir / "j");
    std::ifstream in(dir / "j");
    size_t n = 0;
    for (std::string line; std::getline(in, line); ++n) {
      ASSERT_EQ(line, std::to_string(n) + std::string(n % 500, '.'));
    }
    ASSERT_GE(n, lines);
    lines = n;
  }
  EXPECT_GT(lines, 100u);
}

TEST(Journal, TruncatesToItsFirstLines) {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += std::to_string(i) + "\n";
  for (const size_t lines : {0, 1, 2, 9, 29'999, 30'000}) {
    put(dir / "j", text);
    Journal journal(dir / "j");
    journal.truncate_to(lines);
    journal.append("next");
    std::string expected;
    for (size_t i = 0; i < lines; ++i) expected += std::to_string(i) + "\n";
    EXPECT_EQ(read_file(dir / "j"), expected + "next\n") << lines;
  }
  put(dir / "j", text);
  Journal journal(dir / "j");
  EXPECT_EQ(failure_of([&] { journal.truncate_to(30'002); }),
            (dir / "j").string() +
                ": lacks 2 of the lines that were written to it (put it back as it was)");
  EXPECT_EQ(read_file(dir / "j"), text);
}

TEST(Journal, SaysThatTheDiskIsFull) {
  Journal journal("/dev/full");
  EXPECT_EQ(failure_of([&] { journal.append("x"); }), "write: /dev/full: disk full");
}

TEST(Journal, ALineThatDidNotFitIsTakenBack) {
  const TempDir dir;
  const int code = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10, 10};
    setrlimit(RLIMIT_FSIZE, &limit);
    Journal journal(dir / "j");
    journal.append("12345");
    try {
      journal.append("1234567890");
    } catch (const Failure&) {
      journal.append("abc");
      _exit(7);
    }
  });
  EXPECT_EQ(code, 7);
  EXPECT_EQ(read_file(dir / "j"), "12345\nabc\n");
}

TEST(Sha256, GivesThePublishedDigests) {
  // Source: FIPS 180-4 examples.
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const TempDir dir;
  for (const size_t size : {0u, 1u, 65'535u, 65'536u, 65'537u, 200'000u}) {
    put(dir / "f", std::string(size, 'q'));
    EXPECT_EQ(sha256_file(dir / "f"), sha256_hex(std::string(size, 'q')));
  }
  EXPECT_EQ(failure_of([&] { sha256_file(dir / "none"); }),
            "read: " + (dir / "none").string() + ": No such file or directory");
  // Who reads a pipe takes what is in it from whoever comes after. It isn't opened either: without
  // a writer that would wait for ever, and a writer would be left with a broken pipe.
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(failure_of([&] { sha256_file(dir / "pipe"); }),
            "read: " + (dir / "pipe").string() +
                ": cannot be read twice, as a pipe can't (write it to a file first)");
}

TEST(MakePrivateDirectory, IsForItsOwnerOnly) {
  const TempDir dir;
  make_private_directory(dir / "a/b");
  struct stat info{};
  ASSERT_EQ(stat((dir / "a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  make_private_directory(dir / "a/b");  // there already
  put(dir / "file", "");
  EXPECT_EQ(failure_of([&] { make_private_directory(dir / "file"); }),
            "create folder: " + (dir / "file").string() + ": File exists");
  EXPECT_EQ(failure_of([&] { make_private_directory("/proc/none/x"); }),
            "create folder: /proc/none: No such file or directory");
}

TEST(PrivateDirectory, IsPrivateFromItsFirstNewFolderOnHoweverItIsSpelt) {
  const TempDir dir;
  make_private_directory(dir / "x/./y//z/");
  for (const char* made : {"x", "x/y", "x/y/z"}) {
    struct stat info{};
    ASSERT_EQ(stat((dir / made).c_str(), &info), 0) << made;
    EXPECT_EQ(info.st_mode & 0777, 0700u) << made;
  }
}

}  // namespace
}  // namespace l2a
