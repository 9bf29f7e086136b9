// A file or folder that is there whole, or not: written under another name, then renamed.
#pragma once

#include <filesystem>
#include <string>

namespace l2a {

class PartialPath {
 public:
  // Removes what an earlier call left half done, beside `out`, under a name that is this program's.
  explicit PartialPath(const std::string& out);
  // Removes what was written unless keep() was called.
  ~PartialPath();
  PartialPath(const PartialPath&) = delete;
  PartialPath& operator=(const PartialPath&) = delete;

  const std::filesystem::path& path() const { return partial_; }  // to write under
  // Gives it the name. Throws Failure (kIo), also where a folder with files has it.
  void keep() const;
  // The same in place of what an earlier call left there.
  void replace() const;

 private:
  std::filesystem::path final_, partial_;
};

}  // namespace l2a
