# Everything the build takes from outside. Debian packages, but for LibTorch, which comes
# from the private Python environment that tools/dev makes (or from TORCH_DIR).

find_package(PkgConfig REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(fmt 9 REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.85)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib>=0.11)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
# glibc's allocator costs up to 40% of a training step: large tensors come and go every layer.
pkg_check_modules(TCMALLOC REQUIRED IMPORTED_TARGET libtcmalloc_minimal)

if(L2A_TORCH)
  if(NOT TORCH_DIR)
    set(TORCH_IS_PRIVATE ON)
    file(GLOB TORCH_DIR ${PROJECT_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/torch)
  endif()
  find_package(Torch REQUIRED PATHS ${TORCH_DIR} NO_DEFAULT_PATH)
  find_package(OpenMP REQUIRED COMPONENTS CXX)  # LibTorch's threads; its headers have none without
endif()

# Arrow's C++ library, which writes Parquet, comes inside PyPI's pyarrow. A build without it says so
# when it is asked for Parquet.
file(GLOB ARROW_DIR ${PROJECT_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/pyarrow)
if(ARROW_DIR)
  list(GET ARROW_DIR -1 ARROW_DIR)
endif()
file(GLOB ARROW_LIBRARIES ${ARROW_DIR}/libarrow.so.*00 ${ARROW_DIR}/libparquet.so.*00)
add_library(learn2ask_arrow INTERFACE)
if(ARROW_LIBRARIES)
  target_compile_definitions(learn2ask_arrow INTERFACE L2A_ARROW)
  target_include_directories(learn2ask_arrow SYSTEM INTERFACE ${ARROW_DIR}/include)
  target_link_libraries(learn2ask_arrow INTERFACE ${ARROW_LIBRARIES})
endif()
