#include "weights/gguf_reader.h"

#include "base/utf8.h"
#include "weights/gguf_value_types.h"

namespace l2a {
void GgufReader::need(uint64_t count, uint64_t each, const char* things) const {
  const uint64_t left = bytes_.size() - at_;
  if (count <= left / each) return;
  refuse(std::to_string(count) + " " + things + " at byte " + std::to_string(at_) +
         " do not fit into the file's " + std::to_string(bytes_.size()) + " bytes (cut short?)");
}

bool GgufReader::boolean() {
  const auto value = number<uint8_t>();
  if (value > 1) refuse("a truth value of " + std::to_string(value));
  return value == 1;
}

std::string GgufReader::string() {
  const auto length = number<uint64_t>();
  need(length, 1, "bytes of text");
  std::string text(reinterpret_cast<const char*>(bytes_.data() + at_), length);
  if (const auto bad = find_bad_utf8(text)) {
    refuse("text that is not UTF-8 at byte " + std::to_string(at_ + *bad));
  }
  at_ += length;
  return text;
}

GgufValue GgufReader::value(uint32_t type) {
  switch (type) {
    case kUint8:
      return uint64_t{number<uint8_t>()};
    case kUint16:
      return uint64_t{number<uint16_t>()};
    case kUint32:
      return uint64_t{number<uint32_t>()};
    case kUint64:
      return number<uint64_t>();
    case kInt8:
      return int64_t{number<int8_t>()};
    case kInt16:
      return int64_t{number<int16_t>()};
    case kInt32:
      return int64_t{number<int32_t>()};
    case kInt64:
      return number<int64_t>();
    case kFloat32:
      return double{number<float>()};
    case kFloat64:
      return number<double>();
    case kBool:
      return boolean();
    case kString:
      return string();
    case kArray:
      return array();
    default:
      refuse("unknown value type " + std::to_string(type));
  }
}

GgufValue GgufReader::array() {
  const auto type = number<uint32_t>();
  const auto count = number<uint64_t>();
  switch (type) {
    case kUint8:
      return numbers<uint8_t, uint64_t>(count);
    case kUint16:
      return numbers<uint16_t, uint64_t>(count);
    case kUint32:
      return numbers<uint32_t, uint64_t>(count);
    case kUint64:
      return numbers<uint64_t, uint64_t>(count);
    case kInt8:
      return numbers<int8_t, int64_t>(count);
    case kInt16:
      return numbers<int16_t, int64_t>(count);
    case kInt32:
      return numbers<int32_t, int64_t>(count);
    case kInt64:
      return numbers<int64_t, int64_t>(count);
    case kFloat32:
      return numbers<float, double>(count);
    case kFloat64:
      return numbers<double, double>(count);
    case kBool: {
      need(count, 1, "truth values");
      std::vector<bool> values(count);
      for (auto&& value : values) value = boolean();
      return values;
    }
    case kString: {
      need(count, sizeof(uint64_t), "texts");
      std::vector<std::string> values(count);
      for (auto& value : values) value = string();
      return values;
    }
    case kArray:
      refuse("an array of arrays");
    default:
      refuse("unknown value type " + std::to_string(type));
  }
}

}  // namespace l2a
